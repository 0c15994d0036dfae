# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that move instances to another node group, depending on their disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.candidates import storage_units
from ganeti.operations.allocation.evacuation import RemainingResources, by_name
from ganeti.operations.allocation.iallocator_jobs import get_allocator_jobs
from ganeti.operations.allocation.sizes import make_placement, size_of
from ganeti.operations.instance.context import InstanceContext, check_exists, standing
from ganeti.operations.instance.nic_networks import connected
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc.node import DescribeNode

_POLICY_ORDER = (AllocPolicy.PREFERRED, AllocPolicy.LAST_RESORT)
"""Allocation policies of groups that are used without being requested, in order."""


@dataclass(frozen=True)
class Options:
    """Options of the moves: early release of old disks, and failover instead of migration."""

    early_release: bool
    failover: bool = False


@dataclass(frozen=True)
class GroupChange:
    """The jobs that move instances to another group; each job acquires its own locks."""

    jobs: tuple[tuple[Opcode, ...], ...]
    groups: tuple[Group, ...]

    @property
    def locks(self) -> LockRequest:
        return {}

    @property
    def target_groups(self) -> str:
        """The UUIDs of the groups as hooks get them."""
        return " ".join(group.uuid for group in self.groups)


def select_groups(
    names: Sequence[str] | None, leaving: Sequence[Group], state: ClusterState
) -> tuple[Group, ...]:
    """Return the groups with these names, or all allocatable groups except those in ``leaving``.

    :raises Refused: there is none, or a name is in ``leaving``.
    """
    if names:
        named = tuple(state.group(name) for name in names)
        if left := [group.name for group in named if group in leaving]:
            raise Refused(
                f"node group {', '.join(left)} is the source; choose other target groups",
                Code.INPUT,
            )
        return named
    others = [
        group
        for group in state.groups.values()
        if group not in leaving and group.alloc_policy in _POLICY_ORDER
    ]
    if not others:
        raise Refused(
            "no other allocatable node group exists; give a target group, or create one: "
            "gnt-group add NAME, and gnt-group assign-nodes NAME NODE"
        )
    return tuple(
        sorted(others, key=lambda each: (_POLICY_ORDER.index(each.alloc_policy), each.name))
    )


def nodes_of(groups: Sequence[Group], state: ClusterState) -> list[Node]:
    """Return the nodes of the groups."""
    return [node for group in groups for node in state.list_nodes(group)]


def group_queries(groups: Sequence[Group], state: ClusterState) -> Sequence[NodeQuery]:
    """Return the queries for the resources of the groups' nodes."""
    online = [node for node in nodes_of(groups, state) if not node.offline]
    hypervisors = state.cluster.enabled_hypervisors
    asked = DescribeNode(hypervisors=hypervisors, storage=storage_units(state.cluster))
    return [NodeQuery(online, asked)]


def change_request(instances: Sequence[Instance], groups: Sequence[Group]) -> dict[str, object]:
    """Return the request for jobs in the form of the iallocator protocol."""
    return {
        "type": "change-group",
        "instances": [instance.name for instance in instances],
        "target_groups": [group.uuid for group in groups],
    }


def plan_group_change(
    instances: Sequence[Instance],
    groups: tuple[Group, ...],
    manner: Options,
    state: ClusterState,
    facts: NodeAnswers,
) -> GroupChange:
    """Plan the jobs that move the instances to one of the groups.

    The jobs come from the iallocator if one was used.

    :raises Refused: an instance cannot move; with the reason for each.
    """
    for instance in instances:
        check_exists(instance)
    if facts.advice is not None:
        advised = get_allocator_jobs(facts, early_release=manner.early_release)
        jobs, stuck = list(advised.jobs), list(advised.stuck)
    else:
        jobs, stuck = [], []
        places = RemainingResources(state, nodes_of(groups, state), facts)
        for instance in by_name(instances):
            try:
                jobs.append(_plan_instance(instance, groups, manner, places, state))
            except Refused as e:
                stuck.append((instance.name, str(e)))
    if stuck:
        told = "; ".join(f"{name}: {reason}" for name, reason in stuck)
        raise Refused(f"not all instances can move to another group: {told}", Code.RESOURCES)
    return GroupChange(tuple(_apply_options(job, manner) for job in jobs), groups)


