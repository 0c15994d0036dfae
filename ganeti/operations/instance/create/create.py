# SPDX-License-Identifier: BSD-2-Clause
"""Creating an instance.

Until its operating system is installed, an instance that fails to come about is taken back
whole. Once it is installed it is there to stay, even if it cannot be started.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ganeti.config.changes.instances import activated, add_instance, remove_instance, want
from ganeti.config.changes.macs import new_mac
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, group_lock, instance_lock, node_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.guest import Guest
from ganeti.model.instance import Instance, Nic, Wanted, WantedBy
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled, policy_filled
from ganeti.model.parameters.hypervisors import NEED_PORT
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.allocation.candidates import ON_PAPER, candidates, storage_units
from ganeti.operations.allocation.iallocator import advised, consultation, require_one
from ganeti.operations.allocation.iallocator_protocol import disk_space
from ganeti.operations.allocation.node_check import hypervisor_check
from ganeti.operations.allocation.policy_check import PolicySize, require_policy
from ganeti.operations.allocation.request import Placement
from ganeti.operations.allocation.scoring import against, choose
from ganeti.operations.guests import guest_of
from ganeti.operations.identifiers import PlannedIdentifiers, no_secret
from ganeti.operations.instance.create.disk_adoption import (
    adopt_disks,
    adopted,
    adoption_questions,
    adopts,
)
from ganeti.operations.instance.create.imports import (
    Arrival,
    arriving,
    export_questions,
    fill,
    hook_variables,
    require_proof,
)
from ganeti.operations.instance.create.instance_spec import InstanceSpec, order_of
from ganeti.operations.instance.device_specs import DiskSpec
from ganeti.operations.instance.disks.block_devices import attach_disks, create_disks, detach_disks
from ganeti.operations.instance.disks.layout import DiskSite, lay_out
from ganeti.operations.instance.disks.mirrors import wait_for_sync
from ganeti.operations.instance.disks.wipe import wipe_if_wanted
from ganeti.operations.instance.hooks import environment
from ganeti.operations.instance.lifecycle.start import require_memory, wanted_up
from ganeti.operations.instance.name_check import name_questions, require_name
from ganeti.operations.instance.nic_networks import connected, mac_prefix_of
from ganeti.operations.instance.os_check import os_question, require_installable
from ganeti.operations.instance.running_check import require_no_guest
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.operations.perform import gather
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import InstallOS, StartInstanceCall
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.rpc.storage import ListVolumesCall
from ganeti.schema.records import replace


@dataclass(frozen=True)
class Create:
    """An instance that is to be, and the nodes for it, the primary one first."""

    op: CreateInstance
    order: InstanceSpec
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


def questions(op: CreateInstance, state: ClusterState) -> Sequence[NodeQuery]:
    online = [node for node in _eligible(op, state) if not node.offline]
    units = storage_units(state.cluster)
    asked = DescribeNode(hypervisors=state.cluster.enabled_hypervisors, storage=units)
    found = [NodeQuery(online, asked), *name_questions(op, op.instance_name, state)]
    others = [
        node
        for node in state.nodes.values()
        if node.vm_capable and not node.offline and node not in online
    ]
    if others:
        present = DescribeNode(hypervisors=state.cluster.enabled_hypervisors)
        found.append(NodeQuery(others, present))
    found += export_questions(op, state)
    found += adoption_questions(op, online)
    if op.mode is not CreationMode.CREATE or (op.os_type is not None and not op.no_install):
        found.append(NodeQuery(online, DescribeOSes()))
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


def plan(op: CreateInstance, state: ClusterState, facts: NodeAnswers) -> Create:
    """Decide what the new instance is and where it goes, or refuse."""
    op, arrival = arriving(op, state, facts)
    order = order_of(op, state.cluster)
    if adopts(op):
        order = dataclasses.replace(order, disks=_adopted(op, order, state, facts))
    require_name(op, op.instance_name, state, facts)
    require_no_guest(op.instance_name, state.nodes.values(), facts)
    for nic in order.nics:
        if nic.mac is not None and nic.mac in state.macs:
            owner = state.instances[state.macs[nic.mac]].name
            raise Refused(f"the MAC address {nic.mac} belongs to {owner}", Code.NOT_UNIQUE)
    draft = _draft(order, op.instance_name, facts.identity)
    nodes = _nodes(op, order, draft, state, facts)
    group = state.groups[nodes[0].group]
    draft = replace(draft, nics=_connected(op, order, group, state))
    if not op.ignore_ipolicy:
        policy = policy_filled(state.cluster, group)
        require_policy(_size(order, draft, state), policy, op.instance_name)
    guest = guest_of(state, _placed(draft, nodes), ())
    if _runs_scripts(order, arrival):
        require_installable(
            _with_secrets(guest, op),
            facts.of(nodes[0], DescribeOSes),
            nodes[0].name,
            state.cluster,
            force_variant=op.force_variant,
        )
    if op.start:
        require_memory(guest, facts.of(nodes[0], DescribeNode), nodes[0].name)
    if arrival is not None:
        # Nobody may start what is half there, however the job ends.
        draft = replace(draft, admin_state=Wanted.OFFLINE)
    plan = Create(op, order, nodes, _placed(draft, nodes), arrival)
    _records(plan, state)  # refuses what cannot be laid out
    return plan


def _adopted(
    op: CreateInstance, order: InstanceSpec, state: ClusterState, facts: NodeAnswers
) -> tuple[DiskSpec, ...]:
    """The disks with the sizes of the volumes that they adopt.

    :raises Invalid: the request does not say where they are, or brings other contents.
    :raises Refused: one of them cannot be adopted.
    """
    nodes = _eligible(op, state)
    if not (op.pnode or op.pnode_uuid) or op.mode is not CreationMode.CREATE:
        message = "volumes are adopted only by a new instance whose node is named"
        raise Invalid([Problem("disks", message)])
    if facts.known(nodes[0], ListVolumesCall) is None and not nodes[0].offline:
        facts.of(nodes[0], ListVolumesCall)
    return adopted(order.disks, nodes[0], state, facts)


def _runs_scripts(order: InstanceSpec, arrival: Arrival | None) -> bool:
    """Whether scripts of the OS definition fill the disks."""
    return order.installs or (arrival is not None and bool(order.os))


def _draft(order: InstanceSpec, name: str, uuid: str) -> Instance:
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


def _size(order: InstanceSpec, draft: Instance, state: ClusterState) -> PolicySize:
    filled = be_filled(state.cluster, draft)
    return PolicySize(
        memory=int(filled["maxmem"]),
        vcpus=int(filled["vcpus"]),
        disks=[disk.size for disk in order.disks],
        nics=len(order.nics),
        spindles=int(filled["spindle_use"]),
        template=order.template,
    )


def _cards(order: InstanceSpec) -> tuple[Nic, ...]:
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


def _connected(
    op: CreateInstance, order: InstanceSpec, group: Group, state: ClusterState
) -> tuple[Nic, ...]:
    return connected(_cards(order), group, state, conflicts_check=op.conflicts_check)


def _nodes(
    op: CreateInstance,
    order: InstanceSpec,
    draft: Instance,
    state: ClusterState,
    facts: NodeAnswers,
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
    if nodes and not (nodes := [node for node in nodes if node.uuid not in facts.busy]):
        raise Refused("other jobs keep every node to themselves; try again later", Code.TEMPORARY)
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


def _nodes_wanted(order: InstanceSpec) -> int:
    return 2 if order.template is Template.DRBD else 1


def consult(
    op: CreateInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Ask an allocator where the instance goes, unless nodes are named."""
    if op.pnode_uuid or op.pnode:
        return None
    op, _ = arriving(op, state, facts)
    return consultation(op.iallocator, allocation(op, state, facts.busy), state)


