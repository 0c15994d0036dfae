# SPDX-License-Identifier: BSD-2-Clause
"""The opcodes that bring instances to another node group, by what their disks allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, REACHED_FROM_ANYWHERE
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.instance import Instance, Wanted
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.candidates import storage_units
from ganeti.operations.allocation.evacuation import Capacity, by_name
from ganeti.operations.allocation.iallocator_jobs import advised_jobs
from ganeti.operations.allocation.sizes import placement_of, size_of
from ganeti.operations.instance.context import InstanceContext, standing
from ganeti.operations.instance.nic_networks import connected
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc.node import DescribeNode

_ORDER = (AllocPolicy.PREFERRED, AllocPolicy.LAST_RESORT)
"""Groups that instances come to without being asked for, those to try first."""


@dataclass(frozen=True)
class Options:
    """How instances move: whether old disks go early, and guests are stopped for it."""

    early_release: bool
    failover: bool = False


@dataclass(frozen=True)
class GroupChange:
    """The jobs that bring instances to another group; each of them locks what it needs."""

    jobs: tuple[tuple[Opcode, ...], ...]
    groups: tuple[Group, ...]

    @property
    def locks(self) -> LockRequest:
        return {}

    @property
    def target_groups(self) -> str:
        """What hooks are told of the groups."""
        return " ".join(group.uuid for group in self.groups)


def groups_for(
    names: Sequence[str] | None, leaving: Sequence[Group], state: ClusterState
) -> tuple[Group, ...]:
    """The groups that are named, or else all that take instances and are not to be left.

    :raises Refused: there is none, or one of those that are to be left is named.
    """
    if names:
        named = tuple(state.group(name) for name in names)
        if left := [group.name for group in named if group in leaving]:
            raise Refused(f"{', '.join(left)} is the group that is to be left", Code.INPUT)
        return named
    others = [
        group
        for group in state.groups.values()
        if group not in leaving and group.alloc_policy in _ORDER
    ]
    if not others:
        raise Refused(
            "there is no other node group that takes instances; name one, or make one: "
            "gnt-group add NAME, and gnt-group assign-nodes NAME NODE"
        )
    return tuple(sorted(others, key=lambda each: (_ORDER.index(each.alloc_policy), each.name)))


def nodes_of(groups: Sequence[Group], state: ClusterState) -> list[Node]:
    """The nodes of some groups."""
    return [node for group in groups for node in state.nodes_in(group)]


def group_questions(groups: Sequence[Group], state: ClusterState) -> Sequence[NodeQuery]:
    """How much room the nodes of some groups have."""
    online = [node for node in nodes_of(groups, state) if not node.offline]
    hypervisors = state.cluster.enabled_hypervisors
    asked = DescribeNode(hypervisors=hypervisors, storage=storage_units(state.cluster))
    return [NodeQuery(online, asked)]


def change_request(instances: Sequence[Instance], groups: Sequence[Group]) -> dict[str, Any]:
    """The request for jobs, in the form of the allocators' protocol."""
    return {
        "type": "change-group",
        "instances": [instance.name for instance in instances],
        "target_groups": [group.uuid for group in groups],
    }


def regrouping(
    instances: Sequence[Instance],
    groups: tuple[Group, ...],
    manner: Options,
    state: ClusterState,
    facts: NodeAnswers,
) -> GroupChange:
    """The jobs that bring the instances to one of the groups, as they or an allocator say.

    :raises Refused: one of the instances cannot go; with the reason for each.
    """
    if facts.advice is not None:
        advised = advised_jobs(facts, early_release=manner.early_release)
        jobs, stuck = list(advised.jobs), list(advised.stuck)
    else:
        jobs, stuck = [], []
        places = Capacity(state, nodes_of(groups, state), facts)
        for instance in by_name(instances):
            try:
                jobs.append(_steps(instance, groups, manner, places, state))
            except Refused as e:
                stuck.append((instance.name, str(e)))
    if stuck:
        told = "; ".join(f"{name}: {reason}" for name, reason in stuck)
        raise Refused(f"not every instance can change its group: {told}", Code.RESOURCES)
    return GroupChange(tuple(_in_manner(job, manner) for job in jobs), groups)


