# SPDX-License-Identifier: BSD-2-Clause
"""The operation that removes an instance and its disks, after stopping it on all nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import remove_instance
from ganeti.config.state import ClusterState
from ganeti.errors import Code, CommitFailed, Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.instance import AdminState, AdminStateSource
from ganeti.opcodes.instance.lifecycle import RemoveInstance
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import remove_disks
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.lifecycle.stop import record_down, stop_everywhere
from ganeti.operations.instance.moves.firmware_state import remove_state
from ganeti.operations.instance.running_check import (
    Presence,
    check_known,
    determine_presence,
    list_possible_hosts,
    presence_queries,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import FinalizeMigrationDst


@dataclass(frozen=True)
class InstanceRemoval:
    """An instance to remove, and the nodes where it runs."""

    op: RemoveInstance
    subject: InstanceContext
    found: Presence

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: RemoveInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state, reserved=True)
    return [] if subject.instance.forthcoming else presence_queries(subject, state)


def plan(op: RemoveInstance, state: ClusterState, facts: NodeAnswers) -> InstanceRemoval:
    """Plan the removal."""
    subject = subject_of(op, state, reserved=True)
    if subject.instance.forthcoming:
        return InstanceRemoval(op, subject, Presence(subject, False, (), ()))
    offline = [node.name for node in subject.nodes if node.offline]
    if offline and not op.ignore_failures:
        raise Refused(
            f"instance {subject.instance.name} cannot be removed while its nodes are offline: "
            f"{', '.join(offline)}; use --ignore-failures to remove it anyway"
        )
    found = determine_presence(subject, state, facts)
    # Also with --ignore-failures, as no record of a guest that keeps running would remain.
    check_known(found)
    return InstanceRemoval(op, subject, found)


async def run(plan: InstanceRemoval, tools: Tools) -> None:
    instance, lenient = plan.subject.instance, plan.op.ignore_failures
    if instance.forthcoming:
        # Nothing of it is on a node.
        await tools.config.change(remove_instance(instance))
        return
    async with Undo(tools.progress) as undo:
        if instance.admin_state is AdminState.UP:
            # After an interruption the instance may have no disks, so it must not be started.
            await record_down(plan.subject, AdminStateSource.ADMIN, tools, undo)
        await _stop(plan, tools)
        await _drop_held(plan, tools)
    state = tools.config.state()
    # Before the record is removed: disks without a record would never be found again.
    left = await remove_disks(state, instance, plan.subject.disks, tools)
    for each in left:
        tools.progress.log_message(f"cannot remove {each}")
    if left and not lenient:
        raise Failed(
            f"instance {instance.name} was not removed, because its disks could not be removed: "
            f"{'; '.join(left)}; try again, or use --ignore-failures",
            Code.ENVIRONMENT,
        )
    guest = make_guest(state, instance)
    await remove_state(guest, plan.subject.nodes, tools)
    try:
        await tools.config.change(remove_instance(instance))
    except CommitFailed as e:
        raise Failed(
            f"the disks of instance {instance.name} were removed, but not its configuration: "
            f"{e}; then remove the instance again",
            Code.ENVIRONMENT,
        ) from e


async def _stop(plan: InstanceRemoval, tools: Tools) -> None:
    stopping = stop_everywhere(plan.found, plan.op.shutdown_timeout, tools)
    try:
        await tools.progress.interruptible(stopping)
    except Unreachable:
        # Nothing is known of the guest there, so that ignoring failures does not help.
        raise
    except Failed as e:
        if not plan.op.ignore_failures:
            raise
        name = plan.subject.instance.name
        tools.progress.log_message(f"instance {name} may still be running: {e}")


async def _drop_held(plan: InstanceRemoval, tools: Tools) -> None:
    """Drop the guest on nodes that an interrupted migration has left it on, where it is stopped.

    Such a node does not list it among the guests that run, and no later operation would reach it.
    """
    state, instance = tools.config.state(), plan.subject.instance
    stopped = (plan.subject.primary, *plan.found.nodes)
    others = [node for node in list_possible_hosts(plan.subject, state) if node not in stopped]
    drop = FinalizeMigrationDst(guest=make_guest(state, instance), arrived=False)
    answers = await tools.nodes.ask_all(others, drop)
    errors = [error for error in answers.values() if isinstance(error, Failed)]
    if errors and not plan.op.ignore_failures:
        raise errors[0]
    for error in errors:
        tools.progress.log_message(f"cannot remove leftovers of instance {instance.name}: {error}")


def hooks(plan: InstanceRemoval, state: ClusterState) -> HookCall | None:
    if plan.subject.instance.forthcoming:
        return None
    master = [state.cluster.master_node]
    more = {"SHUTDOWN_TIMEOUT": str(plan.op.shutdown_timeout)}
    return instance_hooks("instance-remove", plan.subject, state, more, before=master)


OPERATION = Operation(RemoveInstance, plan, run, questions, hooks)
