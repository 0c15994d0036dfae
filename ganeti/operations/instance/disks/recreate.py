# SPDX-License-Identifier: BSD-2-Clause
"""The operation that recreates disks of a stopped instance, empty, on the same or other nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import put_back, set_disk_layout, set_primary_node
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Problem, Refused, Unreachable
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, Template
from ganeti.model.node import Node
from ganeti.model.parameters.filling import policy_of
from ganeti.opcodes.instance.disks import RecreateDisks
from ganeti.operations.allocation.candidates import (
    candidates,
    list_sizes,
    require_space,
    storage_units,
)
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.iallocator import advised, check_not_both, make_request
from ganeti.operations.allocation.iallocator_protocol import (
    compute_disk_space,
    describe_disk,
    describe_nic,
)
from ganeti.operations.allocation.policy_check import violations
from ganeti.operations.allocation.scoring import choose
from ganeti.operations.allocation.sizes import make_placement, size_of
from ganeti.operations.allocation.target_node import get_template, require_usable
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.device_specs import read_disk
from ganeti.operations.instance.disks.block_devices import attach_disks, create_disks, detach_disks
from ganeti.operations.instance.disks.wipe import wipe_if_enabled
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.running_check import (
    check_stopped,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_no_snapshots
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.operations.planned_ids import DeterministicIdentifiers
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import AttachDisk, DescribeDisks, DetachDisk
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace
from ganeti.schema.types import Value

_SETTABLE = frozenset({"size", "spindles", "mode"})


@dataclass(frozen=True)
class RecreationPlan:
    """The records of recreated disks, and their nodes, the primary first."""

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
    members = state.list_nodes(state.groups[subject.primary.group])
    wanted = {node.uuid: node for node in (*subject.nodes, *members, *_requested_nodes(op, state))}
    online = [node for node in wanted.values() if not node.offline]
    return [NodeQuery(online, asked), *presence_queries(subject, state)]


def _requested_nodes(op: RecreateDisks, state: ClusterState) -> list[Node]:
    return [state.node(name) for name in op.node_uuids or op.nodes]


def plan(op: RecreateDisks, state: ClusterState, facts: NodeAnswers) -> RecreationPlan:
    """Plan the disks to recreate and their nodes."""
    subject = subject_of(op, state)
    instance = subject.instance
    if get_template(subject) is Template.DISKLESS:
        raise Refused(f"instance {instance.name} has no disks", Code.INPUT)
    if get_template(subject) is Template.BLOCKDEV:
        raise Refused(
            f"the disks of instance {instance.name} are existing devices, which are not created;"
            " connect them to its node again",
            Code.INPUT,
        )
    check_no_snapshots(state, instance, "which new disks do not have")
    check_stopped(determine_presence(subject, state, facts))
    nodes = _choose_nodes(op, subject, state, facts)
    disks = _rename_volumes(_disks_to_recreate(op, subject), subject, facts.identity)
    if nodes != subject.nodes and len(disks) != len(subject.disks):
        raise Refused("on other nodes all disks must be recreated; omit the disks", Code.INPUT)
    _require_sizes(subject, disks, nodes, state)
    sizes = list_sizes(disks)
    for node in nodes:
        there = facts.answer_of(node, DescribeNode)
        require_space(node, there, get_template(subject), sizes, state=state)
    return RecreationPlan(op, subject, disks, nodes)


def _choose_nodes(
    op: RecreateDisks, subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> tuple[Node, ...]:
    """Return the requested or chosen nodes, or the instance's own."""
    name, named = subject.instance.name, tuple(_requested_nodes(op, state))
    check_not_both(op.iallocator, [node.name for node in named])
    count = _required_nodes(subject)
    if op.iallocator is not None:
        named = advised(facts, count, state) or _choose_built_in(subject, count, state, facts)
    if not named:
        for node in subject.nodes:
            check_online(node, f"disks of instance {name} cannot be created there")
        return subject.nodes
    if len({node.uuid for node in named}) != count:
        raise Refused(f"the disks of instance {name} require {count} different nodes", Code.INPUT)
    for node in named:
        require_usable(node, f"disks of instance {name} cannot be created there")
    return named


