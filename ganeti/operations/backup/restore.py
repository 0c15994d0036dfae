# SPDX-License-Identifier: BSD-2-Clause
"""The operation that restores disks of a stopped instance from a backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.backup_settings import find_repository
from ganeti.config.changes.instances import want
from ganeti.config.state import ClusterState
from ganeti.errors import Code, GanetiError, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.backups import BackupRepository, BackupSummary, RepositoryAccess
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.backup_repositories import RestoreBackup
from ganeti.operations.backup.back_up import repository_node
from ganeti.operations.backup.guest_state import restore_state
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_finally
from ganeti.operations.instance.running_check import (
    check_stopped,
    determine_presence,
    presence_queries,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc import backup_calls as calls
from ganeti.rpc import transfers
from ganeti.rpc.node import DescribeNode

_MIB = 1 << 20


@dataclass(frozen=True)
class RestorePlan:
    """The disks of an instance to restore, by their numbers."""

    op: RestoreBackup
    subject: InstanceContext
    repository: BackupRepository
    node: Node
    disks: tuple[int, ...]
    details: calls.BackupDetails

    @property
    def locks(self) -> LockRequest:
        return {**request(shared=[node_lock(self.node.uuid)]), **self.subject.locks}


def questions(op: RestoreBackup, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    repository = find_repository(state, op.repository_name)
    node = state.nodes.get(repository.node)
    if subject.primary.offline or node is None or node.offline:
        return ()
    present = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    described = calls.DescribeBackup(repository=repository.make_access(), backup=op.backup_id)
    return [
        NodeQuery([node], described),
        NodeQuery([subject.primary], present),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan(op: RestoreBackup, state: ClusterState, facts: NodeAnswers) -> RestorePlan:
    """Plan the restore of disks that are as large as those in the backup, or larger."""
    subject = subject_of(op, state)
    instance = subject.instance
    check_online(subject.primary, f"instance {instance.name} cannot be restored")
    repository = find_repository(state, op.repository_name)
    node = repository_node(repository, state)
    check_stopped(determine_presence(subject, state, facts))
    details = facts.answer_of(node, calls.DescribeBackup)
    summary = details.summary
    disks = tuple(sorted(set(op.disks))) or tuple(range(len(summary.disks)))
    for index in disks:
        _check_disk(index, subject, summary)
    return RestorePlan(op, subject, repository, node, disks, details)


def _check_disk(index: int, subject: InstanceContext, summary: BackupSummary) -> None:
    name = subject.instance.name
    if index >= len(summary.disks):
        raise Refused(
            f"backup {summary.id} has no disk {index}; it has {len(summary.disks)} disks",
            Code.INPUT,
        )
    if index >= len(subject.disks):
        raise Refused(
            f"instance {name} has no disk {index}; add it, or choose the disks to restore",
            Code.INPUT,
        )
    needed = -(-summary.disks[index].size // _MIB)
    if subject.disks[index].size < needed:
        raise Refused(
            f"disk {index} of instance {name} has {subject.disks[index].size} MiB, that of the"
            f" backup {needed} MiB; grow it first: gnt-instance grow-disk {name} {index}"
            f" {needed - subject.disks[index].size}M"
        )


async def run(plan: RestorePlan, tools: Tools) -> None:
    subject = plan.subject
    instance, disks = subject.instance, subject.disks
    # An instance with half of its data must not be started, even if the job is interrupted.
    await tools.config.change(want(instance, AdminState.OFFLINE))
    state = tools.config.state()
    try:
        await attach_disks(state, instance, disks, tools)
        try:
            guest = make_guest(state, instance, disks)
            source = StoredBackup(plan.node, plan.repository.make_access(), plan.op.backup_id)
            chosen = [(index, index) for index in plan.disks]
            await restore_disks(source, subject.primary, guest, chosen, tools)
            # Boot entries are about all disks: with one that stays, those of the guest do, too.
            if len(plan.disks) == len(plan.details.summary.disks):
                files, summary = plan.details.state_files, plan.details.summary
                await restore_state(files, summary, guest, subject.primary, tools)
        finally:
            await detach_finally(state, instance, disks, tools)
    except GanetiError:
        tools.progress.log_message(
            f"instance {instance.name} is marked offline, as its disks may be incomplete; restore"
            f" them again, or accept them as they are: gnt-instance modify --online {instance.name}"
        )
        raise
    await tools.config.change(want(instance, instance.admin_state))


@dataclass(frozen=True)
class StoredBackup:
    """A backup in the repository of a node."""

    node: Node
    access: RepositoryAccess
    backup: str


async def restore_disks(
    source: StoredBackup,
    node: Node,
    guest: Guest,
    disks: Sequence[tuple[int, int]],
    tools: Tools,
) -> None:
    """Restore disks of ``guest``, attached on ``node``: pairs of numbers, in the backup and there.

    :raises Failed: the restore failed; with the damaged areas, if there are any.
    """
    async with RunningTransfers(tools) as running:
        for stored, index in disks:
            data = calls.BackupData(repository=source.access, backup=source.backup, index=stored)
            sink = transfers.DiskData(guest=guest, index=index, raw=True)
            what = guest.disks[index].iv_name
            if node.uuid == source.node.uuid:
                await running.restore(node, what, data, sink)
            else:
                await running.between(source.node, node, what, data, sink)
        await running.wait_for_all()


OPERATION = Operation(RestoreBackup, plan, run, questions)
