# SPDX-License-Identifier: BSD-2-Clause
"""The operation that backs up an instance to a repository.

A running guest of a hypervisor that can show its disks at one moment keeps running, and later
backups read only what has changed. Other running guests need storage with snapshots.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.backup_settings import find_repository
from ganeti.config.state import ClusterState
from ganeti.errors import GanetiError, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.backups import BackupRepository, BackupSummary, StoredDisk
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.opcodes.backup_repositories import CreateBackup
from ganeti.operations.backup.description import described
from ganeti.operations.backup.guest_state import collect_state
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.backup.snapshots import SnapshotOptions, standing
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.running_check import (
    Presence,
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc import backup_calls as calls
from ganeti.rpc.node import DescribeNode

LIVE_HYPERVISORS = frozenset(("kvm",))
"""The hypervisors that show the disks of a running guest as they were at one moment."""

_MIB = 1 << 20


@dataclass(frozen=True)
class BackupPlan:
    """An instance to back up, and the repository with its node."""

    op: CreateBackup
    subject: InstanceContext
    repository: BackupRepository
    node: Node
    found: Presence

    @property
    def locks(self) -> LockRequest:
        return {**request(shared=[node_lock(self.node.uuid)]), **self.subject.locks}

    @property
    def live(self) -> bool:
        """Whether the hypervisor shows the disks of the running guest."""
        return self.found.here and self.subject.instance.hypervisor in LIVE_HYPERVISORS


@dataclass(frozen=True)
class _Shown:
    """A guest whose disks do not change, or are exported as they were at one moment."""

    guest: Guest
    exports: Sequence[calls.LiveExport | None]
    frozen: bool = False


def questions(op: CreateBackup, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    present = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    return [
        NodeQuery([subject.primary], present),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan(op: CreateBackup, state: ClusterState, facts: NodeAnswers) -> BackupPlan:
    """Plan the backup of an instance that runs on its primary node, or nowhere."""
    subject = subject_of(op, state)
    instance = subject.instance
    check_online(subject.primary, f"instance {instance.name} cannot be backed up")
    if not subject.disks:
        raise Refused(f"instance {instance.name} has no disks to back up")
    repository = find_repository(state, op.repository_name)
    node = repository_node(repository, state)
    facts.answer_of(subject.primary, DescribeNode)
    found = determine_presence(subject, state, facts)
    check_nowhere_else(found)
    return BackupPlan(op, subject, repository, node, found)


def repository_node(repository: BackupRepository, state: ClusterState) -> Node:
    """Return the node of a repository.

    :raises Refused: it is not online.
    """
    node = state.nodes.get(repository.node)
    if node is None:
        raise Refused(
            f"the node of repository {repository.name} is no longer in the cluster; remove the"
            " repository, and add its directory on another node with --existing"
        )
    check_online(node, f"repository {repository.name} cannot be used")
    return node


async def run(plan: BackupPlan, tools: Tools) -> str:
    """Back up the instance; return the ID of the backup."""
    access, subject = plan.repository.make_access(), plan.subject
    created = tools.time.date()
    backup = make_backup_id(created, tools.ids.secret())
    abandon = calls.AbandonBackup(repository=access, backup=backup)
    async with Undo(tools.progress) as undo:
        # Before the call: without an answer, the backup may have begun.
        undo.by("give up the unfinished backup", partial(tools.nodes.ask, plan.node, abandon))
        begin = calls.BeginBackup(repository=access, backup=backup, instance=subject.instance.uuid)
        newest = await tools.nodes.ask(plan.node, begin)
        parent = newest if newest is not None and _comparable(newest, plan) else None
        if newest is not None and parent is None and plan.live and not plan.op.full:
            tools.progress.log_message(
                f"everything is read: the disks are not those of the newest backup {newest.id}"
            )
        async with _show_disks(plan, backup, parent, tools) as shown:
            began = tools.time.seconds()
            # First, as a running guest may change it at any time.
            kept = await collect_state(shown.guest, subject.primary, tools)
            if kept.problem:
                tools.progress.log_message(kept.problem)
            await _store_disks(plan, backup, shown, tools)
            state = tools.config.state()
            summary = BackupSummary(
                id=backup,
                instance=subject.instance.name,
                uuid=subject.instance.uuid,
                cluster=state.cluster.cluster_name,
                created=int(created),
                duration=int(tools.time.seconds() - began),
                disks=tuple(StoredDisk(name=disk.iv_name, size=0) for disk in subject.disks),
                running=plan.found.here,
                frozen=shown.frozen,
                schedule=plan.op.schedule or "",
            )
            dumps = [(disk, str(index)) for index, disk in enumerate(subject.disks)]
            text = described(state, subject.instance, dumps, created)
            details = calls.BackupDetails(summary=summary, description=text, state_files=kept.files)
            commit = calls.CommitBackup(repository=access, backup=details)
            stored = await tools.nodes.ask(plan.node, commit)
    for disk in stored.disks:
        how = f"changes since backup {stored.parent}" if disk.incremental else "everything"
        tools.progress.log_message(
            f"{disk.name}: {how}, read {disk.read / _MIB:.1f} of {disk.size / _MIB:.0f} MiB, stored"
            f" {disk.written / _MIB:.1f} MiB"
        )
    tools.progress.log_message(f"backup {backup} is complete in repository {plan.repository.name}")
    return backup


def make_backup_id(created: float, secret: str) -> str:
    """Return the ID of a backup that is made now, in seconds since the epoch."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(created)) + f"-{secret[:6]}"


