# SPDX-License-Identifier: BSD-2-Clause
"""The operations that tell what the failure of nodes would do; they change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from ganeti.config.changes.failover import wants_failover
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.failover import GuardKind
from ganeti.model.node import Node
from ganeti.model.parameters.filling import node_parameters_of
from ganeti.opcodes.failover import RehearseFailure, SurveyFailures
from ganeti.operations.allocation.iallocator import room
from ganeti.operations.allocation.placement_model import build_model
from ganeti.operations.operation import AnyOperation, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.placement.failures import TOGETHER, FailurePlan, SurvivalReport
from ganeti.placement.solver import FailureQuestion, SurvivalQuestion
from ganeti.rpc.guest_lease import SUSPICION, compute_wait

POWER_OFF_TIME = 10.0
"""Seconds that an out-of-band helper is expected to take."""

START_TIME = 3.0
"""Seconds that the start of an instance is expected to take."""


@dataclass(frozen=True)
class Rehearsal:
    """What would happen, in JSON types; needs no locks."""

    answer: dict[str, object]

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: RehearseFailure | SurveyFailures, state: ClusterState) -> Sequence[NodeQuery]:
    return [room(state)]


def _ranks(state: ClusterState) -> dict[str, int]:
    return {
        state.instances[uuid].name: policy.rank
        for uuid, policy in state.failover_policies.items()
        if wants_failover(state, uuid)
    }


def search_rehearsal(
    op: RehearseFailure, state: ClusterState, facts: NodeAnswers
) -> Generator[None, None, FailureQuestion]:
    """Return the question about these nodes."""
    failed = tuple(sorted({state.node(name).name for name in op.node_names}))
    model = yield from build_model(state, facts)
    return FailureQuestion(model=model, failed=failed, ranks=_ranks(state))


def search_survey(
    op: SurveyFailures, state: ClusterState, facts: NodeAnswers
) -> Generator[None, None, SurvivalQuestion]:
    """Return the question about all failures."""
    model = yield from build_model(state, facts)
    return SurvivalQuestion(model=model, ranks=_ranks(state))


def plan_rehearsal(op: RehearseFailure, state: ClusterState, facts: NodeAnswers) -> Rehearsal:
    """Return where each instance would go and when, or why it would not start."""
    found = facts.solution
    if not isinstance(found, FailurePlan):
        raise Refused("the plan of the failover is missing; try again", Code.INTERNAL)
    fences = {name: estimate_fence(state, state.node(name)) for name in found.failed}
    waiting: Counter[str] = Counter()
    placements = []
    for each in found.placements:
        fence = fences[each.source][1]
        turn, waiting[each.target] = waiting[each.target] // TOGETHER + 1, waiting[each.target] + 1
        seconds = None if fence is None else round(fence + turn * START_TIME)
        placements.append([each.instance, each.source, each.target, seconds])
    return Rehearsal(
        {
            "fences": [[name, how, seconds] for name, (how, seconds) in fences.items()],
            "placements": placements,
            "refusals": [[each.instance, each.source, each.reason] for each in found.refusals],
        }
    )


def estimate_fence(state: ClusterState, node: Node) -> tuple[str, float | None]:
    """Return how it would be confirmed that a node is off, and after how many seconds.

    The seconds are None if a person has to confirm it.
    """
    guard = state.node_guards.get(node.uuid)
    ways: list[tuple[float, str]] = []
    if node_parameters_of(state.cluster, state.groups[node.group], node).oob_program:
        ways.append((SUSPICION + POWER_OFF_TIME, "power"))
    if guard is not None and (
        guard.kind is GuardKind.DEVICE or not state.failover_settings.require_device
    ):
        ways.append((SUSPICION + compute_wait(guard), guard.kind.value))
    if not ways or state.failover_settings.maintenance or node.uuid in state.node_maintenance:
        return "person", None
    seconds, how = min(ways)
    return how, seconds


def plan_survey(op: SurveyFailures, state: ClusterState, facts: NodeAnswers) -> Rehearsal:
    """Return the failures that are not survived."""
    found = facts.solution
    if not isinstance(found, SurvivalReport):
        raise Refused("the survey of failures is missing; try again", Code.INTERNAL)
    names = {name for name, _ in _ranks(state).items()}
    guarded = {node.name for node in state.nodes.values() if node.uuid in state.node_guards}
    return Rehearsal(
        {
            "instances": len(names),
            "nodes": found.nodes,
            "pairs": found.pairs_tried,
            "single": [_describe_loss(plan) for plan in found.single],
            "double": [_describe_loss(plan) for plan in found.double],
            "unguarded": sorted(
                node.name
                for node in state.nodes.values()
                if not node.offline
                and node.name not in guarded
                and any(each.name in names for each in state.list_primary_instances(node))
                and estimate_fence(state, node)[1] is None
            ),
        }
    )


def _describe_loss(plan: FailurePlan) -> dict[str, object]:
    return {
        "failed": list(plan.failed),
        "lost": [[each.instance, each.reason] for each in plan.refusals],
    }


async def run(plan: Rehearsal, tools: Tools) -> dict[str, object]:
    return plan.answer


def preview(plan: Rehearsal) -> dict[str, object]:
    return plan.answer


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        RehearseFailure, plan_rehearsal, run, questions, preview=preview, search=search_rehearsal
    ),
    Operation(SurveyFailures, plan_survey, run, questions, preview=preview, search=search_survey),
)
