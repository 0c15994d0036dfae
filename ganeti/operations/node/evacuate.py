# SPDX-License-Identifier: BSD-2-Clause
"""Submitting the jobs that take instances off a node: those that run there, copies, or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, REACHED_FROM_ANYWHERE
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.choices import EvacuationMode
from ganeti.opcodes.node import EvacuateNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.evacuation import (
    Capacity,
    Evacuation,
    by_name,
    moving,
    new_secondary,
    others,
    primary_target,
    room_questions,
)
from ganeti.operations.allocation.iallocator import consultation
from ganeti.operations.allocation.iallocator_jobs import advised_jobs
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery, Operation, Tools


@dataclass(frozen=True)
class NodeEvacuation:
    """The jobs to submit; each of them locks what it needs."""

    op: EvacuateNode
    leaving: Evacuation

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: EvacuateNode, state: ClusterState) -> Sequence[NodeQuery]:
    return room_questions(state.node(op.node_uuid or op.node_name), state)


def plan(op: EvacuateNode, state: ClusterState, facts: NodeAnswers) -> NodeEvacuation:
    """Decide where every instance goes, or refuse with the reason for each that cannot leave."""
    node = state.node(op.node_uuid or op.node_name)
    asked = _asked(op, node, state)
    if facts.advice is not None:
        return NodeEvacuation(op, _advised(op, node, facts))
    places = Capacity(state, others(node, state), facts)
    jobs: list[tuple[Opcode, ...]] = []
    stuck: list[tuple[str, str]] = []

    wanted: list[tuple[Instance, Callable[[], tuple[Opcode, ...]]]] = []
    if op.mode is not EvacuationMode.SECONDARY_ONLY:
        for each in by_name(state.primaries_on(node)):
            wanted.append((each, partial(_primary, each, node, places, state, op)))
    if op.mode is not EvacuationMode.PRIMARY_ONLY:
        for each in by_name(state.secondaries_on(node)):
            wanted.append((each, partial(_secondary, each, node, places, state, asked, op)))
    for instance, steps in wanted:
        try:
            jobs.append(steps())
        except Refused as e:
            stuck.append((instance.name, str(e)))
    leaving = Evacuation(node, tuple(jobs), tuple(stuck))
    if stuck and not op.ignore_soft_errors:
        raise Refused(f"not every instance can leave {node.name}: {leaving.told()}", Code.RESOURCES)
    return NodeEvacuation(op, leaving)


def consult(op: EvacuateNode, state: ClusterState, facts: NodeAnswers) -> IAllocatorRequest | None:
    """Ask an allocator, unless a node is named."""
    if op.remote_node or op.remote_node_uuid:
        return None
    node = state.node(op.node_uuid or op.node_name)
    leaving = {
        EvacuationMode.PRIMARY_ONLY: [*state.primaries_on(node)],
        EvacuationMode.SECONDARY_ONLY: [*state.secondaries_on(node)],
        EvacuationMode.ALL: [*state.primaries_on(node), *state.secondaries_on(node)],
    }
    request = {
        "type": "node-evacuate",
        "instances": [instance.name for instance in by_name(leaving[op.mode])],
        "evac_mode": op.mode.value,
    }
    wanted = consultation(op.iallocator, request, state)
    if wanted is None or not op.ignore_soft_errors:
        return wanted
    return replace(wanted, options=[*wanted.options, "--ignore-soft-errors"])


def _advised(op: EvacuateNode, node: Node, facts: NodeAnswers) -> Evacuation:
    """The jobs that an allocator has thought of.

    :raises Refused: they are none that it may ask for, or some instances are to stay.
    """
    advised = advised_jobs(facts, early_release=op.early_release)
    leaving = Evacuation(node, advised.jobs, advised.stuck)
    if leaving.stuck and not op.ignore_soft_errors:
        raise Refused(f"not every instance can leave {node.name}: {leaving.told()}", Code.RESOURCES)
    return leaving


def _asked(op: EvacuateNode, node: Node, state: ClusterState) -> Node | None:
    name = op.remote_node_uuid or op.remote_node
    if name is None:
        return None
    if op.iallocator is not None:
        raise Refused("name either a node or an allocator, not both", Code.INPUT)
    if op.mode is not EvacuationMode.SECONDARY_ONLY:
        raise Refused(
            f"remote_node takes second copies only; use the mode {EvacuationMode.SECONDARY_ONLY}",
            Code.INPUT,
        )
    asked = state.node(name)
    if asked == node:
        raise Refused(f"{node.name} is the node that is to be left", Code.INPUT)
    return asked


def _primary(
    instance: Instance, node: Node, places: Capacity, state: ClusterState, op: EvacuateNode
) -> tuple[Opcode, ...]:
    template = state.template_of(instance)
    target = primary_target(instance, node, places, state, None)
    move = moving(instance, node, target, template in REACHED_FROM_ANYWHERE)
    if op.mode is EvacuationMode.PRIMARY_ONLY or template not in MIRRORED_BETWEEN_NODES:
        return (move,)
    early = op.early_release
    return move, new_secondary(instance, node, target, places, state, None, early=early)


def _secondary(
    instance: Instance,
    node: Node,
    places: Capacity,
    state: ClusterState,
    asked: Node | None,
    op: EvacuateNode,
) -> tuple[Opcode, ...]:
    primary, early = state.nodes[instance.primary_node], op.early_release
    return (new_secondary(instance, node, primary, places, state, asked, early=early),)


async def run(plan: NodeEvacuation, tools: Tools) -> dict[str, Any]:
    leaving = plan.leaving
    for name, reason in leaving.stuck:
        tools.progress.say(f"{name} stays on {leaving.node.name}: {reason}")
    return {"jobs": [list(row) for row in await tools.submit(leaving.jobs)]}


def preview(plan: NodeEvacuation) -> list[list[str]]:
    """What a dry run shows: the summaries of the opcodes of each job."""
    return [[opcode.summary for opcode in job] for job in plan.leaving.jobs]


OPERATION = Operation(EvacuateNode, plan, run, questions, preview=preview, consult=consult)
