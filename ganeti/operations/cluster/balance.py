# SPDX-License-Identifier: BSD-2-Clause
"""The operation that submits jobs to balance node groups."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import SHARED_TEMPLATES
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.placement import BalanceCluster
from ganeti.operations.allocation.iallocator import room
from ganeti.operations.allocation.placement_model import Selection, build_model
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.placement.balance import BalanceOptions, BalancePlan, GroupPlan
from ganeti.placement.moves import Move, Step, StepKind
from ganeti.placement.solver import BalanceQuestion
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace

SUCCEEDED = ("success",)
"""The final status of earlier jobs on which later ones depend."""


@dataclass(frozen=True)
class Balancing:
    """The moves of each group, and a job for each move; ``silent`` are nodes without an answer."""

    groups: tuple[GroupPlan, ...]
    jobs: tuple[tuple[Opcode, ...], ...]
    silent: tuple[str, ...] = ()

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: BalanceCluster, state: ClusterState) -> Sequence[NodeQuery]:
    return [room(state)]


def search(
    op: BalanceCluster, state: ClusterState, facts: NodeAnswers
) -> Generator[None, None, BalanceQuestion]:
    """Return the question, with everything that the options of the opcode exclude made fast."""
    selection = Selection(
        group=None if op.group_name is None else state.group(op.group_name).uuid,
        nodes=frozenset(state.node(name).uuid for name in op.nodes),
        tags=frozenset(op.tags),
    )
    model = yield from build_model(state, facts, selection)
    options = BalanceOptions(
        max_moves=op.max_moves,
        min_gain=op.min_gain,
        copy_disks=op.disk_moves,
        time_limit=op.time_limit,
        seed=op.seed,
    )
    return BalanceQuestion(model=model, options=options)


def plan(op: BalanceCluster, state: ClusterState, facts: NodeAnswers) -> Balancing:
    """Turn the moves that were found into jobs."""
    if not isinstance(facts.solution, BalancePlan):
        raise Refused("the plan of the moves is missing; try again", Code.INTERNAL)
    only = None if op.group_name is None else state.group(op.group_name).name
    groups = tuple(each for each in facts.solution.groups if only in (None, each.group))
    moves = [move for group in groups for move in group.moves]
    silent = (
        node.name
        for node in state.nodes.values()
        if not node.offline and facts.known(node, DescribeNode) is None
    )
    return Balancing(groups, tuple(_make_jobs(moves, state)), tuple(sorted(silent)))


def _make_jobs(moves: Sequence[Move], state: ClusterState) -> Iterator[tuple[Opcode, ...]]:
    """Yield a job for each move, which waits for earlier ones that involve the same nodes.

    If an earlier one fails, its node may lack the resources, so those that depend on it do not run.
    """
    last: dict[str, int] = {}
    for number, move in enumerate(moves):
        nodes = {move.primary, move.secondary, move.new_primary, move.new_secondary} - {None}
        earlier = sorted({last[node] for node in nodes if node in last})
        # Negative numbers stand for earlier jobs of the same submission.
        depends = tuple((each - number, SUCCEEDED) for each in earlier)
        first, *rest = (_make_opcode(move, step, state) for step in move.steps)
        # A dependency of the first opcode holds up the whole job.
        yield (replace(first, depends=depends) if depends else first, *rest)
        last.update(dict.fromkeys((node for node in nodes if node), number))


def _make_opcode(move: Move, step: Step, state: ClusterState) -> Opcode:
    if step.kind is StepKind.REPLACE_SECONDARY:
        return ReplaceDisks(
            instance_name=move.instance,
            mode=ReplacementMode.NEW_SECONDARY,
            remote_node=step.node,
        )
    # Mirrored instances can only move to their secondary nodes, so theirs is not named.
    shared = state.get_template(state.instance(move.instance)) in SHARED_TEMPLATES
    target = step.node if shared else None
    kind = MigrateInstance if step.kind is StepKind.MIGRATE else FailoverInstance
    return kind(instance_name=move.instance, target_node=target)


async def run(plan: Balancing, tools: Tools) -> dict[str, object]:
    for node in plan.silent:
        tools.progress.log_message(f"node {node} does not answer, so its instances stay there")
    jobs = await tools.submit(plan.jobs) if plan.jobs else []
    return {**describe(plan), "jobs": [list(row) for row in jobs]}


def describe(plan: Balancing) -> dict[str, object]:
    """Return the plan in JSON types: for each group the scores and the moves."""
    return {"groups": [_describe_group(group) for group in plan.groups], "silent": [*plan.silent]}


def _describe_group(group: GroupPlan) -> dict[str, object]:
    return {
        "name": group.group,
        "before": msgspec.to_builtins(group.before),
        "after": msgspec.to_builtins(group.after),
        "timed_out": group.timed_out,
        "moves": [_describe_move(move) for move in group.moves],
    }


def _describe_move(move: Move) -> dict[str, object]:
    return {
        "instance": move.instance,
        "from": [name for name in (move.primary, move.secondary) if name],
        "to": [name for name in (move.new_primary, move.new_secondary) if name],
        "steps": [[step.kind.value, step.node] for step in move.steps],
        "score": move.score,
    }


OPERATION = Operation(BalanceCluster, plan, run, questions, preview=describe, search=search)
