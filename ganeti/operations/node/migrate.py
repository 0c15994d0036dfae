# SPDX-License-Identifier: BSD-2-Clause
"""The operation that submits jobs to migrate all primary instances of a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import SHARED_TEMPLATES
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.node import MigrateNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.evacuation import (
    Evacuation,
    RemainingResources,
    by_name,
    capacity_queries,
    choose_primary,
    others,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools


@dataclass(frozen=True)
class NodeMigration:
    """The jobs to submit; each job acquires its own locks."""

    op: MigrateNode
    leaving: Evacuation

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: MigrateNode, state: ClusterState) -> Sequence[NodeQuery]:
    node, named = state.node(op.node_uuid or op.node_name), op.target_node_uuid or op.target_node
    return capacity_queries(node, state, named)


def plan(op: MigrateNode, state: ClusterState, facts: NodeAnswers) -> NodeMigration:
    """Choose the target of every instance; refuse if all are stuck."""
    node = state.node(op.node_uuid or op.node_name)
    name = op.target_node_uuid or op.target_node
    if name is not None and op.iallocator is not None:
        raise Refused("give either a target node or an iallocator, not both", Code.INPUT)
    asked = None if name is None else state.node(name)
    if asked == node:
        raise Refused(f"node {node.name} is the source; choose another target", Code.INPUT)
    places = RemainingResources(state, others(node, state), facts)
    jobs: list[tuple[Opcode, ...]] = []
    stuck: list[tuple[str, str]] = []
    for instance in by_name(state.list_primary_instances(node)):
        try:
            target = choose_primary(instance, node, places, state, asked)
        except Refused as e:
            stuck.append((instance.name, str(e)))
            continue
        named = op.iallocator is None and state.get_template(instance) in SHARED_TEMPLATES
        migrate = MigrateInstance(
            instance_name=instance.name,
            mode=op.mode,
            live=op.live,
            target_node=target.name if named else None,
            iallocator=op.iallocator,
            allow_runtime_changes=op.allow_runtime_changes,
            ignore_ipolicy=op.ignore_ipolicy,
            # An instance that does not run can only be moved by a failover.
            allow_failover=instance.admin_state is not AdminState.UP,
        )
        jobs.append((migrate,))
    leaving = Evacuation(node, tuple(jobs), tuple(stuck))
    if stuck and not jobs:
        raise Refused(
            f"cannot migrate any instance from node {node.name}: {leaving.told()}", Code.RESOURCES
        )
    return NodeMigration(op, leaving)


async def run(plan: NodeMigration, tools: Tools) -> dict[str, object]:
    leaving = plan.leaving
    for name, reason in leaving.stuck:
        tools.progress.log_message(
            f"cannot move {name} away from node {leaving.node.name}: {reason}"
        )
    return {"jobs": [list(row) for row in await tools.submit(leaving.jobs)]}


def hooks(plan: NodeMigration, state: ClusterState) -> HookCall:
    more = {
        "OP_TARGET": plan.leaving.node.name,
        "NODE_NAME": plan.leaving.node.name,
        "ALLOW_RUNTIME_CHANGES": str(plan.op.allow_runtime_changes),
    }
    master = [state.cluster.master_node]
    return HookCall("node-migrate", "NODE", more, master, master)


def preview(plan: NodeMigration) -> list[list[str]]:
    """Return the result of a dry run: the summaries of the opcodes of each job."""
    return [[opcode.summary for opcode in job] for job in plan.leaving.jobs]


OPERATION = Operation(MigrateNode, plan, run, questions, hooks, preview)
