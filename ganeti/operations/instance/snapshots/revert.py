# SPDX-License-Identifier: BSD-2-Clause
"""The operation that reverts the disks of an instance to a snapshot.

While disks may be of different times, the configuration says so, and the instance does not start. A
repetition completes what was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import want
from ganeti.config.changes.snapshots import begin_revert, end_revert
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState
from ganeti.model.instance_snapshots import SavedMemory, Snapshot, SnapshotState
from ganeti.model.running import apply_running_config
from ganeti.opcodes.instance.snapshots import RevertInstance
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import find_snapshot
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.instances import StartInstanceCall
from ganeti.rpc.snapshots import CheckSavedMemory, LoadSavedMemory, RevertGuest
from ganeti.schema.records import replace


@dataclass(frozen=True)
class Revert:
    """An instance to revert: whether its guest runs, and whether it is to run afterwards.

    With ``memory``, it then goes on from there.
    """

    op: RevertInstance
    subject: InstanceContext
    snapshot: Snapshot
    running: bool
    starts: bool
    memory: SavedMemory | None

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: RevertInstance, state: ClusterState) -> Sequence[NodeQuery]:
    return presence_queries(subject_of(op, state), state)


def plan(op: RevertInstance, state: ClusterState, facts: NodeAnswers) -> Revert:
    """Plan the revert of an instance that is stopped, or may be stopped."""
    subject = subject_of(op, state)
    instance = subject.instance
    check_online(subject.primary, f"instance {instance.name} cannot be reverted")
    snapshot = find_snapshot(state, instance, op.snapshot_name)
    if snapshot.state is not SnapshotState.READY:
        raise Refused(
            f"snapshot {snapshot.name} of instance {instance.name} is incomplete"
            f" ({snapshot.state.value} was interrupted); remove it: gnt-instance snapshot remove"
            f" {instance.name} {snapshot.name}"
        )
    if {each.uuid for each in snapshot.disks} != {each.uuid for each in subject.disks}:
        raise Refused(
            f"snapshot {snapshot.name} has other disks than instance {instance.name} has now"
        )
    found = determine_presence(subject, state, facts)
    check_nowhere_else(found)
    if found.here and not op.restart:
        raise Refused(
            f"instance {instance.name} is running; shut it down first, or use --restart to stop it"
            " and start it again"
        )
    # One that an interrupted revert has stopped is started by the repetition.
    starts = found.here or (op.restart and instance.admin_state is AdminState.UP)
    memory = None if op.disks_only else snapshot.memory
    if memory is not None:
        _check_devices(memory, snapshot, make_guest(state, instance, subject.disks))
    return Revert(op, subject, snapshot, found.here, starts or memory is not None, memory)


def _check_devices(memory: SavedMemory, snapshot: Snapshot, guest: Guest) -> None:
    """Check that an instance has the network cards whose drivers are in the saved memory."""
    saved = [(each.uuid, each.mac) for each in memory.running.nics]
    if saved != [(each.uuid, each.mac) for each in guest.nics]:
        raise Refused(
            f"instance {guest.name} has other network cards than when snapshot {snapshot.name} was"
            " made, so that its memory fits no more; use --disks-only"
        )


async def run(plan: Revert, tools: Tools) -> None:
    instance, node, snapshot = plan.subject.instance, plan.subject.primary, plan.snapshot
    guest = make_guest(tools.config.state(), instance, plan.subject.disks)
    if plan.memory is not None:
        check = CheckSavedMemory(guest=guest, memory=plan.memory)
        if problem := await tools.nodes.ask(node, check):
            raise Refused(
                f"the memory in snapshot {snapshot.name} cannot be loaded on node {node.name}:"
                f" {problem}; use --disks-only"
            )
    if plan.running:
        # An instance that could not start again is not stopped.
        await require_able(node, guest, tools)
        tools.progress.log_message(f"stopping instance {instance.name}")
        try:
            # What it would write while it shuts down is lost with its memory.
            timeout = plan.op.shutdown_timeout if plan.memory is None else 0
            await stop_guest(plan.subject, timeout, tools)
        except Failed as e:
            raise Failed(
                f"{e}; instance {instance.name} was not reverted, and may be stopped by now: repeat"
                f" this, or start it: gnt-instance startup {instance.name}",
                e.code,
            ) from e
    before = tools.config.state().snapshots.get(instance.uuid)
    await tools.config.change(begin_revert(instance, snapshot))
    try:
        await tools.nodes.ask(node, RevertGuest(guest=guest, name=snapshot.stored_name))
    except Refused:
        # No disk has changed, and they are of one time unless they were not before.
        if before is None or not before.reverting:
            await tools.config.change(end_revert(instance, None))
            if plan.running or (plan.starts and plan.memory is None):
                await _start(plan, tools)
        raise
    except Failed as e:
        raise Failed(
            f"{e}; instance {instance.name} does not start before all its disks are reverted:"
            f" gnt-instance snapshot revert {instance.name} {snapshot.name}",
            e.code,
        ) from e
    await tools.config.change(end_revert(instance, snapshot))
    tools.progress.log_message(f"instance {instance.name} was reverted to {snapshot.name}")
    if plan.memory is not None:
        await _go_on(plan, plan.memory, tools)
    elif plan.starts:
        await _start(plan, tools)


async def _go_on(plan: Revert, memory: SavedMemory, tools: Tools) -> None:
    """Start the virtual machine as it was, and load its memory."""
    instance, node = plan.subject.instance, plan.subject.primary
    await tools.config.change(want(instance, AdminState.UP))
    configured = make_guest(tools.config.state(), instance)
    # What is outside of the machine is as it is now: another instance may have the old address.
    running = replace(memory.running, nics=configured.nics)
    guest = apply_running_config(configured, running)
    load = LoadSavedMemory(guest=guest, name=plan.snapshot.stored_name, memory=memory)
    try:
        await tools.nodes.ask(node, StartInstanceCall(guest=guest, paused=True))
        await tools.nodes.ask(node, load)
    except GanetiError as e:
        raise Failed(
            f"the disks of instance {instance.name} were reverted, but its guest does not go on"
            f" from its memory: {e}; let it boot: gnt-instance startup {instance.name}"
        ) from e
    tools.progress.log_message(f"instance {instance.name} goes on from its memory")


async def _start(plan: Revert, tools: Tools) -> None:
    instance = plan.subject.instance
    tools.progress.log_message(f"starting instance {instance.name} again")
    try:
        guest = make_guest(tools.config.state(), instance)
        await tools.nodes.ask(plan.subject.primary, StartInstanceCall(guest=guest))
    except GanetiError as e:
        raise Failed(f"instance {instance.name} was stopped and does not start again: {e}") from e


OPERATION = Operation(RevertInstance, plan, run, questions)
