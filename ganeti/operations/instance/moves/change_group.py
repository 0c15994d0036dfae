# SPDX-License-Identifier: BSD-2-Clause
"""The operation that submits a job to move an instance to another node group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.model.group import Group
from ganeti.opcodes.instance.moves import ChangeInstanceGroup
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
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
)


@dataclass(frozen=True)
class ChangeGroup(GroupChange):
    """The job that moves the instance to another group."""

    subject: InstanceContext


def _target_groups(
    op: ChangeInstanceGroup, subject: InstanceContext, state: ClusterState
) -> tuple[Group, ...]:
    """Return the possible target groups, without the present group of the instance."""
    present = {node.group: state.groups[node.group] for node in subject.nodes}
    split = len(present) > 1 and op.target_groups
    return select_groups(op.target_groups, () if split else tuple(present.values()), state)


def questions(op: ChangeInstanceGroup, state: ClusterState) -> Sequence[NodeQuery]:
    return group_queries(_target_groups(op, subject_of(op, state), state), state)


def plan(op: ChangeInstanceGroup, state: ClusterState, facts: NodeAnswers) -> ChangeGroup:
    """Plan the opcodes that move the instance."""
    subject = subject_of(op, state)
    groups, manner = _target_groups(op, subject, state), Options(op.early_release)
    found = plan_group_change([subject.instance], groups, manner, state, facts)
    return ChangeGroup(found.jobs, groups, subject)


def request_allocation(
    op: ChangeInstanceGroup, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator, if one is used."""
    subject = subject_of(op, state)
    request = change_request([subject.instance], _target_groups(op, subject, state))
    return make_request(op.iallocator, request, state)


def hooks(plan: ChangeGroup, state: ClusterState) -> HookCall:
    master, more = [state.cluster.master_node], {"TARGET_GROUPS": plan.target_groups}
    return instance_hooks(
        "instance-change-group", plan.subject, state, more, before=master, after=master
    )


OPERATION = Operation(ChangeInstanceGroup, plan, run, questions, hooks, preview, request_allocation)
