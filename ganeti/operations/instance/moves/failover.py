# SPDX-License-Identifier: BSD-2-Clause
"""Stopping an instance on its node and starting it on another one.

The old node has let go before the configuration names the new one, and only then is the
instance started there: so it runs nowhere but on its primary node, wherever this breaks off. A node
that does not answer has not let go; only an administrator can say so, by marking it offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import moved_to
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.instance import Wanted
from ganeti.model.node import Node
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.allocation.target_node import (
    consult_about_move,
    destination,
    move_questions,
)
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.disks.mirrors import require_current
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.lifecycle.start import require_memory
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.instance.moves.migration_cleanup import (
    MigrationCleanup,
    plan_settling,
    run_settling,
    settling_questions,
)
from ganeti.operations.instance.running_check import (
    presence,
    presence_questions,
    require_not_elsewhere,
    require_nowhere_else,
)
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
    """An instance and the node that it goes to by a restart.

    ``careless`` goes on although the copies of its disks may not be current, or stay attached on
    the old node.
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
        return self.subject.instance.admin_state is Wanted.UP


def move_locks(subject: InstanceContext, target: Node) -> LockRequest:
    """The instance for oneself, its nodes and the one it goes to together with others."""
    return {**request(shared=[node_lock(target.uuid)]), **subject.locks}


def questions(op: FailoverInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if op.cleanup:
        return settling_questions(subject, state)
    return move_presence_questions(move_questions(op, subject, state), subject, state)


def move_presence_questions(
    asked: list[NodeQuery], subject: InstanceContext, state: ClusterState
) -> list[NodeQuery]:
    """Return the questions of a move together with those where else the instance runs."""
    described = [
        node for each in asked if isinstance(each.call, DescribeNode) for node in each.nodes
    ]
    return [*asked, *presence_questions(subject, state, besides=described)]


def plan(
    op: FailoverInstance, state: ClusterState, facts: NodeAnswers
) -> Failover | MigrationCleanup:
    """Decide where the instance goes, or refuse."""
    subject = subject_of(op, state)
    if op.cleanup:
        return plan_settling(subject, state, facts)
    target = destination(op, subject, state, facts)
    return failover_to(
        target,
        subject,
        state,
        facts,
        timeout=op.shutdown_timeout,
        careless=op.ignore_consistency,
    )


def failover_to(
    target: Node,
    subject: InstanceContext,
    state: ClusterState,
    facts: NodeAnswers,
    *,
    timeout: int,
    careless: bool = False,
) -> Failover:
    """The plan to restart an instance on ``target``.

    :raises Refused: there is not enough memory, the copies of its disks are not current, or it is
        not certain that it runs on no other node than its primary one.
    """
    plan = Failover(subject, target, timeout, careless)
    present = facts.of(target, DescribeNode)
    found = presence(subject, state, facts)
    if plan.restarts or subject.instance.disks_active:
        require_nowhere_else(found)
    else:
        require_not_elsewhere(found)
    if plan.restarts:
        require_memory(guest_of(state, subject.instance), present, target.name)
    if subject.instance.disks_active and not careless:
        require_current(
            target,
            subject.disks,
            facts,
            "wait until they are, or use --ignore-consistency, which may lose data",
        )
    return plan


async def run(plan: Failover | MigrationCleanup, tools: Tools) -> None:
    if isinstance(plan, MigrationCleanup):
        await run_settling(plan, tools)
    else:
        await run_failover(plan, tools)


async def run_failover(plan: Failover, tools: Tools) -> None:
    """Stop, switch and start again.

    :raises Failed: the message says where the instance is.
    """
    instance, target = plan.subject.instance, plan.target
    if plan.restarts:
        await require_able(target, guest_of(tools.config.state(), instance), tools)
    tools.progress.may_stop()
    async with Undo(tools.progress) as undo:
        await _let_go(plan, tools, undo)
        await tools.nodes.ask(
            target,
            FinalizeMigrationDst(guest=guest_of(tools.config.state(), instance), arrived=False),
        )
        await tools.config.change(moved_to(instance, target))
    tools.progress.say(f"instance {instance.name} is on {target.name} from now on")
    try:
        await _take_over(plan, tools)
    except (Failed, Refused) as e:
        raise Failed(
            f"instance {instance.name} has moved to {target.name}, but could not be started "
            f"there: {e}; once that is mended: gnt-instance startup {instance.name}",
            e.code,
        ) from e


async def _let_go(plan: Failover, tools: Tools, undo: Undo) -> None:
    """Stop the instance and detach its disks, unless its node is marked offline.

    :raises Failed: the instance may go on running there.
    """
    instance, primary = plan.subject.instance, plan.subject.primary
    if primary.offline:
        tools.progress.say(
            f"node {primary.name} is marked offline, so that instance {instance.name} is taken "
            "to be down there"
        )
        return
    tools.progress.say(f"stopping {instance.name} on {primary.name}")
    try:
        await _stop(plan, tools, undo)
    except (Failed, Refused) as e:
        raise Failed(
            f"instance {instance.name} may still be running on {primary.name}: {e}; make sure "
            "that its node daemon answers, or power it off and mark it offline: "
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
                f"the disks of instance {instance.name} could not be detached on {primary.name}: "
                f"{e}; to leave them attached there: --ignore-consistency",
                e.code,
            ) from e
        tools.progress.say(f"the disks of {instance.name} stay attached on {primary.name}: {e}")


async def _stop(plan: Failover, tools: Tools, undo: Undo) -> None:
    """Stop the guest, which is started again if the job is canceled or a later step fails."""
    name, primary = plan.subject.instance.name, plan.subject.primary
    if plan.restarts:
        # Registered first: a guest may still stop when a cancel has ended the wait for that.
        undo.by(f"start {name} on {primary.name} again", partial(_back, plan, tools))
    try:
        await tools.progress.interruptible(stop_guest(plan.subject, plan.timeout, tools))
    except (Failed, Refused):
        if plan.restarts:
            undo.forget()
        raise


async def _back(plan: Failover, tools: Tools) -> None:
    """Start the instance again where it was."""
    instance, state = plan.subject.instance, tools.config.state()
    await attach_disks(state, instance, plan.subject.disks, tools, ignore_secondaries=True)
    await tools.nodes.ask(plan.subject.primary, StartInstanceCall(guest=guest_of(state, instance)))


async def _take_over(plan: Failover, tools: Tools) -> None:
    """Use the disks on the new primary node, and start the instance if it is to run."""
    state = tools.config.state()
    moved = state.instances[plan.subject.instance.uuid]
    if plan.subject.secondaries and (plan.restarts or moved.disks_active):
        disks = state.disks_of(moved)
        await attach_disks(state, moved, disks, tools, ignore_secondaries=True)
    if plan.restarts:
        tools.progress.say(f"starting {moved.name} on {plan.target.name}")
        await tools.nodes.ask(plan.target, StartInstanceCall(guest=guest_of(state, moved)))


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
    """The variables that tell hooks which node was what, and becomes what."""
    old = " ".join(node.name for node in subject.secondaries)
    moves = target != subject.primary
    return {
        "OLD_PRIMARY": subject.primary.name,
        "OLD_SECONDARY": old,
        "NEW_PRIMARY": target.name,
        "NEW_SECONDARY": subject.primary.name if old and moves else old,
    }


def consult(
    op: FailoverInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    return None if op.cleanup else consult_about_move(op, state, facts)


OPERATION = Operation(FailoverInstance, plan, run, questions, hooks, consult=consult)
