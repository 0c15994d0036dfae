# SPDX-License-Identifier: BSD-2-Clause
"""Moving an instance to another node without a restart of its guest.

Until the whole guest has been sent, everything can be taken back and it goes on where it was.
Then the configuration says where it is, and only after that it is let run there: so it runs
nowhere but on its primary node, wherever this breaks off. What is held on a node that does not
answer in the end is settled by ``--cleanup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled, hv_filled
from ganeti.opcodes.choices import MigrationMode
from ganeti.opcodes.fields import SHUTDOWN_TIMEOUT
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.operations.allocation.target_node import (
    consult_about_move,
    destination,
    move_questions,
)
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.mirrors import require_current
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.moves.failover import (
    Failover,
    failover_to,
    move_locks,
    move_presence_questions,
    roles,
    run_failover,
)
from ganeti.operations.instance.moves.migration import MigrationSteps, send
from ganeti.operations.instance.moves.migration_cleanup import (
    MigrationCleanup,
    plan_settling,
    run_settling,
    settling_questions,
)
from ganeti.operations.instance.running_check import presence, require_nowhere_else
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.rpc.node import DescribeNode

_CANNOT = frozenset({"chroot", "lxc"})
"""Hypervisors whose guests cannot be moved while they run."""


@dataclass(frozen=True)
class InstanceMigration:
    """A running instance and the node that it goes to."""

    op: MigrateInstance
    subject: InstanceContext
    target: Node
    live: bool

    @property
    def locks(self) -> LockRequest:
        return move_locks(self.subject, self.target)


@dataclass(frozen=True)
class MigrationByRestart:
    """A failover in place of a migration, and why it is one."""

    op: MigrateInstance
    failover: Failover
    reason: str

    @property
    def locks(self) -> LockRequest:
        return self.failover.locks


def questions(op: MigrateInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if op.cleanup:
        return settling_questions(subject, state)
    return move_presence_questions(move_questions(op, subject, state), subject, state)


def plan(
    op: MigrateInstance, state: ClusterState, facts: NodeAnswers
) -> InstanceMigration | MigrationByRestart | MigrationCleanup:
    """Decide how the instance moves, and where to, or refuse."""
    subject = subject_of(op, state)
    if op.cleanup:
        return plan_settling(subject, state, facts)
    live = _live(op, subject, state)
    reason = _no_migration(subject, state, facts)
    if reason is not None:
        target = destination(op, subject, state, facts)
        return _restart(op, subject, target, reason, state, facts)
    guest = facts.of(subject.primary, DescribeNode).guests[subject.instance.name]
    target = destination(op, subject, state, facts, runs_with=guest)
    present = facts.of(target, DescribeNode)
    require_nowhere_else(presence(subject, state, facts))
    if present.memory_free < guest.memory:
        raise Refused(
            f"node {target.name} has {present.memory_free} MiB of memory free, and instance "
            f"{subject.instance.name} runs with {guest.memory} MiB; make room there first",
            Code.RESOURCES,
        )
    require_current(target, subject.disks, facts, "wait until they are: only then can it run there")
    return InstanceMigration(op, subject, target, live)


def _live(op: MigrateInstance, subject: InstanceContext, state: ClusterState) -> bool:
    if op.mode is not None and op.live is not None:
        raise Refused("give either mode or live, not both", Code.INPUT)
    if op.live is not None:
        return op.live
    filled = hv_filled(state.cluster, subject.instance)
    mode = op.mode or MigrationMode(filled.get("migration_mode", MigrationMode.LIVE))
    return mode is MigrationMode.LIVE


def _no_migration(subject: InstanceContext, state: ClusterState, facts: NodeAnswers) -> str | None:
    """Why the instance can only be restarted elsewhere; None if it can be migrated."""
    instance, node = subject.instance, subject.primary
    if instance.hypervisor in _CANNOT:
        return f"the hypervisor {instance.hypervisor} cannot migrate guests"
    if be_filled(state.cluster, instance)["always_failover"]:
        return "its parameter always_failover is set"
    if node.offline:
        return f"its node {node.name} is offline"
    if instance.name not in facts.of(node, DescribeNode).guests:
        return "it does not run"
    return None


def _restart(
    op: MigrateInstance,
    subject: InstanceContext,
    target: Node,
    reason: str,
    state: ClusterState,
    facts: NodeAnswers,
) -> MigrationByRestart:
    instance = subject.instance
    if not (op.allow_failover or be_filled(state.cluster, instance)["always_failover"]):
        raise Refused(
            f"instance {instance.name} cannot be migrated: {reason}; to move it all the same: "
            f"gnt-instance failover {instance.name}, or migrate --allow-failover"
        )
    failover = failover_to(target, subject, state, facts, timeout=SHUTDOWN_TIMEOUT)
    return MigrationByRestart(op, failover, reason)


async def run(
    plan: InstanceMigration | MigrationByRestart | MigrationCleanup, tools: Tools
) -> dict[str, Any] | None:
    """Move the instance; the result says where it is and how long it stood still at most."""
    match plan:
        case MigrationCleanup():
            await run_settling(plan, tools)
        case MigrationByRestart():
            name = plan.failover.subject.instance.name
            tools.progress.say(f"{name} is failed over, as {plan.reason}")
            await run_failover(plan.failover, tools)
        case InstanceMigration():
            passage = MigrationSteps(
                plan.subject, plan.target, plan.live, plan.op.ignore_hvversions
            )
            downtime = await send(passage, tools)
            return {"node": plan.target.name, "downtime_ms": downtime}
    return None


def hooks(
    plan: InstanceMigration | MigrationByRestart | MigrationCleanup, state: ClusterState
) -> HookCall:
    if isinstance(plan, MigrationCleanup):
        subject, target, live, runtime = plan.subject, plan.subject.primary, False, False
    elif isinstance(plan, MigrationByRestart):
        subject, target, live = plan.failover.subject, plan.failover.target, False
        runtime = plan.op.allow_runtime_changes
    else:
        subject, target, live = plan.subject, plan.target, plan.live
        runtime = plan.op.allow_runtime_changes
    more = {
        "MIGRATE_LIVE": str(live),
        "MIGRATE_CLEANUP": str(isinstance(plan, MigrationCleanup)),
        "ALLOW_RUNTIME_CHANGES": str(runtime),
        **roles(subject, target),
    }
    here = [
        state.cluster.master_node,
        *dict.fromkeys(node.uuid for node in (*subject.nodes, target)),
    ]
    return instance_hooks("instance-migrate", subject, state, more, before=here, after=here)


def consult(
    op: MigrateInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    return None if op.cleanup else consult_about_move(op, state, facts)


OPERATION = Operation(MigrateInstance, plan, run, questions, hooks, consult=consult)
