# SPDX-License-Identifier: BSD-2-Clause
"""Submitting the jobs that bring all instances of a node group to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.opcodes.group import EvacuateGroup
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.evacuation import by_name
from ganeti.operations.allocation.group_change import (
    GroupChange,
    Options,
    change_request,
    group_questions,
    groups_for,
    preview,
    regrouping,
    run,
)
from ganeti.operations.allocation.iallocator import consultation
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
)
from ganeti.schema.records import replace

_ENDED = ("canceled", "error", "success")
"""How the job before may have ended: one instance that stays keeps no other."""


@dataclass(frozen=True)
class GroupEvacuation(GroupChange):
    """The jobs that empty the group."""

    group: Group


def _groups(op: EvacuateGroup, state: ClusterState) -> tuple[Group, ...]:
    return groups_for(op.target_groups, [state.group(op.group_name)], state)


def _instances(group: Group, state: ClusterState) -> list[Instance]:
    """The instances of which a guest or a copy is in the group."""
    found: dict[str, Instance] = {}
    for node in state.nodes_in(group):
        here = (*state.primaries_on(node), *state.secondaries_on(node))
        found.update({instance.uuid: instance for instance in here})
    return by_name(found.values())


def questions(op: EvacuateGroup, state: ClusterState) -> Sequence[NodeQuery]:
    return group_questions(_groups(op, state), state)


def plan(op: EvacuateGroup, state: ClusterState, facts: NodeAnswers) -> GroupEvacuation:
    """Decide where every instance goes, or refuse with the reason for each that cannot leave."""
    group, groups = state.group(op.group_name), _groups(op, state)
    manner = Options(op.early_release, op.force_failover)
    found = regrouping(_instances(group, state), groups, manner, state, facts)
    jobs = _one_after_the_other(found.jobs) if op.sequential else found.jobs
    return GroupEvacuation(jobs, groups, group)


def _one_after_the_other(jobs: Sequence[tuple[Opcode, ...]]) -> tuple[tuple[Opcode, ...], ...]:
    """The jobs, of which each waits for the end of the one before."""
    first, rest = jobs[:1], jobs[1:]
    return (*first, *((replace(job[0], depends=((-1, _ENDED),)), *job[1:]) for job in rest))


def consult(op: EvacuateGroup, state: ClusterState, facts: NodeAnswers) -> IAllocatorRequest | None:
    """Ask an allocator, if one is to choose."""
    instances = _instances(state.group(op.group_name), state)
    if not instances:
        return None
    return consultation(op.iallocator, change_request(instances, _groups(op, state)), state)


def hooks(plan: GroupEvacuation, state: ClusterState) -> HookCall:
    more = {"GROUP_NAME": plan.group.name, "TARGET_GROUPS": plan.target_groups}
    here = [state.cluster.master_node, *(node.uuid for node in state.nodes_in(plan.group))]
    return HookCall("group-evacuate", "GROUP", more, here, here)


OPERATION = Operation(EvacuateGroup, plan, run, questions, hooks, preview, consult)
