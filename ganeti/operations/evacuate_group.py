# SPDX-License-Identifier: BSD-2-Clause
"""The operation that submits jobs to move all instances of a node group to other groups."""

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
    group_queries,
    plan_group_change,
    preview,
    run,
    select_groups,
)
from ganeti.operations.allocation.iallocator import make_request
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
)
from ganeti.schema.records import replace

_FINAL_STATUSES = ("canceled", "error", "success")
"""Accepted final statuses of the previous job: a failed move does not stop the others."""


@dataclass(frozen=True)
class GroupEvacuation(GroupChange):
    """The jobs that evacuate the group."""

    group: Group


def _target_groups(op: EvacuateGroup, state: ClusterState) -> tuple[Group, ...]:
    return select_groups(op.target_groups, [state.group(op.group_name)], state)


def _instances(group: Group, state: ClusterState) -> list[Instance]:
    """Return the instances with their primary or secondary node in the group."""
    found: dict[str, Instance] = {}
    for node in state.list_nodes(group):
        here = (*state.list_primary_instances(node), *state.list_secondary_instances(node))
        found.update({instance.uuid: instance for instance in here})
    return by_name(found.values())


def questions(op: EvacuateGroup, state: ClusterState) -> Sequence[NodeQuery]:
    return group_queries(_target_groups(op, state), state)


def plan(op: EvacuateGroup, state: ClusterState, facts: NodeAnswers) -> GroupEvacuation:
    """Choose the target of every instance; refuse with a reason for each that cannot move."""
    group, groups = state.group(op.group_name), _target_groups(op, state)
    manner = Options(op.early_release, op.force_failover)
    found = plan_group_change(_instances(group, state), groups, manner, state, facts)
    jobs = _chain_jobs(found.jobs) if op.sequential else found.jobs
    return GroupEvacuation(jobs, groups, group)


def _chain_jobs(jobs: Sequence[tuple[Opcode, ...]]) -> tuple[tuple[Opcode, ...], ...]:
    """Return the jobs with a dependency of each on the previous one."""
    first, rest = jobs[:1], jobs[1:]
    return (
        *first,
        *((replace(job[0], depends=((-1, _FINAL_STATUSES),)), *job[1:]) for job in rest),
    )


def request_allocation(
    op: EvacuateGroup, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator, if one is used."""
    instances = _instances(state.group(op.group_name), state)
    if not instances:
        return None
    return make_request(op.iallocator, change_request(instances, _target_groups(op, state)), state)


def hooks(plan: GroupEvacuation, state: ClusterState) -> HookCall:
    more = {"GROUP_NAME": plan.group.name, "TARGET_GROUPS": plan.target_groups}
    here = [state.cluster.master_node, *(node.uuid for node in state.list_nodes(plan.group))]
    return HookCall("group-evacuate", "GROUP", more, here, here)


OPERATION = Operation(EvacuateGroup, plan, run, questions, hooks, preview, request_allocation)
