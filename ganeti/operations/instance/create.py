# SPDX-License-Identifier: BSD-2-Clause
"""Creating an instance.

Until its operating system is installed, an instance that fails to come about is taken back
whole. Once it is installed it is there to stay, even if it cannot be started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ganeti.config.changes.instances import activated, add_instance, remove_instance, want
from ganeti.config.changes.macs import new_mac
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState, Kind
from ganeti.errors import Code, Failed, Refused
from ganeti.locking.names import LockRequest, group_lock, instance_lock, node_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.model.group import AllocPolicy
from ganeti.model.guest import Guest
from ganeti.model.instance import Instance, Nic, Wanted, WantedBy
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled, policy_filled
from ganeti.model.parameters.hypervisors import NEED_PORT
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.allocating import advised, consultation, require_one
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.arrival import (
    Arrival,
    arriving,
    export_questions,
    fill,
    hook_variables,
    require_proof,
)
from ganeti.operations.instance.connections import connected, mac_prefix_of
from ganeti.operations.instance.disks import attach_disks, create_disks, detach_disks
from ganeti.operations.instance.hooks import environment
from ganeti.operations.instance.layout import Site, lay_out
from ganeti.operations.instance.mirrors import wait_for_sync
from ganeti.operations.instance.naming import name_questions, require_name
from ganeti.operations.instance.node_check import require_able
from ganeti.operations.instance.order import Order, order_of
from ganeti.operations.instance.placing import ON_PAPER, candidates, storage_units
from ganeti.operations.instance.presence import require_no_guest
from ganeti.operations.instance.start import require_memory, wanted_up
from ganeti.operations.instance.systems import require_os
from ganeti.operations.operation import (
    Consultation,
    Facts,
    HookCall,
    Operation,
    Question,
    Tools,
)
from ganeti.operations.policy import Size, require_policy
from ganeti.operations.undo import Undo
from ganeti.placement.external import disk_space
from ganeti.placement.request import Placement
from ganeti.placement.scoring import against, choose
from ganeti.rpc.instances import InstallOS, StartInstance
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.schema.records import replace


@dataclass(frozen=True)
class Create:
    """An instance that is to be, and the nodes for it, the primary one first."""

    op: CreateInstance
    order: Order
    nodes: tuple[Node, ...]
    draft: Instance
    arrival: Arrival | None

    @property
    def locks(self) -> LockRequest:
        # Others know the instance by its UUID once it is there, and before that by its name.
        return request(
            exclusive=[instance_lock(self.op.instance_name), instance_lock(self.draft.uuid)],
            shared=[
                group_lock(self.nodes[0].group),
                *(node_lock(node.uuid) for node in self.nodes),
            ],
        )


def questions(op: CreateInstance, state: ClusterState) -> Sequence[Question]:
    online = [node for node in _eligible(op, state) if not node.offline]
    units = storage_units(state.cluster)
    asked = DescribeNode(hypervisors=state.cluster.enabled_hypervisors, storage=units)
    found = [Question(online, asked), *name_questions(op, op.instance_name, state)]
    others = [
        node
        for node in state.nodes.values()
        if node.vm_capable and not node.offline and node not in online
    ]
    if others:
        present = DescribeNode(hypervisors=state.cluster.enabled_hypervisors)
        found.append(Question(others, present))
    found += export_questions(op, state)
    if op.mode is not CreationMode.CREATE or (op.os_type is not None and not op.no_install):
        found.append(Question(online, DescribeOSes()))
    return found


def _eligible(op: CreateInstance, state: ClusterState) -> list[Node]:
    """The nodes that are asked for, or else all that instances can be placed on."""
    primary, secondary = op.pnode_uuid or op.pnode, op.snode_uuid or op.snode
    if primary is not None:
        return [state.node(name) for name in (primary, secondary) if name is not None]
    if op.group_name is not None:
        return list(state.nodes_in(state.group(op.group_name)))
    closed = {
        group.uuid
        for group in state.groups.values()
        if group.alloc_policy is AllocPolicy.UNALLOCABLE
    }
    return [node for node in state.nodes.values() if node.group not in closed]


def plan(op: CreateInstance, state: ClusterState, facts: Facts) -> Create:
    """Decide what the new instance is and where it goes, or refuse."""
    op, arrival = arriving(op, state, facts)
    order = order_of(op, state.cluster)
    require_name(op, op.instance_name, state, facts)
    require_no_guest(op.instance_name, state.nodes.values(), facts)
    for nic in order.nics:
        if nic.mac is not None and nic.mac in state.macs:
            owner = state.instances[state.macs[nic.mac]].name
            raise Refused(f"the MAC address {nic.mac} belongs to {owner}", Code.NOT_UNIQUE)
    draft = _draft(order, op.instance_name, facts.identity)
    nodes = _nodes(op, order, draft, state, facts)
    group = state.groups[nodes[0].group]
    draft = replace(draft, nics=connected(_cards(order), group, state))
    if not op.ignore_ipolicy:
        policy = policy_filled(state.cluster, group)
        require_policy(_size(order, draft, state), policy, op.instance_name)
    if order.installs or (arrival and order.os):
        for node in nodes[:1]:
            definitions = facts.of(node, DescribeOSes)
            require_os(order.os, definitions, node.name, force_variant=op.force_variant)
    if op.start:
        guest = guest_of(state, _placed(draft, nodes), ())
        require_memory(guest, facts.of(nodes[0], DescribeNode), nodes[0].name)
    if arrival is not None:
        # Nobody may start what is half there, however the job ends.
        draft = replace(draft, admin_state=Wanted.OFFLINE)
    return Create(op, order, nodes, _placed(draft, nodes), arrival)


def _draft(order: Order, name: str, uuid: str) -> Instance:
    """The record of the instance, but for everything that is made up when it is created."""
    return Instance(
        uuid=uuid,
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        tags=order.tags,
        name=name,
        primary_node="",
        os=order.os,
        hypervisor=order.hypervisor,
        hvparams=order.hvparams,
        beparams=order.beparams,
        osparams=order.osparams,
        osparams_private=order.osparams_private,
        admin_state=Wanted.DOWN,
        admin_state_source=WantedBy.ADMIN,
        nics=(),
        disks=(),
        disks_active=False,
    )


def _placed(draft: Instance, nodes: Sequence[Node]) -> Instance:
    return replace(draft, primary_node=nodes[0].uuid)


def _size(order: Order, draft: Instance, state: ClusterState) -> Size:
    filled = be_filled(state.cluster, draft)
    return Size(
        memory=int(filled["maxmem"]),
        vcpus=int(filled["vcpus"]),
        disks=[disk.size for disk in order.disks],
        nics=len(order.nics),
        spindles=int(filled["spindle_use"]),
        template=order.template,
    )


def _cards(order: Order) -> tuple[Nic, ...]:
    """The network cards, but for what is made up when they are."""
    return tuple(
        Nic(
            mac=wish.mac or "",
            ip=wish.ip,
            nicparams=dict(wish.nicparams),
            network=wish.network,
            name=wish.name,
            uuid="",
        )
        for wish in order.nics
    )


def _nodes(
    op: CreateInstance, order: Order, draft: Instance, state: ClusterState, facts: Facts
) -> tuple[Node, ...]:
    """The nodes that were asked for, if they will do, or else those that placement chooses."""
    require_one(op.iallocator, [op.pnode, op.pnode_uuid, op.snode, op.snode_uuid])
    filled, nodes = be_filled(state.cluster, draft), _eligible(op, state)
    wish = Placement(
        name=op.instance_name,
        memory=int(filled["maxmem"]) if op.start else 0,
        vcpus=0 if order.hypervisor in ON_PAPER else int(filled["vcpus"]),
        disks=[disk.size for disk in order.disks],
        template=order.template,
        wanted=_nodes_wanted(order),
    )
    if op.pnode_uuid or op.pnode:
        return _asked_for(wish, nodes, facts, state, op)
    if (chosen := advised(facts, wish.wanted, state)) is not None:
        return chosen
    size = None if op.ignore_ipolicy else _size(order, draft, state)
    found = candidates(
        nodes, order.template, state, lambda node: facts.known(node, DescribeNode), size=size
    )
    if size is not None and found and all(each.objection for each in found):
        # Wherever it might go: the request itself has to change.
        group = state.groups[found[0].node.group]
        require_policy(size, policy_filled(state.cluster, group), op.instance_name)
    return tuple(choose(wish, found).nodes)


def _nodes_wanted(order: Order) -> int:
    return 2 if order.template is Template.DRBD else 1


def consult(op: CreateInstance, state: ClusterState, facts: Facts) -> Consultation | None:
    """Ask an allocator where the instance goes, unless nodes are named."""
    if op.pnode_uuid or op.pnode:
        return None
    op, _ = arriving(op, state, facts)
    return consultation(op.iallocator, allocation(op, state), state)


def allocation(op: CreateInstance, state: ClusterState) -> dict[str, Any]:
    """The request for nodes for a new instance, in the form of the allocators' protocol.

    :raises GanetiError: ``op`` makes no sense.
    """
    order = order_of(op, state.cluster)
    size = _size(order, _draft(order, op.instance_name, ""), state)
    return {
        "type": "allocate",
        "name": op.instance_name,
        "disk_template": order.template.value,
        "group_name": op.group_name,
        "tags": list(order.tags),
        "os": order.os,
        "vcpus": size.vcpus,
        "memory": size.memory,
        "spindle_use": size.spindles,
        "disks": [{"size": disk.size, "mode": disk.mode.value} for disk in order.disks],
        "disk_space_total": disk_space(order.template, size.disks),
        "nics": [{"mac": nic.mac or "auto", "ip": nic.ip, **nic.nicparams} for nic in order.nics],
        "required_nodes": _nodes_wanted(order),
        "hypervisor": order.hypervisor,
    }


def _asked_for(
    wish: Placement,
    nodes: Sequence[Node],
    facts: Facts,
    state: ClusterState,
    op: CreateInstance,
) -> tuple[Node, ...]:
    if len(nodes) != wish.wanted:
        how_many = "a secondary node" if wish.wanted == 2 else "no secondary node"
        raise Refused(f"disks of the template {wish.template.value} need {how_many}", Code.INPUT)
    if len({node.uuid for node in nodes}) != len(nodes):
        raise Refused("pnode and snode are the same; name two nodes, or none", Code.INPUT)
    for node in nodes:
        if not node.offline:
            facts.of(node, DescribeNode)
    for candidate in candidates(
        nodes, wish.template, state, lambda node: facts.known(node, DescribeNode)
    ):
        reason = against(wish, candidate)
        if reason is not None:
            code = (
                Code.STATE if candidate.node.offline or candidate.node.drained else Code.RESOURCES
            )
            raise Refused(
                f"node {candidate.node.name} cannot take instance {op.instance_name}: it {reason}",
                code,
            )
    return tuple(nodes)


async def run(plan: Create, tools: Tools) -> list[str]:
    await require_proof(plan.arrival, tools)
    instance, disks = _made_up(plan, tools)
    names = [node.name for node in plan.nodes]
    with_port = instance.hypervisor in NEED_PORT
    for node in plan.nodes:
        if not node.offline:
            await require_able(node, guest_of(tools.config.state(), instance, disks), tools)
    async with Undo(tools.progress) as undo:
        # First, as only the configuration knows which ports and minors are free; and a disk that
        # is made belongs to an instance from the beginning, wherever this breaks off.
        await tools.config.change(add_instance(instance, disks, with_port=with_port))
        undo.by(
            f"take {instance.name} out of the configuration",
            partial(tools.config.change, remove_instance(instance)),
        )
        state = tools.config.state()
        instance = state.instances[instance.uuid]
        disks = state.disks_of(instance)
        await create_disks(state, instance, disks, tools, undo)
        tools.progress.may_stop()
        guest = guest_of(state, instance)
        if len(plan.nodes) > 1:
            await attach_disks(state, instance, disks, tools)
        if plan.order.installs:
            await _install(plan, guest, tools)
        if plan.arrival is not None:
            await fill(plan.arrival, plan.nodes[0], _with_secrets(guest, plan.op), tools)
            await tools.config.change(want(instance, Wanted.DOWN))
    if plan.op.start:
        await _start(plan, guest, tools)
    if len(plan.nodes) > 1:
        if plan.op.wait_for_sync:
            await wait_for_sync(instance, disks, tools)
        if not plan.op.start:
            await detach_disks(tools.config.state(), instance, disks, tools)
    return names


def _made_up(plan: Create, tools: Tools) -> tuple[Instance, tuple[Disk, ...]]:
    """The records of the instance and its disks, with names that nobody has yet."""
    state, op = tools.config.state(), plan.op
    site = Site(
        op.instance_name,
        [node.uuid for node in plan.nodes],
        op.file_storage_dir,
        op.file_driver.value if op.file_driver else None,
    )
    disks = lay_out(plan.order.disks, plan.order.template, site, state, tools.ids)
    taken: set[str] = set()
    nics = []
    for card in plan.draft.nics:
        prefix = mac_prefix_of(card, state)
        mac = card.mac or new_mac(state, tools.ids.random, prefix=prefix, besides=taken)
        taken.add(mac)
        nics.append(replace(card, mac=mac, uuid=tools.ids.uuid()))
    instance = replace(
        plan.draft,
        nics=tuple(nics),
        disks=tuple(disk.uuid for disk in disks),
    )
    return instance, disks


async def _install(plan: Create, guest: Guest, tools: Tools) -> None:
    tools.progress.say(f"installing {guest.os} on {guest.name}")
    debug = plan.op.debug_level or 0
    install = InstallOS(guest=_with_secrets(guest, plan.op), debug=debug)
    await tools.progress.interruptible(tools.nodes.ask(plan.nodes[0], install))


def _with_secrets(guest: Guest, op: CreateInstance) -> Guest:
    return replace(guest, osparams={**guest.osparams, **(op.osparams_secret or {})})


async def _start(plan: Create, guest: Guest, tools: Tools) -> None:
    instance = tools.config.state().instances[guest.uuid]
    await tools.config.change(wanted_up(instance))
    try:
        await tools.nodes.ask(plan.nodes[0], StartInstance(guest=guest))
    except Failed as e:
        down = together(want(instance, Wanted.DOWN), activated(instance, False))
        await tools.config.change(down)
        raise Failed(
            f"instance {guest.name} was created, but could not be started: {e}", e.code
        ) from e


def hooks(plan: Create, state: ClusterState) -> HookCall:
    known = state.knows(Kind.INSTANCE, plan.op.instance_name)
    instance = state.instance(plan.op.instance_name) if known else plan.draft
    disks = state.disks_of(instance) if known else ()
    here = [state.cluster.master_node, *(node.uuid for node in plan.nodes)]
    variables = {**environment(state, instance, disks), "ADD_MODE": plan.op.mode.value}
    variables |= hook_variables(plan.arrival)
    return HookCall("instance-add", "INSTANCE", variables, here, here)


def preview(plan: Create) -> list[str]:
    return [node.name for node in plan.nodes]


OPERATION = Operation(CreateInstance, plan, run, questions, hooks, preview, consult)