def _choose_built_in(
    subject: InstanceContext, count: int, state: ClusterState, facts: NodeAnswers
) -> tuple[Node, ...]:
    wish = make_placement(subject.instance, subject.disks, state, group=subject.primary.group)
    members = state.list_nodes(state.groups[subject.primary.group])
    known = candidates(members, wish.template, state, lambda node: facts.known(node, DescribeNode))
    return tuple(choose(wish.with_node_count(count), known).nodes)


def _disks_to_recreate(op: RecreateDisks, subject: InstanceContext) -> tuple[Disk, ...]:
    """Return the records of the disks to recreate, with the requested changes."""
    changes: dict[int, Mapping[str, Value]] = {}
    for each in op.disks or range(len(subject.disks)):
        index, values = (each, {}) if isinstance(each, int) else each
        if index >= len(subject.disks):
            raise Refused(
                f"disk {index} does not exist; instance {subject.instance.name} has"
                f" {len(subject.disks)} disks, from 0",
                Code.INPUT,
            )
        if unknown := [name for name in values if name not in _SETTABLE]:
            can = ", ".join(sorted(_SETTABLE))
            raise Invalid(
                [Problem(f"disks[{index}]/{unknown[0]}", f"cannot be set; only {can} can")]
            )
        changes[index] = values
    return tuple(_apply_changes(subject.disks[index], values) for index, values in changes.items())


def _rename_volumes(
    disks: Sequence[Disk], subject: InstanceContext, identity: str
) -> tuple[Disk, ...]:
    """Return the disks, with new volumes for those of external storage.

    Nothing shows that an old volume is lost for certain, and undoing the creation of a new one of
    the same name would remove it.
    """
    ids = DeterministicIdentifiers(f"{identity}/recreation")
    uuids = [disk.uuid for disk in subject.disks]
    return tuple(
        replace(
            disk,
            logical_id=(disk.logical_id[0], f"{ids.uuid()}.ext.disk{uuids.index(disk.uuid)}"),
        )
        if disk.dev_type is Template.EXT
        else disk
        for disk in disks
    )


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
        policy = policy_of(state.cluster, state.groups[nodes[0].group])
        if broken := violations(size_of(subject.instance, disks, state), policy):
            raise Refused(
                f"instance {subject.instance.name} would violate the instance policy: "
                f"{'; '.join(broken)}; give other sizes, or grow the disks later with "
                "--ignore-ipolicy",
                Code.INPUT,
            )


def _apply_changes(disk: Disk, values: Mapping[str, Value]) -> Disk:
    given = {"size": disk.size, **values}
    if disk.dev_type is Template.EXT:
        given["provider"] = disk.logical_id[0]
    wish = read_disk(given, disk.iv_name, disk.dev_type)
    fields = {name: getattr(wish, name) for name in values}
    children = disk.children
    if children:
        children = (replace(children[0], size=wish.size), *children[1:])
    return replace(disk, **fields, children=children)


