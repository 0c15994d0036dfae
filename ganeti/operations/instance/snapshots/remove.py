# SPDX-License-Identifier: BSD-2-Clause
"""The operation that removes a snapshot of an instance, or what an interruption has left of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.snapshots import drop_snapshot, put_snapshot
from ganeti.config.state import ClusterState
from ganeti.locking.names import LockRequest
from ganeti.model.instance_snapshots import Snapshot, SnapshotState
from ganeti.opcodes.instance.snapshots import RemoveSnapshot
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting, find_snapshot
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.snapshots import RemoveGuestSnapshot
from ganeti.schema.records import replace


@dataclass(frozen=True)
class SnapshotRemoval:
    """A snapshot to remove."""

    subject: InstanceContext
    snapshot: Snapshot

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: RemoveSnapshot, state: ClusterState) -> Sequence[NodeQuery]:
    return presence_queries(subject_of(op, state), state)


def plan(op: RemoveSnapshot, state: ClusterState, facts: NodeAnswers) -> SnapshotRemoval:
    """Plan the removal; a revert that was interrupted may still need the snapshot."""
    subject = subject_of(op, state)
    snapshot = find_snapshot(state, subject.instance, op.snapshot_name)
    check_online(subject.primary, f"snapshot {snapshot.name} cannot be removed")
    record = state.snapshots[subject.instance.uuid]
    if record.reverting == snapshot.uuid:
        check_not_reverting(state, subject.instance)
    check_nowhere_else(determine_presence(subject, state, facts))
    return SnapshotRemoval(subject, snapshot)


async def run(plan: SnapshotRemoval, tools: Tools) -> None:
    instance, snapshot = plan.subject.instance, plan.snapshot
    # From here on it cannot be reverted to, as some disks may lack it after an interruption.
    removing = replace(snapshot, state=SnapshotState.REMOVING)
    await tools.config.change(put_snapshot(instance, removing))
    guest = make_guest(tools.config.state(), instance)
    unfinished = snapshot.state is SnapshotState.CREATING
    remove = RemoveGuestSnapshot(guest=guest, name=snapshot.stored_name, unfinished=unfinished)
    await tools.nodes.ask(plan.subject.primary, remove)
    await tools.config.change(drop_snapshot(instance, snapshot))


OPERATION = Operation(RemoveSnapshot, plan, run, questions)
