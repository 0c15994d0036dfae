# SPDX-License-Identifier: BSD-2-Clause
"""Removing an instance with its disks, after stopping it on every node that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import remove_instance
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, NotKept, Refused, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.instance import Wanted, WantedBy
from ganeti.opcodes.instance.lifecycle import RemoveInstance
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import remove_disks
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.lifecycle.stop import record_down, stop_everywhere
from ganeti.operations.instance.running_check import (
    Presence,
    possible_hosts,
    presence,
    presence_questions,
    require_known,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import FinalizeMigrationDst


@dataclass(frozen=True)
class InstanceRemoval:
    """An instance that is to go, and where it was found to run."""

    op: RemoveInstance
    subject: InstanceContext
    found: Presence

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: RemoveInstance, state: ClusterState) -> Sequence[NodeQuery]:
    return presence_questions(subject_of(op, state), state)


def plan(op: RemoveInstance, state: ClusterState, facts: NodeAnswers) -> InstanceRemoval:
    """Decide what removing the instance takes, or refuse."""
    subject = subject_of(op, state)
    offline = [node.name for node in subject.nodes if node.offline]
    if offline and not op.ignore_failures:
        raise Refused(
            f"instance {subject.instance.name} cannot be removed while these of its nodes are "
            f"offline: {', '.join(offline)}; use --ignore-failures to forget it all the same"
        )
    found = presence(subject, state, facts)
    # Not even with --ignore-failures: nothing would be left to tell of a guest that runs on.
    require_known(found)
    return InstanceRemoval(op, subject, found)


async def run(plan: InstanceRemoval, tools: Tools) -> None:
    instance, lenient = plan.subject.instance, plan.op.ignore_failures
    async with Undo(tools.progress) as undo:
        if instance.admin_state is Wanted.UP:
            # If this is interrupted, nobody must try to start what has perhaps no disks any more.
            await record_down(plan.subject, WantedBy.ADMIN, tools, undo)
        await _stop(plan, tools)
        await _drop_held(plan, tools)
    state = tools.config.state()
    left = await remove_disks(state, instance, plan.subject.disks, tools)
    for each in left:
        tools.progress.say(f"not removed: {each}")
    if left and not lenient:
        raise Failed(
            f"instance {instance.name} is kept, because of its disks {'; '.join(left)}; "
            "remove it again, or use --ignore-failures to forget it all the same",
            Code.ENVIRONMENT,
        )
    try:
        await tools.config.change(remove_instance(instance))
    except NotKept as e:
        raise Failed(
            f"instance {instance.name} has no disks any more, but is still in the configuration: "
            f"{e}; then remove it again",
            Code.ENVIRONMENT,
        ) from e


async def _stop(plan: InstanceRemoval, tools: Tools) -> None:
    stopping = stop_everywhere(plan.found, plan.op.shutdown_timeout, tools)
    try:
        await tools.progress.interruptible(stopping)
    except Unreachable:
        raise
    except Failed as e:
        if not plan.op.ignore_failures:
            raise
        name = plan.subject.instance.name
        tools.progress.say(f"instance {name} was perhaps not stopped: {e}")


async def _drop_held(plan: InstanceRemoval, tools: Tools) -> None:
    """Drop the guest on nodes that an interrupted migration has left it on, where it is stopped.

    Such a node does not list it among the guests that run, and no later operation would reach it.
    """
    state, instance = tools.config.state(), plan.subject.instance
    stopped = (plan.subject.primary, *plan.found.nodes)
    others = [node for node in possible_hosts(plan.subject, state) if node not in stopped]
    drop = FinalizeMigrationDst(guest=guest_of(state, instance), arrived=False)
    answers = await tools.nodes.ask_all(others, drop)
    errors = [error for error in answers.values() if isinstance(error, Failed)]
    if errors and not plan.op.ignore_failures:
        raise errors[0]
    for error in errors:
        tools.progress.say(f"instance {instance.name} was perhaps not dropped: {error}")


def hooks(plan: InstanceRemoval, state: ClusterState) -> HookCall:
    master = [state.cluster.master_node]
    more = {"SHUTDOWN_TIMEOUT": str(plan.op.shutdown_timeout)}
    return instance_hooks("instance-remove", plan.subject, state, more, before=master)


OPERATION = Operation(RemoveInstance, plan, run, questions, hooks)