def request_allocation(
    op: RecreateDisks, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator if one is given."""
    if op.iallocator is None or op.nodes or op.node_uuids:
        return None
    return make_request(op.iallocator, _make_allocation_request(op, state), state)


def _make_allocation_request(op: RecreateDisks, state: ClusterState) -> dict[str, object]:
    """Return the request for nodes for new disks, in the form of the iallocator protocol.

    All nodes are chosen again as for a new instance, because lost disks cannot be relocated.
    """
    subject = subject_of(op, state)
    instance, template = subject.instance, get_template(subject)
    made = {disk.uuid: disk for disk in _disks_to_recreate(op, subject)}
    disks = [made.get(disk.uuid, disk) for disk in subject.disks]
    size = size_of(instance, disks, state)
    return {
        "type": "allocate",
        "name": instance.name,
        "disk_template": template.value,
        # The instance stays in its group, which determines its networks and shared storage.
        "group_name": state.groups[subject.primary.group].name,
        "tags": list(instance.tags),
        "os": instance.os,
        "vcpus": size.vcpus,
        "memory": size.memory,
        "spindle_use": size.spindles,
        "disks": [describe_disk(disk) for disk in disks],
        "disk_space_total": compute_disk_space(template, size.disks),
        "nics": [describe_nic(nic, state) for nic in instance.nics],
        "required_nodes": _required_nodes(subject),
        "hypervisor": instance.hypervisor,
    }


def _required_nodes(subject: InstanceContext) -> int:
    return 2 if get_template(subject) in MIRRORED_TEMPLATES else 1


async def _check_missing(plan: RecreationPlan, state: ClusterState, tools: Tools) -> None:
    """Check that the disks are missing, as existing ones may have the last copy of the data.

    :raises Refused: a disk exists.
    """
    instance = plan.subject.instance
    disks = [state.disks[disk.uuid] for disk in plan.disks]
    filled = tuple(fill_disk_parameters(state, instance, disk) for disk in disks)
    for node in plan.nodes:
        found = await tools.nodes.ask(node, DescribeDisks(disks=filled))
        there = [
            disk.iv_name
            for disk, status in zip(filled, found, strict=True)
            if status and (status.local != "unknown" or await _is_there(disk, node, plan, tools))
        ]
        if there:
            raise Refused(
                f"{', '.join(there)} of instance {instance.name} still exists on node {node.name}; "
                "give only the lost disks: --disk N",
                Code.EXISTS,
            )


async def _is_there(disk: Disk, node: Node, plan: RecreationPlan, tools: Tools) -> bool:
    """Return whether a volume that is not attached exists, by attaching it for a moment."""
    owner = plan.subject.instance.name
    try:
        await tools.nodes.ask(node, AttachDisk(disk=disk, owner=owner, primary=False))
    except Unreachable:
        raise
    except Failed:
        return False
    await tools.nodes.ask(node, DetachDisk(disk=disk))
    return True


async def run(plan: RecreationPlan, tools: Tools) -> None:
    instance, before = plan.subject.instance, tools.config.state()
    if not plan.moves:
        await _check_missing(plan, before, tools)
    old = [before.disks[disk.uuid] for disk in plan.disks]
    nodes = [node.uuid for node in plan.nodes]
    async with Undo(tools.progress) as undo:
        changes = [set_disk_layout(instance, plan.disks, nodes)]
        if plan.nodes[0] != plan.subject.primary:
            changes.append(set_primary_node(instance, plan.nodes[0]))
        await tools.config.change(together(*changes))
        back = partial(tools.config.change, put_back(instance, old))
        undo.by("restore the records of the disks", back)
        state = tools.config.state()
        recorded = state.instances[instance.uuid]
        disks = [state.disks[disk.uuid] for disk in plan.disks]
        await create_disks(state, recorded, disks, tools, undo)
        if state.cluster.prealloc_wipe_disks:
            await attach_disks(state, recorded, disks, tools)
            await wipe_if_enabled(recorded, disks, tools)
            await detach_disks(state, recorded, disks, tools)
    for disk in old:
        if disk.dev_type is Template.EXT:
            tools.progress.log_message(
                f"the lost volume of {disk.iv_name} was {disk.logical_id[1]} of provider"
                f" {disk.logical_id[0]}; if it is found again, remove it there"
            )
    where = " and ".join(node.name for node in plan.nodes)
    tools.progress.log_message(
        f"recreated {len(plan.disks)} disks of {instance.name}, empty, on {where}"
    )


def hooks(plan: RecreationPlan, state: ClusterState) -> HookCall:
    return instance_hooks("instance-recreate-disks", plan.subject, state, {})


OPERATION = Operation(
    RecreateDisks, plan, run, questions, hooks, request_allocation=request_allocation
)
