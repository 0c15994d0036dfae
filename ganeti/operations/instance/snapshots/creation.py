# SPDX-License-Identifier: BSD-2-Clause
"""The operation that creates a snapshot of all disks of an instance.

Its record comes first, so that whatever is in the storage after an interruption has a record by
which it is found and removed. Only a snapshot that all disks have becomes ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.snapshots import drop_snapshot, list_snapshots_of, put_snapshot
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.instance_snapshots import (
    MAX_SNAPSHOTS,
    DiskSnapshot,
    Snapshot,
    SnapshotState,
    can_have_snapshots,
    has_inner_snapshots,
    no_snapshots,
)
from ganeti.opcodes.instance.snapshots import CreateSnapshot
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.snapshots import CreateGuestSnapshot, RemoveGuestSnapshot, SnapshotReport
from ganeti.schema.records import replace

WITH_MEMORY = frozenset(("kvm",))
"""The hypervisors that save the memory of a guest in the images of its disks."""


@dataclass(frozen=True)
class SnapshotCreation:
    """An instance that gets a snapshot; ``uuid`` is that of the snapshot."""

    op: CreateSnapshot
    subject: InstanceContext
    uuid: str

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: CreateSnapshot, state: ClusterState) -> Sequence[NodeQuery]:
    return presence_queries(subject_of(op, state), state)


def plan(op: CreateSnapshot, state: ClusterState, facts: NodeAnswers) -> SnapshotCreation:
    """Plan the snapshot of an instance whose disks can all have one."""
    subject = subject_of(op, state)
    instance = subject.instance
    check_online(subject.primary, f"instance {instance.name} can get no snapshot")
    if not subject.disks:
        raise Refused(f"instance {instance.name} has no disks", Code.INPUT)
    for disk in subject.disks:
        if not can_have_snapshots(disk):
            raise no_snapshots(disk)
    found = list_snapshots_of(state, instance)
    if any(each.name == op.snapshot_name for each in found):
        raise Refused(
            f"instance {instance.name} has a snapshot {op.snapshot_name} already; choose another"
            f" name, or remove it: gnt-instance snapshot remove {instance.name} {op.snapshot_name}",
            Code.EXISTS,
        )
    if len(found) >= MAX_SNAPSHOTS:
        raise Refused(
            f"instance {instance.name} has {len(found)} snapshots, and can have {MAX_SNAPSHOTS};"
            f" remove one: gnt-instance snapshot remove {instance.name} {found[0].name}",
            Code.RESOURCES,
        )
    check_not_reverting(state, instance)
    present = determine_presence(subject, state, facts)
    check_nowhere_else(present)
    if op.memory:
        _check_memory(subject, running=present.here)
    return SnapshotCreation(op, subject, facts.identity)


def _check_memory(subject: InstanceContext, *, running: bool) -> None:
    """Check that the memory of an instance can be saved in the images of its disks."""
    instance = subject.instance
    if instance.hypervisor not in WITH_MEMORY:
        raise Refused(
            f"hypervisor {instance.hypervisor} saves no memory of guests, kvm does; leave out"
            " --memory",
            Code.INPUT,
        )
    if not running:
        raise Refused(
            f"instance {instance.name} does not run and has no memory; leave out --memory"
        )
    for disk in subject.disks:
        if not has_inner_snapshots(disk):
            raise Refused(
                f"{disk.iv_name} ({disk.dev_type.value}) is no qcow2 image, and a snapshot with"
                " memory needs one for each disk (format=qcow2); leave out --memory",
                Code.INPUT,
            )


async def run(plan: SnapshotCreation, tools: Tools) -> None:
    instance, node = plan.subject.instance, plan.subject.primary
    snapshot = Snapshot(
        name=plan.op.snapshot_name,
        uuid=plan.uuid,
        ctime=tools.time.date(),
        disks=tuple(DiskSnapshot(uuid=each.uuid, size=each.size) for each in plan.subject.disks),
    )
    guest = make_guest(tools.config.state(), instance, plan.subject.disks)
    async with Undo(tools.progress) as undo:
        undo.by(
            f"remove what there is of snapshot {snapshot.name}; do it when the node answers:"
            f" gnt-instance snapshot remove {instance.name} {snapshot.name}",
            partial(_take_back, plan, snapshot, tools),
        )
        await tools.config.change(put_snapshot(instance, snapshot))
        create = CreateGuestSnapshot(guest=guest, name=snapshot.stored_name, memory=plan.op.memory)
        report = await tools.nodes.ask(node, create)
        ready = replace(
            snapshot,
            state=SnapshotState.READY,
            running=report.running,
            frozen=report.frozen,
            memory=report.memory,
        )
        await tools.config.change(put_snapshot(instance, ready))
    disks = f"{len(guest.disks)} disk{'s' * (len(guest.disks) > 1)}"
    tools.progress.log_message(
        f"snapshot {snapshot.name} of instance {instance.name} has {disks}{_describe_guest(report)}"
    )


async def _take_back(plan: SnapshotCreation, snapshot: Snapshot, tools: Tools) -> None:
    """Remove what there is of a snapshot, and then its record."""
    instance, state = plan.subject.instance, tools.config.state()
    guest = make_guest(state, instance, plan.subject.disks)
    remove = RemoveGuestSnapshot(guest=guest, name=snapshot.stored_name, unfinished=True)
    await tools.nodes.ask(plan.subject.primary, remove)
    await tools.config.change(drop_snapshot(instance, snapshot))


def _describe_guest(report: SnapshotReport) -> str:
    if not report.running:
        return ", whose guest did not run"
    if report.memory is not None:
        return " and the memory of the guest"
    if report.frozen:
        return "; the guest agent had frozen the file systems meanwhile"
    return "; without a guest agent, its file systems are as after a power failure"


OPERATION = Operation(CreateSnapshot, plan, run, questions)