def allocation(
    op: CreateInstance, state: ClusterState, busy: Collection[str] = ()
) -> dict[str, Any]:
    """The request for nodes for a new instance, in the form of the allocators' protocol.

    The nodes whose UUIDs are ``busy`` are not to be chosen.

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
        **({"restrict-to-nodes": _names_besides(busy, state)} if busy else {}),
    }


def _names_besides(busy: Collection[str], state: ClusterState) -> list[str]:
    return sorted(node.name for node in state.nodes.values() if node.uuid not in busy)


def _asked_for(
    wish: Placement,
    nodes: Sequence[Node],
    facts: NodeAnswers,
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
    if op.group_name is not None:
        group = state.group(op.group_name)
        for node in nodes:
            if node.group != group.uuid:
                raise Refused(
                    f"node {node.name} is not in the node group {group.name}; name one of both",
                    Code.INPUT,
                )
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


async def _require_accepted(plan: Create, tools: Tools) -> None:
    """Let the nodes check what only they can: files that parameters name, and OS parameters.

    Only those that are chosen are asked, and before anything is made there.

    :raises Refused: one of them does not accept the guest.
    """
    guest = _with_secrets(guest_of(tools.config.state(), plan.draft, ()), plan.op)
    call = replace(hypervisor_check(guest), disks=len(plan.order.disks))
    questions: list[NodeQuery] = [NodeQuery(plan.nodes, call)]
    if _runs_scripts(plan.order, plan.arrival):
        questions.append(os_question(guest, plan.nodes[0], force_variant=plan.op.force_variant))
    facts = await tools.progress.interruptible(gather(questions, tools.nodes))
    for question in questions:
        for node in question.nodes:
            facts.of(node, type(question.call))


async def run(plan: Create, tools: Tools) -> list[str]:
    await require_proof(plan.arrival, tools)
    await _require_accepted(plan, tools)
    instance, disks = _records(plan, tools.config.state(), tools.ids.secret)
    names = [node.name for node in plan.nodes]
    async with Undo(tools.progress) as undo:
        # First, as only the configuration knows which ports and minors are free; and a disk that
        # is made belongs to an instance from the beginning, wherever this breaks off.
        await tools.config.change(_added(instance, disks))
        undo.by(
            f"take {instance.name} out of the configuration",
            partial(tools.config.change, remove_instance(instance)),
        )
        state = tools.config.state()
        instance = state.instances[instance.uuid]
        disks = state.disks_of(instance)
        if adopts(plan.op):
            await adopt_disks(disks, plan.order.disks, plan.nodes[0], tools, undo)
        else:
            await create_disks(state, instance, disks, tools, undo)
        tools.progress.may_stop()
        guest = guest_of(state, instance)
        if len(plan.nodes) > 1:
            await attach_disks(state, instance, disks, tools)
        if not adopts(plan.op):
            await wipe_if_wanted(instance, disks, tools)
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


def _records(
    plan: Create, state: ClusterState, secret: Callable[[], str] = no_secret
) -> tuple[Instance, tuple[Disk, ...]]:
    """The records of the instance and its disks, with names that nobody has yet.

    Of one plan and one state they are always the same, but for what ``secret`` says.
    """
    op, ids = plan.op, PlannedIdentifiers(plan.draft.uuid, secret)
    site = DiskSite(
        op.instance_name,
        [node.uuid for node in plan.nodes],
        op.file_storage_dir,
        op.file_driver.value if op.file_driver else None,
    )
    disks = lay_out(plan.order.disks, plan.order.template, site, state, ids)
    taken: set[str] = set()
    nics = []
    for card in plan.draft.nics:
        prefix = mac_prefix_of(card, state)
        mac = card.mac or new_mac(state, ids.random, prefix=prefix, besides=taken)
        taken.add(mac)
        nics.append(replace(card, mac=mac, uuid=ids.uuid()))
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
        await tools.nodes.ask(plan.nodes[0], StartInstanceCall(guest=guest))
    except Failed as e:
        down = together(want(instance, Wanted.DOWN), activated(instance, False))
        await tools.config.change(down)
        raise Failed(
            f"instance {guest.name} was created, but could not be started: {e}", e.code
        ) from e


def hooks(plan: Create, state: ClusterState) -> HookCall:
    state = _with(plan, state)
    instance = state.instances[plan.draft.uuid]
    disks = state.disks_of(instance)
    here = [state.cluster.master_node, *(node.uuid for node in plan.nodes)]
    variables = {**environment(state, instance, disks), "ADD_MODE": plan.op.mode.value}
    variables |= hook_variables(plan.arrival)
    return HookCall("instance-add", "INSTANCE", variables, here, here)


def _with(plan: Create, state: ClusterState) -> ClusterState:
    """The state with the instance: as it is there, or as it is going to be."""
    if plan.draft.uuid in state.instances:
        return state
    instance, disks = _records(plan, state)
    wanted = Wanted.UP if plan.op.start else Wanted.DOWN
    change = _added(replace(instance, admin_state=wanted), disks)
    return change(state)


def _added(instance: Instance, disks: Sequence[Disk]) -> Change:
    return add_instance(instance, disks, with_port=instance.hypervisor in NEED_PORT)


def preview(plan: Create) -> list[str]:
    return [node.name for node in plan.nodes]


OPERATION = Operation(CreateInstance, plan, run, questions, hooks, preview, consult)