def _steps(
    instance: Instance,
    groups: Sequence[Group],
    manner: Options,
    places: Capacity,
    state: ClusterState,
) -> tuple[Opcode, ...]:
    """The opcodes that bring the instance to the first of the groups that can take it.

    :raises Refused: none can; with the reason for each.
    """
    subject, reasons = standing(instance, state), []
    template = state.template_of(instance)
    if template not in MIRRORED_BETWEEN_NODES | REACHED_FROM_ANYWHERE:
        raise Refused(
            f"its {template.value} disks are only on {subject.primary.name}; to stop it and copy "
            f"them: gnt-instance move -n NODE {instance.name}"
        )
    for group in groups:
        try:
            connected(instance.nics, group, state, before=instance.nics)
            if template in MIRRORED_BETWEEN_NODES:
                return _both_copies(subject, group, manner, places, state)
            return _only_the_guest(subject, group, places, state)
        except Refused as e:
            reasons.append(f"group {group.name}: {e}")
    raise Refused("; ".join(reasons), Code.RESOURCES)


def _only_the_guest(
    subject: InstanceContext, group: Group, places: Capacity, state: ClusterState
) -> tuple[Opcode, ...]:
    instance = subject.instance
    away = [subject.primary.uuid]
    wish = placement_of(instance, subject.disks, state, away_from=away, group=group.uuid)
    [target] = places.take_in(group, wish, size_of(instance, subject.disks, state))
    return (_move(subject, target),)


def _both_copies(
    subject: InstanceContext, group: Group, manner: Options, places: Capacity, state: ClusterState
) -> tuple[Opcode, ...]:
    """One copy after the other, as many as are not in the group yet, and the guest between."""
    instance, primary = subject.instance, subject.primary
    there = [node for node in subject.nodes if node.group == group.uuid]
    wish = placement_of(
        instance,
        subject.disks,
        state,
        away_from=[node.uuid for node in subject.nodes],
        group=group.uuid,
        runs_there=False,
    ).for_nodes(2 - len(there))
    taken = places.take_in(group, wish, size_of(instance, subject.disks, state))
    copies = [_copy_to(instance, node, manner) for node in taken]
    if primary in there:
        return (copies[0],)
    if there:
        return _move(subject), copies[0]
    # Copies are built by the node that the instance runs on, which must be there for that.
    first = (_move(subject),) if primary.offline else ()
    return *first, copies[0], _move(subject, live=primary.offline), copies[1]


def _copy_to(instance: Instance, node: Node, manner: Options) -> ReplaceDisks:
    return ReplaceDisks(
        instance_name=instance.name,
        mode=ReplacementMode.NEW_SECONDARY,
        remote_node=node.name,
        early_release=manner.early_release,
    )


def _move(subject: InstanceContext, target: Node | None = None, *, live: bool = False) -> Opcode:
    """The opcode that brings the guest to ``target``, or to where the second copy is.

    ``live`` says that by then its node will be one that can send it.
    """
    instance, name = subject.instance, None if target is None else target.name
    stands = instance.admin_state is not Wanted.UP or (subject.primary.offline and not live)
    if stands:
        return FailoverInstance(instance_name=instance.name, target_node=name)
    return MigrateInstance(instance_name=instance.name, target_node=name, allow_failover=True)


def _in_manner(job: tuple[Opcode, ...], manner: Options) -> tuple[Opcode, ...]:
    """The job with failovers instead of migrations, if that is wanted."""
    return tuple(
        FailoverInstance(
            instance_name=each.instance_name,
            target_node=each.target_node,
            iallocator=each.iallocator,
            ignore_ipolicy=each.ignore_ipolicy,
        )
        if manner.failover and isinstance(each, MigrateInstance)
        else each
        for each in job
    )


async def run(plan: GroupChange, tools: Tools) -> dict[str, Any]:
    return {"jobs": [list(row) for row in await tools.submit(plan.jobs)] if plan.jobs else []}


def preview(plan: GroupChange) -> list[list[str]]:
    """What a dry run shows: the summaries of the opcodes of each job."""
    return [[opcode.summary for opcode in job] for job in plan.jobs]
