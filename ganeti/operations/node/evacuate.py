# SPDX-License-Identifier: BSD-2-Clause
"""The operation that submits jobs to evacuate primary or secondary instances from a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.choices import EvacuationMode
from ganeti.opcodes.node import EvacuateNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.evacuation import (
    Evacuation,
    RemainingResources,
    by_name,
    capacity_queries,
    choose_primary,
    make_secondary_replacement,
    moving,
    others,
)
from ganeti.operations.allocation.iallocator import make_request
from ganeti.operations.allocation.iallocator_jobs import get_allocator_jobs
from ganeti.operations.instance.context import format_reserved
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery, Operation, Tools


@dataclass(frozen=True)
class NodeEvacuation:
    """The jobs to submit; each job acquires its own locks."""

    op: EvacuateNode
    leaving: Evacuation

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: EvacuateNode, state: ClusterState) -> Sequence[NodeQuery]:
    node, named = state.node(op.node_uuid or op.node_name), op.remote_node_uuid or op.remote_node
    return capacity_queries(node, state, named)


def plan(op: EvacuateNode, state: ClusterState, facts: NodeAnswers) -> NodeEvacuation:
    """Choose the target of every instance; refuse with the reason for each that is stuck."""
    node = state.node(op.node_uuid or op.node_name)
    asked = _requested_node(op, node, state)
    if facts.advice is not None:
        reserved = [each for each in _leaving(op, node, state) if each.forthcoming]
        return NodeEvacuation(op, _allocator_evacuation(op, node, facts, reserved))
    places = RemainingResources(state, others(node, state), facts)
    jobs: list[tuple[Opcode, ...]] = []
    stuck: list[tuple[str, str]] = []

    wanted: list[tuple[Instance, Callable[[], tuple[Opcode, ...]]]] = []
    if op.mode is not EvacuationMode.SECONDARY_ONLY:
        for each in by_name(state.list_primary_instances(node)):
            wanted.append((each, partial(_move_primary, each, node, places, state, op)))
    if op.mode is not EvacuationMode.PRIMARY_ONLY:
        for each in by_name(state.list_secondary_instances(node)):
            wanted.append((each, partial(_move_secondary, each, node, places, state, asked, op)))
    for instance, steps in wanted:
        try:
            jobs.append(steps())
        except Refused as e:
            stuck.append((instance.name, str(e)))
    leaving = Evacuation(node, tuple(jobs), tuple(stuck))
    if stuck and not op.ignore_soft_errors:
        raise _stuck(leaving)
    return NodeEvacuation(op, leaving)


def request_allocation(
    op: EvacuateNode, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator, unless a node is given."""
    if op.remote_node or op.remote_node_uuid:
        return None
    node = state.node(op.node_uuid or op.node_name)
    leaving = [each for each in _leaving(op, node, state) if not each.forthcoming]
    request = {
        "type": "node-evacuate",
        "instances": [instance.name for instance in leaving],
        "evac_mode": op.mode.value,
    }
    wanted = make_request(op.iallocator, request, state)
    if wanted is None or not op.ignore_soft_errors:
        return wanted
    return replace(wanted, options=[*wanted.options, "--ignore-soft-errors"])


def _leaving(op: EvacuateNode, node: Node, state: ClusterState) -> list[Instance]:
    """Return the instances to evacuate, by name."""
    found: list[Instance] = []
    if op.mode is not EvacuationMode.SECONDARY_ONLY:
        found += state.list_primary_instances(node)
    if op.mode is not EvacuationMode.PRIMARY_ONLY:
        found += state.list_secondary_instances(node)
    return by_name(found)


def _allocator_evacuation(
    op: EvacuateNode, node: Node, facts: NodeAnswers, reserved: Sequence[Instance]
) -> Evacuation:
    """Return the evacuation that an iallocator has proposed; ``reserved`` ones stay.

    :raises Refused: it has opcodes that are not allowed, or instances are stuck.
    """
    advised = get_allocator_jobs(facts, early_release=op.early_release)
    stay = ((each.name, format_reserved(each)) for each in reserved)
    leaving = Evacuation(node, advised.jobs, (*advised.stuck, *stay))
    if leaving.stuck and not op.ignore_soft_errors:
        raise _stuck(leaving)
    return leaving


def _stuck(leaving: Evacuation) -> Refused:
    return Refused(
        f"cannot evacuate all instances from node {leaving.node.name}: {leaving.told()}",
        Code.RESOURCES,
    )


def _requested_node(op: EvacuateNode, node: Node, state: ClusterState) -> Node | None:
    name = op.remote_node_uuid or op.remote_node
    if name is None:
        return None
    if op.iallocator is not None:
        raise Refused("give either a node or an iallocator, not both", Code.INPUT)
    if op.mode is not EvacuationMode.SECONDARY_ONLY:
        raise Refused(
            f"remote_node requires the mode {EvacuationMode.SECONDARY_ONLY}",
            Code.INPUT,
        )
    asked = state.node(name)
    if asked == node:
        raise Refused(f"node {node.name} is the source; choose another target", Code.INPUT)
    return asked


def _move_primary(
    instance: Instance,
    node: Node,
    places: RemainingResources,
    state: ClusterState,
    op: EvacuateNode,
) -> tuple[Opcode, ...]:
    template = state.get_template(instance)
    target = choose_primary(instance, node, places, state, None)
    move = moving(instance, node, target, template in SHARED_TEMPLATES)
    if op.mode is EvacuationMode.PRIMARY_ONLY or template not in MIRRORED_TEMPLATES:
        return (move,)
    # The move only exchanges the roles, so a copy would stay on the node.
    early = op.early_release
    return move, make_secondary_replacement(
        instance, node, target, places, state, None, early=early
    )


def _move_secondary(
    instance: Instance,
    node: Node,
    places: RemainingResources,
    state: ClusterState,
    asked: Node | None,
    op: EvacuateNode,
) -> tuple[Opcode, ...]:
    primary, early = state.nodes[instance.primary_node], op.early_release
    return (make_secondary_replacement(instance, node, primary, places, state, asked, early=early),)


async def run(plan: NodeEvacuation, tools: Tools) -> dict[str, object]:
    leaving = plan.leaving
    for name, reason in leaving.stuck:
        tools.progress.log_message(
            f"cannot move {name} away from node {leaving.node.name}: {reason}"
        )
    return {"jobs": [list(row) for row in await tools.submit(leaving.jobs)]}


def preview(plan: NodeEvacuation) -> list[list[str]]:
    """Return the result of a dry run: the summaries of the opcodes of each job."""
    return [[opcode.summary for opcode in job] for job in plan.leaving.jobs]


OPERATION = Operation(
    EvacuateNode, plan, run, questions, preview=preview, request_allocation=request_allocation
)
