# SPDX-License-Identifier: BSD-2-Clause
"""The operation that migrates an instance to another node without a restart of its guest.

Until the guest has been sent completely, all steps can be undone. Then the configuration is
changed, and only after that the guest is resumed on the target. So after an interruption at any
point the instance can only run on its primary node. ``--cleanup`` resolves a paused guest on a node
that did not answer at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import Disk
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.model.parameters.filling import backend_of, fill_hypervisor
from ganeti.opcodes.choices import MigrationMode
from ganeti.opcodes.fields import SHUTDOWN_TIMEOUT
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.operations.allocation.candidates import list_sizes, require_space
from ganeti.operations.allocation.target_node import (
    destination,
    get_template,
    move_queries,
    request_move_allocation,
)
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.mirrors import check_current
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.modify.runtime_memory import change_memory
from ganeti.operations.instance.moves.failover import (
    Failover,
    make_failover,
    move_locks,
    move_presence_queries,
    roles,
    run_failover,
)
from ganeti.operations.instance.moves.migration import MigrationSteps, send
from ganeti.operations.instance.moves.migration_cleanup import (
    MigrationCleanup,
    cleanup_queries,
    plan_cleanup,
    run_cleanup,
)
from ganeti.operations.instance.moves.moved_disks import COPIED_TEMPLATES, make_copy
from ganeti.operations.instance.running_check import check_nowhere_else, determine_presence
from ganeti.operations.instance.snapshots.conditions import check_no_snapshots
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import DescribeRunning
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace

_HYPERVISORS_WITHOUT_MIGRATION = frozenset({"chroot", "lxc"})
"""Hypervisors without migration."""


@dataclass(frozen=True)
class InstanceMigration:
    """A running instance and the target node.

    ``memory`` is what the guest is reduced to before, in MiB, if the target has too little.
    """

    op: MigrateInstance
    subject: InstanceContext
    target: Node
    live: bool
    memory: int | None = None
    """The memory that the guest is reduced to before, if it is."""
    copies: tuple[Disk, ...] = ()
    """The records of its disks there, if they are only on its own node now."""

    @property
    def locks(self) -> LockRequest:
        return move_locks(self.subject, self.target)


@dataclass(frozen=True)
class MigrationByRestart:
    """A failover in place of a migration, and the reason."""

    op: MigrateInstance
    failover: Failover
    reason: str

    @property
    def locks(self) -> LockRequest:
        return self.failover.locks


def questions(op: MigrateInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if op.cleanup:
        return cleanup_queries(subject, state)
    asked = move_queries(op, subject, state, COPIED_TEMPLATES)
    return move_presence_queries(asked, subject, state)


def plan(
    op: MigrateInstance, state: ClusterState, facts: NodeAnswers
) -> InstanceMigration | MigrationByRestart | MigrationCleanup:
    """Plan the migration, failover or cleanup."""
    subject = subject_of(op, state)
    if op.cleanup:
        return plan_cleanup(subject, state, facts)
    live = _is_live(op, subject, state)
    reason = _find_obstacle(subject, state, facts)
    copied = get_template(subject) in COPIED_TEMPLATES
    if reason is not None and copied:
        raise Refused(
            f"instance {subject.instance.name} cannot be migrated: {reason}; to stop it and copy"
            f" its disks to another node: gnt-instance move -n NODE {subject.instance.name}"
        )
    if reason is not None:
        target = destination(op, subject, state, facts)
        return _plan_failover(op, subject, target, reason, state, facts)
    guest = facts.answer_of(subject.primary, DescribeNode).guests[subject.instance.name]
    minmem = min(backend_of(state.cluster, subject.instance).minmem, guest.memory)
    least = minmem if op.allow_runtime_changes else guest.memory
    target = _choose_target(op, subject, guest, least, state, facts)
    present = facts.answer_of(target, DescribeNode)
    check_nowhere_else(determine_presence(subject, state, facts))
    if present.memory_free < least:
        reduced = f", and cannot have less than {least} MiB" if op.allow_runtime_changes else ""
        raise Refused(
            f"node {target.name} has {present.memory_free} MiB of free memory, but instance "
            f"{subject.instance.name} uses {guest.memory} MiB{reduced}; free memory there first",
            Code.RESOURCES,
        )
    check_current(target, subject.disks, facts, "wait for the resync before the migration")
    memory = present.memory_free if present.memory_free < guest.memory else None
    copies: tuple[Disk, ...] = ()
    if copied:
        check_no_snapshots(state, subject.instance, "which are not copied to another node")
        sizes = list_sizes(subject.disks)
        require_space(target, present, get_template(subject), sizes, state=state)
        copies = tuple(make_copy(disk, target, facts.identity) for disk in subject.disks)
    return InstanceMigration(op, subject, target, live, memory, copies)


def _choose_target(
    op: MigrateInstance,
    subject: InstanceContext,
    guest: GuestState,
    least: int,
    state: ClusterState,
    facts: NodeAnswers,
) -> Node:
    """Return the target node: one with room for the guest as it is, else with ``least`` memory.

    :raises Refused: there is none.
    """
    reduced = replace(guest, memory=least)
    try:
        return destination(op, subject, state, facts, runs_with=guest, copied=COPIED_TEMPLATES)
    except Refused:
        if least == guest.memory:
            raise
        return destination(op, subject, state, facts, runs_with=reduced, copied=COPIED_TEMPLATES)


def _is_live(op: MigrateInstance, subject: InstanceContext, state: ClusterState) -> bool:
    if op.mode is not None and op.live is not None:
        raise Refused("give either mode or live, not both", Code.INPUT)
    if op.live is not None:
        return op.live
    filled = fill_hypervisor(state.cluster, subject.instance)
    mode = op.mode or MigrationMode(filled.get("migration_mode", MigrationMode.LIVE))
    return mode is MigrationMode.LIVE


def _find_obstacle(subject: InstanceContext, state: ClusterState, facts: NodeAnswers) -> str | None:
    """Return the reason why the instance cannot be migrated, or None."""
    instance, node = subject.instance, subject.primary
    if instance.hypervisor in _HYPERVISORS_WITHOUT_MIGRATION:
        return f"hypervisor {instance.hypervisor} does not support migration"
    if backend_of(state.cluster, instance).always_failover:
        return "its parameter always_failover is set"
    if node.offline:
        return f"its node {node.name} is offline"
    if instance.name not in facts.answer_of(node, DescribeNode).guests:
        return "it is not running"
    return None


def _plan_failover(
    op: MigrateInstance,
    subject: InstanceContext,
    target: Node,
    reason: str,
    state: ClusterState,
    facts: NodeAnswers,
) -> MigrationByRestart:
    instance = subject.instance
    if not (op.allow_failover or backend_of(state.cluster, instance).always_failover):
        raise Refused(
            f"instance {instance.name} cannot be migrated: {reason}; to move it anyway: "
            f"gnt-instance failover {instance.name}, or migrate --allow-failover"
        )
    failover = make_failover(target, subject, state, facts, timeout=SHUTDOWN_TIMEOUT)
    return MigrationByRestart(op, failover, reason)


async def run(
    plan: InstanceMigration | MigrationByRestart | MigrationCleanup, tools: Tools
) -> dict[str, object] | None:
    """Move the instance; return its node and the maximum downtime in ms for a migration."""
    match plan:
        case MigrationCleanup():
            await run_cleanup(plan, tools)
        case MigrationByRestart():
            name = plan.failover.subject.instance.name
            tools.progress.log_message(
                f"failing over instance {name} instead of migrating it: {plan.reason}"
            )
            await run_failover(plan.failover, tools)
        case InstanceMigration():
            passage = MigrationSteps(
                plan.subject, plan.target, plan.live, plan.op.ignore_hvversions, plan.copies
            )
            downtime = await _send_reduced(plan, passage, tools)
            return {"node": plan.target.name, "downtime_ms": downtime}
    return None


async def _send_reduced(plan: InstanceMigration, passage: MigrationSteps, tools: Tools) -> int:
    """Migrate the guest, before that with less memory if necessary; return the downtime in ms."""
    if plan.memory is None:
        return await send(passage, tools)
    subject, name = plan.subject, plan.subject.instance.name
    state = tools.config.state()
    guest = make_guest(state, state.instances[subject.instance.uuid])
    running = await tools.nodes.ask(subject.primary, DescribeRunning(guest=guest))
    tools.progress.log_message(
        f"instance {name} is reduced from {running.used_memory} to {plan.memory} MiB of memory, as"
        f" node {plan.target.name} has no more; later: gnt-instance modify -m SIZE {name}"
    )
    async with Undo(tools.progress) as undo:
        restore = partial(change_memory, subject, running.used_memory, tools)
        undo.by(f"give instance {name} its memory back", restore)
        await change_memory(subject, plan.memory, tools)
        return await send(passage, tools)


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


def request_allocation(
    op: MigrateInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    return None if op.cleanup else request_move_allocation(op, state, facts)


OPERATION = Operation(
    MigrateInstance, plan, run, questions, hooks, request_allocation=request_allocation
)