def _comparable(newest: BackupSummary, plan: BackupPlan) -> bool:
    """Return whether a backup has the disks that the instance has now."""
    sizes = [disk.size * _MIB for disk in plan.subject.disks]
    return not plan.op.full and [disk.size for disk in newest.disks] == sizes


async def _store_disks(plan: BackupPlan, backup: str, shown: _Shown, tools: Tools) -> None:
    source_node = plan.subject.primary
    async with RunningTransfers(tools) as transfers:
        for index, disk in enumerate(plan.subject.disks):
            source = calls.BackupSource(
                guest=shown.guest, index=index, backup=backup, export=shown.exports[index]
            )
            sink = calls.BackupSink(
                repository=plan.repository.make_access(), backup=backup, index=index
            )
            if source_node.uuid == plan.node.uuid:
                await transfers.send(source_node, disk.iv_name, source, sink)
            else:
                await transfers.between(source_node, plan.node, disk.iv_name, source, sink)
        await transfers.wait_for_all()


@asynccontextmanager
async def _show_disks(
    plan: BackupPlan, backup: str, parent: BackupSummary | None, tools: Tools
) -> AsyncIterator[_Shown]:
    """Yield the disks as they are at one moment, until the block ends."""
    if plan.live:
        async with _show_running(plan, backup, parent, tools) as shown:
            yield shown
        return
    options = SnapshotOptions(
        running=plan.found.here, shutdown=False, timeout=0, long_sleep=False, goes=True
    )
    async with standing(plan.subject, options, tools) as guest:
        yield _Shown(guest, [None] * len(guest.disks))


@asynccontextmanager
async def _show_running(
    plan: BackupPlan, backup: str, parent: BackupSummary | None, tools: Tools
) -> AsyncIterator[_Shown]:
    """Yield the disks of a running guest, exported by its hypervisor."""
    node, identity = plan.subject.primary, plan.repository.identity
    guest = make_guest(tools.config.state(), plan.subject.instance, plan.subject.disks)
    complete = False
    try:
        begin = calls.BeginGuestBackup(
            guest=guest,
            repository=identity,
            backup=backup,
            parent="" if parent is None else parent.id,
        )
        found = await tools.nodes.ask(node, begin)
        if parent is not None and found.full:
            tools.progress.log_message(f"everything is read: {found.full}")
        yield _Shown(guest, found.exports, found.frozen)
        complete = True
    finally:
        # Also if the begin failed: without an answer, it may have been done.
        end = calls.EndGuestBackup(
            guest=guest, repository=identity, backup=backup, complete=complete
        )
        try:
            await tools.nodes.ask(node, end)
        except GanetiError as e:
            tools.progress.log_message(
                f"the disks of the guest are still exported on node {node.name}: {e}; the next"
                " backup ends that, and so does a restart of the node daemon"
            )


OPERATION = Operation(CreateBackup, plan, run, questions)