def _plan_instance(
    instance: Instance,
    groups: Sequence[Group],
    manner: Options,
    places: RemainingResources,
    state: ClusterState,
) -> tuple[Opcode, ...]:
    """Return the opcodes that move the instance to the first suitable group.

    :raises Refused: no group is suitable; with the reason for each.
    """
    subject, reasons = standing(instance, state), []
    template = state.get_template(instance)
    if template not in MIRRORED_TEMPLATES | SHARED_TEMPLATES:
        raise Refused(
            f"its {template.value} disks are only on {subject.primary.name}; to stop it and copy "
            f"them: gnt-instance move -n NODE {instance.name}"
        )
    for group in groups:
        try:
            connected(instance.nics, group, state, before=instance.nics)
            if template in MIRRORED_TEMPLATES:
                return _move_mirrored(subject, group, manner, places, state)
            return _move_shared(subject, group, places, state)
        except Refused as e:
            reasons.append(f"group {group.name}: {e}")
    raise Refused("; ".join(reasons), Code.RESOURCES)


def _move_shared(
    subject: InstanceContext, group: Group, places: RemainingResources, state: ClusterState
) -> tuple[Opcode, ...]:
    instance = subject.instance
    away = [subject.primary.uuid]
    wish = make_placement(instance, subject.disks, state, away_from=away, group=group.uuid)
    [target] = places.take_in(group, wish, size_of(instance, subject.disks, state))
    return (_move(subject, target),)


def _move_mirrored(
    subject: InstanceContext,
    group: Group,
    manner: Options,
    places: RemainingResources,
    state: ClusterState,
) -> tuple[Opcode, ...]:
    """Replace the copies outside the group one after the other, with a move in between."""
    instance, primary = subject.instance, subject.primary
    there = [node for node in subject.nodes if node.group == group.uuid]
    wish = make_placement(
        instance,
        subject.disks,
        state,
        away_from=[node.uuid for node in subject.nodes],
        group=group.uuid,
        runs_there=False,
    ).with_node_count(2 - len(there))
    # It runs on the first new node, or on the one that it has there already.
    size = size_of(instance, subject.disks, state)
    taken = places.take_in(group, wish, size, runs_there=not there)
    copies = [_replace_secondary(instance, node, manner) for node in taken]
    if primary in there:
        return (copies[0],)
    if there:
        return _move(subject), copies[0]
    # The primary node syncs new copies, so it must be online for the replacement.
    first = (_move(subject),) if primary.offline else ()
    return *first, copies[0], _move(subject, live=primary.offline), copies[1]


def _replace_secondary(instance: Instance, node: Node, manner: Options) -> ReplaceDisks:
    return ReplaceDisks(
        instance_name=instance.name,
        mode=ReplacementMode.NEW_SECONDARY,
        remote_node=node.name,
        early_release=manner.early_release,
    )


def _move(subject: InstanceContext, target: Node | None = None, *, live: bool = False) -> Opcode:
    """Return the opcode that moves the guest to ``target``, or to its secondary node.

    ``live`` states that its node will be online by then, so that a migration is possible.
    """
    instance, name = subject.instance, None if target is None else target.name
    stands = instance.admin_state is not AdminState.UP or (subject.primary.offline and not live)
    if stands:
        return FailoverInstance(instance_name=instance.name, target_node=name)
    return MigrateInstance(instance_name=instance.name, target_node=name, allow_failover=True)


def _apply_options(job: tuple[Opcode, ...], manner: Options) -> tuple[Opcode, ...]:
    """Return the job with failovers instead of migrations if requested."""
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


async def run(plan: GroupChange, tools: Tools) -> dict[str, object]:
    return {"jobs": [list(row) for row in await tools.submit(plan.jobs)] if plan.jobs else []}


def preview(plan: GroupChange) -> list[list[str]]:
    """Return the result of a dry run: the summaries of the opcodes of each job."""
    return [[opcode.summary for opcode in job] for job in plan.jobs]
