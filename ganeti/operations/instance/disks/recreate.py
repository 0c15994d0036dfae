# SPDX-License-Identifier: BSD-2-Clause
"""Making the disks of a stopped instance anew, empty, on its nodes or on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ganeti.config.changes.instances import moved_to, put_back, relaid
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk, Template
from ganeti.model.node import Node
from ganeti.model.parameters.filling import policy_filled
from ganeti.opcodes.instance.disks import RecreateDisks
from ganeti.operations.allocation.candidates import candidates, require_space, storage_units
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.iallocator import advised, consultation, require_one
from ganeti.operations.allocation.iallocator_protocol import disk_facts, disk_space, nic_facts
from ganeti.operations.allocation.policy_check import violations
from ganeti.operations.allocation.scoring import choose
from ganeti.operations.allocation.sizes import placement_of, size_of
from ganeti.operations.allocation.target_node import require_usable, template_of
from ganeti.operations.guests import with_parameters
from ganeti.operations.instance.context import InstanceContext, require_online, subject_of
from ganeti.operations.instance.device_specs import disk_wanted
from ganeti.operations.instance.disks.block_devices import attach_disks, create_disks, detach_disks
from ganeti.operations.instance.disks.wipe import wipe_if_wanted
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.running_check import presence, presence_questions, require_stopped
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import DescribeDisks
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace

_SETTABLE = frozenset({"size", "spindles", "mode"})


@dataclass(frozen=True)
class Recreate:
    """Disks that are made anew as these records say, on ``nodes``, the primary one first."""

    op: RecreateDisks
    subject: InstanceContext
    disks: tuple[Disk, ...]
    nodes: tuple[Node, ...]

    @property
    def locks(self) -> LockRequest:
        return {
            **request(shared=[node_lock(node.uuid) for node in self.nodes]),
            **self.subject.locks,
        }

    @property
    def moves(self) -> bool:
        return self.nodes != self.subject.nodes


def questions(op: RecreateDisks, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    hypervisors = state.cluster.enabled_hypervisors
    asked = DescribeNode(hypervisors=hypervisors, storage=storage_units(state.cluster))
    members = state.nodes_in(state.groups[subject.primary.group])
    wanted = {node.uuid: node for node in (*subject.nodes, *members, *_named(op, state))}
    online = [node for node in wanted.values() if not node.offline]
    return [NodeQuery(online, asked), *presence_questions(subject, state)]


def _named(op: RecreateDisks, state: ClusterState) -> list[Node]:
    return [state.node(name) for name in op.node_uuids or op.nodes]


def plan(op: RecreateDisks, state: ClusterState, facts: NodeAnswers) -> Recreate:
    """Decide which disks are made anew and where, or refuse."""
    subject = subject_of(op, state)
    instance = subject.instance
    if template_of(subject) is Template.DISKLESS:
        raise Refused(f"instance {instance.name} has no disks", Code.INPUT)
    require_stopped(presence(subject, state, facts))
    nodes = _nodes(op, subject, state, facts)
    disks = _wanted(op, subject)
    if nodes != subject.nodes and len(disks) != len(subject.disks):
        raise Refused("on other nodes all disks have to be made anew; name none", Code.INPUT)
    _require_sizes(subject, disks, nodes, state)
    sizes = [disk.size for disk in disks]
    for node in nodes:
        require_space(node, facts.of(node, DescribeNode), template_of(subject), sizes)
    return Recreate(op, subject, disks, nodes)


def _nodes(
    op: RecreateDisks, subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> tuple[Node, ...]:
    """The nodes that are named, or chosen, or else those that the instance has."""
    name, named = subject.instance.name, tuple(_named(op, state))
    require_one(op.iallocator, [node.name for node in named])
    count = _nodes_wanted(subject)
    if op.iallocator is not None:
        named = advised(facts, count, state) or _chosen(subject, count, state, facts)
    if not named:
        for node in subject.nodes:
            require_online(node, f"disks of instance {name} cannot be made there")
        return subject.nodes
    if len({node.uuid for node in named}) != count:
        raise Refused(f"the disks of instance {name} need {count} different nodes", Code.INPUT)
    for node in named:
        require_usable(node, f"disks of instance {name} cannot be made there")
    return named


def _chosen(
    subject: InstanceContext, count: int, state: ClusterState, facts: NodeAnswers
) -> tuple[Node, ...]:
    wish = placement_of(subject.instance, subject.disks, state, group=subject.primary.group)
    members = state.nodes_in(state.groups[subject.primary.group])
    known = candidates(members, wish.template, state, lambda node: facts.known(node, DescribeNode))
    return tuple(choose(wish.for_nodes(count), known).nodes)


def _wanted(op: RecreateDisks, subject: InstanceContext) -> tuple[Disk, ...]:
    """The records of the disks to make, with what is asked to be different."""
    changes: dict[int, Mapping[str, Any]] = {}
    for each in op.disks or range(len(subject.disks)):
        index, values = (each, {}) if isinstance(each, int) else each
        if index >= len(subject.disks):
            raise Refused(
                f"instance {subject.instance.name} has no disk {index}; it has"
                f" {len(subject.disks)}, counted from 0",
                Code.INPUT,
            )
        if unknown := [name for name in values if name not in _SETTABLE]:
            can = ", ".join(sorted(_SETTABLE))
            raise Invalid([Problem(f"disks[{index}]/{unknown[0]}", f"only {can} can be given")])
        changes[index] = values
    return tuple(_resized(subject.disks[index], values) for index, values in changes.items())


def _require_sizes(
    subject: InstanceContext, made: Sequence[Disk], nodes: Sequence[Node], state: ClusterState
) -> None:
    """Refuse sizes out of the bounds of the policy; those that a disk has already may stay.

    :raises Refused: a disk would be larger than the policy allows, or the group does not take it.
    """
    by_uuid = {disk.uuid: disk for disk in made}
    disks = [by_uuid.get(disk.uuid, disk) for disk in subject.disks]
    for node in nodes:
        require_group(node, subject, disks, state)
    if [disk.size for disk in disks] != [disk.size for disk in subject.disks]:
        policy = policy_filled(state.cluster, state.groups[nodes[0].group])
        if broken := violations(size_of(subject.instance, disks, state), policy):
            raise Refused(
                f"instance {subject.instance.name} would break the instance policy: "
                f"{'; '.join(broken)}; give other sizes, or grow the disks later with "
                "--ignore-ipolicy",
                Code.INPUT,
            )


def _resized(disk: Disk, values: Mapping[str, Any]) -> Disk:
    wish = disk_wanted({"size": disk.size, **values}, disk.iv_name, disk.dev_type)
    fields = {name: getattr(wish, name) for name in values}
    children = disk.children
    if children:
        children = (replace(children[0], size=wish.size), *children[1:])
    return replace(disk, **fields, children=children)


def consult(op: RecreateDisks, state: ClusterState, facts: NodeAnswers) -> IAllocatorRequest | None:
    """Ask an allocator for nodes, if that is asked for."""
    if op.iallocator is None or op.nodes or op.node_uuids:
        return None
    return consultation(op.iallocator, _allocation(op, state), state)


def _allocation(op: RecreateDisks, state: ClusterState) -> dict[str, Any]:
    """Return the request for nodes for new disks, in the form of the allocators' protocol.

    The disks are lost, so there is nothing to relocate: as for a new instance, all nodes are
    chosen again.
    """
    subject = subject_of(op, state)
    instance, template = subject.instance, template_of(subject)
    made = {disk.uuid: disk for disk in _wanted(op, subject)}
    disks = [made.get(disk.uuid, disk) for disk in subject.disks]
    size = size_of(instance, disks, state)
    return {
        "type": "allocate",
        "name": instance.name,
        "disk_template": template.value,
        # Its networks, and what its disks can share, are those of its group.
        "group_name": state.groups[subject.primary.group].name,
        "tags": list(instance.tags),
        "os": instance.os,
        "vcpus": size.vcpus,
        "memory": size.memory,
        "spindle_use": size.spindles,
        "disks": [disk_facts(disk) for disk in disks],
        "disk_space_total": disk_space(template, size.disks),
        "nics": [nic_facts(nic, state) for nic in instance.nics],
        "required_nodes": _nodes_wanted(subject),
        "hypervisor": instance.hypervisor,
    }


def _nodes_wanted(subject: InstanceContext) -> int:
    return 2 if template_of(subject) in MIRRORED_BETWEEN_NODES else 1


async def _require_lost(plan: Recreate, state: ClusterState, tools: Tools) -> None:
    """Refuse to make disks that are there: what is on them may be all that is left."""
    instance = plan.subject.instance
    disks = [state.disks[disk.uuid] for disk in plan.disks]
    filled = tuple(with_parameters(state, instance, disk) for disk in disks)
    for node in plan.nodes:
        found = await tools.nodes.ask(node, DescribeDisks(disks=filled))
        there = [disk.iv_name for disk, status in zip(disks, found, strict=True) if status]
        if there:
            raise Refused(
                f"{', '.join(there)} of instance {instance.name} is there on {node.name}; name "
                "the disks that are lost: --disk N",
                Code.EXISTS,
            )


async def run(plan: Recreate, tools: Tools) -> None:
    instance, before = plan.subject.instance, tools.config.state()
    if not plan.moves:
        await _require_lost(plan, before, tools)
    old = [before.disks[disk.uuid] for disk in plan.disks]
    nodes = [node.uuid for node in plan.nodes]
    async with Undo(tools.progress) as undo:
        changes = [relaid(instance, plan.disks, nodes)]
        if plan.nodes[0] != plan.subject.primary:
            changes.append(moved_to(instance, plan.nodes[0]))
        await tools.config.change(together(*changes))
        back = partial(tools.config.change, put_back(instance, old))
        undo.by("record the disks as they were", back)
        state = tools.config.state()
        recorded = state.instances[instance.uuid]
        disks = [state.disks[disk.uuid] for disk in plan.disks]
        await create_disks(state, recorded, disks, tools, undo)
        if state.cluster.prealloc_wipe_disks:
            await attach_disks(state, recorded, disks, tools)
            await wipe_if_wanted(recorded, disks, tools)
            await detach_disks(state, recorded, disks, tools)
    where = " and ".join(node.name for node in plan.nodes)
    tools.progress.say(f"{len(plan.disks)} disks of {instance.name} are new, and empty, on {where}")


def hooks(plan: Recreate, state: ClusterState) -> HookCall:
    return instance_hooks("instance-recreate-disks", plan.subject, state, {})


OPERATION = Operation(RecreateDisks, plan, run, questions, hooks, consult=consult)
