# SPDX-License-Identifier: BSD-2-Clause
"""Submitting the job that brings an instance to another node group."""

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
    group_questions,
    groups_for,
    preview,
    regrouping,
    run,
)
from ganeti.operations.allocation.iallocator import consultation
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
)


@dataclass(frozen=True)
class ChangeGroup(GroupChange):
    """The job that brings the instance to another group."""

    subject: InstanceContext


def _groups(
    op: ChangeInstanceGroup, subject: InstanceContext, state: ClusterState
) -> tuple[Group, ...]:
    """The groups that the instance may go to: not the one that all of it is in."""
    present = {node.group: state.groups[node.group] for node in subject.nodes}
    split = len(present) > 1 and op.target_groups
    return groups_for(op.target_groups, () if split else tuple(present.values()), state)


def questions(op: ChangeInstanceGroup, state: ClusterState) -> Sequence[NodeQuery]:
    return group_questions(_groups(op, subject_of(op, state), state), state)


def plan(op: ChangeInstanceGroup, state: ClusterState, facts: NodeAnswers) -> ChangeGroup:
    """Decide by which steps the instance changes its group, or refuse."""
    subject = subject_of(op, state)
    groups, manner = _groups(op, subject, state), Options(op.early_release)
    found = regrouping([subject.instance], groups, manner, state, facts)
    return ChangeGroup(found.jobs, groups, subject)


def consult(
    op: ChangeInstanceGroup, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Ask an allocator, if one is to choose."""
    subject = subject_of(op, state)
    request = change_request([subject.instance], _groups(op, subject, state))
    return consultation(op.iallocator, request, state)


def hooks(plan: ChangeGroup, state: ClusterState) -> HookCall:
    master, more = [state.cluster.master_node], {"TARGET_GROUPS": plan.target_groups}
    return instance_hooks(
        "instance-change-group", plan.subject, state, more, before=master, after=master
    )


OPERATION = Operation(ChangeInstanceGroup, plan, run, questions, hooks, preview, consult)
