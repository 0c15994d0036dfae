# SPDX-License-Identifier: BSD-2-Clause
"""The operation that stops an instance on its node and starts it on another one.

The order is: stop on the old node, change the configuration, start on the new node. So after an
interruption at any point the instance can only run on its primary node. A node that does not answer
may still run the instance; only an administrator can rule this out, by marking the node offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import set_primary_node
from ganeti.config.nic_connections import connect_on
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.allocation.target_node import (
    destination,
    move_queries,
    request_move_allocation,
)
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.disks.mirrors import check_current
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.lifecycle.start import check_memory
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.instance.moves.firmware_state import (
    copy_state,
    has_state,
    remove_state,
)
from ganeti.operations.instance.moves.migration_cleanup import (
    MigrationCleanup,
    cleanup_queries,
    plan_cleanup,
    run_cleanup,
)
from ganeti.operations.instance.running_check import (
    check_not_elsewhere,
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import FinalizeMigrationDst, StartInstanceCall
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class Failover:
    """An instance and the target node of its failover.

    ``careless`` ignores copies that are not current, and disks that cannot be detached on the old
    node.
    """

    subject: InstanceContext
    target: Node
    timeout: int
    careless: bool

    @property
    def locks(self) -> LockRequest:
        return move_locks(self.subject, self.target)

    @property
    def restarts(self) -> bool:
        return self.subject.instance.admin_state is AdminState.UP


def move_locks(subject: InstanceContext, target: Node) -> LockRequest:
    """Return an exclusive lock of the instance, and shared locks of its nodes and the target."""
    return {**request(shared=[node_lock(target.uuid)]), **subject.locks}


def questions(op: FailoverInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if op.cleanup:
        return cleanup_queries(subject, state)
    return move_presence_queries(move_queries(op, subject, state), subject, state)


def move_presence_queries(
    asked: list[NodeQuery], subject: InstanceContext, state: ClusterState
) -> list[NodeQuery]:
    """Return the queries of a move together with those for the presence of the instance."""
    described = [
        node for each in asked if isinstance(each.call, DescribeNode) for node in each.nodes
    ]
    return [*asked, *presence_queries(subject, state, besides=described)]


def plan(
    op: FailoverInstance, state: ClusterState, facts: NodeAnswers
) -> Failover | MigrationCleanup:
    """Plan the failover or cleanup."""
    subject = subject_of(op, state)
    if op.cleanup:
        return plan_cleanup(subject, state, facts)
    target = destination(op, subject, state, facts)
    return make_failover(
        target,
        subject,
        state,
        facts,
        timeout=op.shutdown_timeout,
        careless=op.ignore_consistency,
    )


def make_failover(
    target: Node,
    subject: InstanceContext,
    state: ClusterState,
    facts: NodeAnswers,
    *,
    timeout: int,
    careless: bool = False,
) -> Failover:
    """Return the plan for a failover to ``target``.

    :raises Refused: the target lacks memory or current disks, or the instance may be running on
       a node other than its primary node.
    """
    check_not_reverting(state, subject.instance)
    plan = Failover(subject, target, timeout, careless)
    present = facts.answer_of(target, DescribeNode)
    found = determine_presence(subject, state, facts)
    if plan.restarts or subject.instance.disks_active:
        check_nowhere_else(found)
    else:
        check_not_elsewhere(found)
    if plan.restarts:
        check_memory(make_guest(state, subject.instance), present, target.name)
    if subject.instance.disks_active and not careless:
        check_current(
            target,
            subject.disks,
            facts,
            "wait for the resync, or use --ignore-consistency, which may lose data",
        )
    return plan


async def run(plan: Failover | MigrationCleanup, tools: Tools) -> None:
    if isinstance(plan, MigrationCleanup):
        await run_cleanup(plan, tools)
    else:
        await run_failover(plan, tools)


async def run_failover(plan: Failover, tools: Tools) -> None:
    """Stop the instance, change its primary node, and start it.

    :raises Failed: a step failed; the message has the location of the instance.
    """
    instance, target = plan.subject.instance, plan.target
    if plan.restarts:
        # Before the guest is stopped, as this may refuse the move.
        state = tools.config.state()
        await require_able(target, make_guest(state, connect_on(instance, target, state)), tools)
    tools.progress.may_stop()
    async with Undo(tools.progress) as undo:
        await _stop_on_source(plan, tools, undo)
        # An interrupted migration may have left a guest there, under the same name.
        await tools.nodes.ask(
            target,
            FinalizeMigrationDst(guest=make_guest(tools.config.state(), instance), arrived=False),
        )
        guest = make_guest(tools.config.state(), instance)
        await copy_state(guest, plan.subject.primary, target, tools)
        await tools.config.change(set_primary_node(instance, target))
    # Otherwise they would be taken for current ones after a failover back from a dead node.
    if has_state(guest):
        await remove_state(guest, [plan.subject.primary], tools)
    tools.progress.log_message(f"the primary node of instance {instance.name} is now {target.name}")
    # Nothing is undone any more: only the start has failed, and it can be repeated.
    try:
        await _start_on_target(plan, tools)
    except (Failed, Refused) as e:
        raise Failed(
            f"instance {instance.name} was moved to {target.name} but cannot be started there: "
            f"{e}; when this is fixed: gnt-instance startup {instance.name}",
            e.code,
        ) from e


async def _stop_on_source(plan: Failover, tools: Tools, undo: Undo) -> None:
    """Stop the instance and detach its disks, unless its node is marked offline.

    :raises Failed: the instance may still be running there.
    """
    instance, primary = plan.subject.instance, plan.subject.primary
    if primary.offline:
        tools.progress.log_message(
            f"node {primary.name} is marked offline; assuming that instance {instance.name} is "
            "down there"
        )
        return
    tools.progress.log_message(f"stopping instance {instance.name} on node {primary.name}")
    try:
        await _stop(plan, tools, undo)
    except (Failed, Refused) as e:
        raise Failed(
            f"instance {instance.name} may still be running on node {primary.name}: {e}; make "
            "sure that its node daemon answers, or power it off and mark it offline: "
            f"gnt-node modify --offline=yes {primary.name}",
            e.code,
        ) from e
    try:
        await detach_disks(
            tools.config.state(), instance, plan.subject.disks, tools, only_on=primary
        )
    except (Failed, Refused) as e:
        if not plan.careless:
            raise Failed(
                f"cannot detach the disks of instance {instance.name} on node {primary.name}: "
                f"{e}; use --ignore-consistency to leave them attached",
                e.code,
            ) from e
        tools.progress.log_message(
            f"cannot detach the disks of {instance.name} on node {primary.name}: {e}"
        )


async def _stop(plan: Failover, tools: Tools, undo: Undo) -> None:
    """Stop the guest; it is started again if the job is canceled or a later step fails."""
    name, primary = plan.subject.instance.name, plan.subject.primary
    if plan.restarts:
        # Registered before the call: the guest may still stop after a cancel has ended the wait.
        undo.by(f"start {name} on {primary.name} again", partial(_start_again, plan, tools))
    try:
        await tools.progress.interruptible(stop_guest(plan.subject, plan.timeout, tools))
    except (Failed, Refused):
        if plan.restarts:
            undo.drop_newest()
        raise


async def _start_again(plan: Failover, tools: Tools) -> None:
    """Start the instance on its old node again."""
    instance, state = plan.subject.instance, tools.config.state()
    await attach_disks(state, instance, plan.subject.disks, tools, ignore_secondaries=True)
    await tools.nodes.ask(
        plan.subject.primary, StartInstanceCall(guest=make_guest(state, instance))
    )


async def _start_on_target(plan: Failover, tools: Tools) -> None:
    """Attach the disks on the new primary node, and start the instance if it should be up."""
    state = tools.config.state()
    moved = state.instances[plan.subject.instance.uuid]
    # Disks on one node are attached by the start itself; a secondary node needs a call of its own.
    if plan.subject.secondaries and (plan.restarts or moved.disks_active):
        disks = state.get_disks(moved)
        await attach_disks(state, moved, disks, tools, ignore_secondaries=True)
    if plan.restarts:
        tools.progress.log_message(f"starting instance {moved.name} on node {plan.target.name}")
        await tools.nodes.ask(plan.target, StartInstanceCall(guest=make_guest(state, moved)))


def hooks(plan: Failover | MigrationCleanup, state: ClusterState) -> HookCall:
    if isinstance(plan, MigrationCleanup):
        more = {
            "IGNORE_CONSISTENCY": "False",
            "SHUTDOWN_TIMEOUT": "0",
            "FAILOVER_CLEANUP": "True",
            **roles(plan.subject, plan.subject.primary),
        }
        return instance_hooks("instance-failover", plan.subject, state, more)
    more = {
        "IGNORE_CONSISTENCY": str(plan.careless),
        "SHUTDOWN_TIMEOUT": str(plan.timeout),
        "FAILOVER_CLEANUP": "False",
        **roles(plan.subject, plan.target),
    }
    others = [node.uuid for node in (*plan.subject.secondaries, plan.target)]
    before = [state.cluster.master_node, *others]
    after = [*before, plan.subject.primary.uuid]
    return instance_hooks(
        "instance-failover", plan.subject, state, more, before=before, after=after
    )


def roles(subject: InstanceContext, target: Node) -> dict[str, str]:
    """Return the hook variables with old and new primary and secondary nodes."""
    old = " ".join(node.name for node in subject.secondaries)
    moves = target != subject.primary
    return {
        "OLD_PRIMARY": subject.primary.name,
        "OLD_SECONDARY": old,
        "NEW_PRIMARY": target.name,
        "NEW_SECONDARY": subject.primary.name if old and moves else old,
    }


def request_allocation(
    op: FailoverInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    return None if op.cleanup else request_move_allocation(op, state, facts)


OPERATION = Operation(
    FailoverInstance, plan, run, questions, hooks, request_allocation=request_allocation
)
