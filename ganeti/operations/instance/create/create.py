# SPDX-License-Identifier: BSD-2-Clause
"""The operation that creates an instance.

A failure before the end of the OS installation undoes everything. After it the instance stays, even
if it cannot be started.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.forthcoming import (
    commit_reservation,
    reserved_disk,
    restore_reservation,
)
from ganeti.config.changes.instances import add_instance, remove_instance, set_disks_active, want
from ganeti.config.changes.macs import generate_mac, mac_in_use
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Failed, Invalid, Problem, Refused, Unreachable
from ganeti.locking.names import LockRequest, group_lock, instance_lock, node_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState, AdminStateSource, Instance, Nic
from ganeti.model.node import Node
from ganeti.model.parameters.filling import backend_of, fill_os, policy_of
from ganeti.model.parameters.hypervisors import NETWORK_PORT_HYPERVISORS
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.allocation.allocation_request import Placement
from ganeti.operations.allocation.candidates import ON_PAPER, candidates, storage_units
from ganeti.operations.allocation.iallocator import advised, check_not_both, make_request
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.allocation.node_check import check_processor_masks, hypervisor_check
from ganeti.operations.allocation.policy_check import PolicySize, check_policy
from ganeti.operations.allocation.scoring import against, choose
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.images.copies import require_image
from ganeti.operations.images.image_names import check_fits, resolve_name
from ganeti.operations.instance.create.clone_source import CloneSource
from ganeti.operations.instance.create.disk_adoption import (
    adopt_disks,
    adopted,
    adopted_devices,
    adoption_queries,
    adopts,
)
from ganeti.operations.instance.create.imports import (
    BackupImport,
    ImportSource,
    arriving,
    check_source,
    export_queries,
    fill,
    hook_variables,
)
from ganeti.operations.instance.create.instance_spec import InstanceSpec, make_spec
from ganeti.operations.instance.create.reservation import (
    complete_by_reservation,
    find_reservation,
    prepare_reservation,
    without_reservation,
)
from ganeti.operations.instance.device_specs import DiskSpec
from ganeti.operations.instance.disks.block_devices import (
    attach_disks,
    create_disks,
    detach_finally,
)
from ganeti.operations.instance.disks.disk_layout import DiskLocation, lay_out, list_unit_sizes
from ganeti.operations.instance.disks.mirrors import wait_for_sync
from ganeti.operations.instance.disks.wipe import wipe_if_enabled
from ganeti.operations.instance.instance_hooks import environment
from ganeti.operations.instance.lifecycle.start import check_memory, wanted_up
from ganeti.operations.instance.name_check import check_name, name_queries
from ganeti.operations.instance.nic_networks import connected, get_mac_prefix
from ganeti.operations.instance.os_check import check_installable, make_os_query
from ganeti.operations.instance.running_check import check_no_guest
from ganeti.operations.node_queries import gather
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.operations.planned_ids import DeterministicIdentifiers, empty_secret
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import InstallOS, StartInstanceCall
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.rpc.storage import ListVolumesCall
from ganeti.schema.records import replace


@dataclass(frozen=True)
class CreationPlan:
    """A new instance and its nodes, the primary first; ``reserved`` is its reservation, if any."""

    op: CreateInstance
    order: InstanceSpec
    nodes: tuple[Node, ...]
    draft: Instance
    arrival: ImportSource | None
    reserved: Instance | None = None

    @property
    def locks(self) -> LockRequest:
        # Other jobs lock an existing instance by its UUID, and a planned one by its name.
        return request(
            exclusive=[instance_lock(self.op.instance_name), instance_lock(self.draft.uuid)],
            shared=[
                group_lock(self.nodes[0].group),
                *(node_lock(node.uuid) for node in self.nodes),
            ],
        )


MAX_AGE, MAX_AGE_OF_OTHERS = 5.0, 10.0
"""Maximum age in seconds of what is known of nodes to choose from, and of the guests of others."""


def questions(op: CreateInstance, state: ClusterState) -> Sequence[NodeQuery]:
    op = _prepare(op, state)
    online = [node for node in _eligible_nodes(op, state) if not node.offline]
    units = storage_units(state.cluster)
    asked = DescribeNode(hypervisors=state.cluster.enabled_hypervisors, storage=units)
    age = None if _names_nodes(op) else MAX_AGE
    found = [NodeQuery(online, asked, age), *name_queries(op, op.instance_name, state)]
    eligible = {node.uuid for node in online}
    others = [
        node
        for node in state.nodes.values()
        if node.vm_capable and not node.offline and node.uuid not in eligible
    ]
    # A guest with this name may run on a node that is not eligible.
    if others:
        present = DescribeNode(hypervisors=state.cluster.enabled_hypervisors)
        found.append(NodeQuery(others, present, MAX_AGE_OF_OTHERS))
    found += export_queries(op, state)
    found += adoption_queries(op, online, state)
    if _checks_definition(op) and (_names_nodes(op) or op.dry_run):
        found.append(NodeQuery(online, DescribeOSes()))
    return found


def _names_nodes(op: CreateInstance) -> bool:
    return bool(op.pnode_uuid or op.pnode)


def _checks_definition(op: CreateInstance) -> bool:
    """Return whether scripts of an OS definition may have to run."""
    return op.mode is not CreationMode.CREATE or (op.os_type is not None and not op.no_install)


def _eligible_nodes(op: CreateInstance, state: ClusterState) -> list[Node]:
    """Return the requested nodes, or all nodes of allocatable groups."""
    primary, secondary = op.pnode_uuid or op.pnode, op.snode_uuid or op.snode
    if primary is not None:
        return [state.node(name) for name in (primary, secondary) if name is not None]
    if op.group_name is not None:
        return list(state.list_nodes(state.group(op.group_name)))
    closed = {
        group.uuid
        for group in state.groups.values()
        if group.alloc_policy is AllocPolicy.UNALLOCABLE
    }
    return [node for node in state.nodes.values() if node.group not in closed]


def plan(op: CreateInstance, state: ClusterState, facts: NodeAnswers) -> CreationPlan:
    """Plan the new instance and its nodes."""
    op = _prepare(op, state)
    if op.commit:
        return _plan_commit(op, state, facts)
    return _plan_creation(op, state, facts)


def _prepare(op: CreateInstance, state: ClusterState) -> CreateInstance:
    """Return a request about a reservation with all that belongs to it."""
    if op.forthcoming:
        return prepare_reservation(op)
    return complete_by_reservation(op, state) if op.commit else op


def _plan_commit(op: CreateInstance, state: ClusterState, facts: NodeAnswers) -> CreationPlan:
    """Plan the creation of a reserved instance, which keeps all that it holds."""
    reserved = find_reservation(op, state)
    facts = dataclasses.replace(facts, identity=reserved.uuid)
    plan = _plan_creation(op, without_reservation(reserved, state), facts)
    return dataclasses.replace(plan, reserved=reserved)


def plan_copy(
    op: CreateInstance, state: ClusterState, facts: NodeAnswers, source: CloneSource
) -> CreationPlan:
    """Plan a new instance with the data of another one."""
    return _plan_creation(op, state, facts, source)


def _plan_creation(
    op: CreateInstance, state: ClusterState, facts: NodeAnswers, source: CloneSource | None = None
) -> CreationPlan:
    arrival: ImportSource | None = source
    if source is None:
        op, arrival = arriving(op, state, facts)
    order = make_spec(op, state.cluster)
    if adopts(op):
        order = dataclasses.replace(order, disks=_adopt_sizes(op, order, state, facts))
    check_name(op, op.instance_name, state, facts)
    check_no_guest(op.instance_name, state.nodes.values(), facts)
    for nic in order.nics:
        if nic.mac is not None and nic.mac in state.macs:
            owner = state.instances[state.macs[nic.mac]].name
            raise mac_in_use(nic.mac, owner)
    draft = _draft_instance(order, op.instance_name, facts.identity)
    draft = replace(draft, forthcoming=op.forthcoming)
    if op.mode is CreationMode.CREATE and source is None:
        filled = fill_os(state.cluster, draft)
        draft = replace(draft, osparams=resolve_name(draft.os, draft.osparams, filled, state))
        if order.installs:
            check_fits(
                draft, fill_os(state.cluster, draft), [disk.size for disk in order.disks], state
            )
    nodes = _choose_nodes(op, order, draft, state, facts)
    group = state.groups[nodes[0].group]
    draft = replace(draft, nics=_connect_nics(op, order, group, state))
    if not op.ignore_ipolicy:
        policy = policy_of(state.cluster, group)
        check_policy(_policy_size(order, draft, state), policy, op.instance_name)
    guest = make_guest(state, _set_primary(draft, nodes), ())
    check_processor_masks(guest)
    if _runs_scripts(order, arrival) and (nodes[0].uuid, DescribeOSes) in facts.answers:
        _check_definition(op, guest, nodes[0], state, facts)
    if op.start:
        check_memory(guest, facts.answer_of(nodes[0], DescribeNode), nodes[0].name)
    if arrival is not None:
        # An incomplete instance must not be started, even if the job is interrupted.
        draft = replace(draft, admin_state=AdminState.OFFLINE)
    plan = CreationPlan(op, order, nodes, _set_primary(draft, nodes), arrival)
    _make_records(plan, state)  # refuses impossible disk layouts
    return plan


def _check_definition(
    op: CreateInstance, guest: Guest, node: Node, state: ClusterState, facts: NodeAnswers
) -> None:
    """Check that the node's OS definition can install the guest.

    :raises Refused: it cannot.
    """
    check_installable(
        _add_secrets(guest, op),
        facts.answer_of(node, DescribeOSes),
        node.name,
        state.cluster,
        force_variant=op.force_variant,
    )


def _adopt_sizes(
    op: CreateInstance, order: InstanceSpec, state: ClusterState, facts: NodeAnswers
) -> tuple[DiskSpec, ...]:
    """Return the disks with the sizes of the volumes that they adopt.

    :raises Invalid: the request has no primary node, or is an import.
    :raises Refused: a volume cannot be adopted.
    """
    nodes = _eligible_nodes(op, state)
    if not (op.pnode or op.pnode_uuid) or op.mode is not CreationMode.CREATE:
        message = "adoption of volumes requires mode create and a primary node"
        raise Invalid([Problem("disks", message)])
    if order.template is Template.BLOCKDEV:
        return adopted_devices(order.disks, nodes[0], state, facts)
    if facts.known(nodes[0], ListVolumesCall) is None and not nodes[0].offline:
        facts.answer_of(nodes[0], ListVolumesCall)
    return adopted(order.disks, nodes[0], state, facts)


def _runs_scripts(order: InstanceSpec, arrival: ImportSource | None) -> bool:
    """Return whether scripts of the OS definition run on the disks."""
    imports = arrival is not None and not isinstance(arrival, BackupImport | CloneSource)
    return order.installs or (imports and bool(order.os))


def _draft_instance(order: InstanceSpec, name: str, uuid: str) -> Instance:
    """Return the record of the instance without generated values."""
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
        admin_state=AdminState.DOWN,
        admin_state_source=AdminStateSource.ADMIN,
        nics=(),
        disks=(),
        disks_active=False,
    )


def _set_primary(draft: Instance, nodes: Sequence[Node]) -> Instance:
    return replace(draft, primary_node=nodes[0].uuid)


def _policy_size(order: InstanceSpec, draft: Instance, state: ClusterState) -> PolicySize:
    backend = backend_of(state.cluster, draft)
    return PolicySize(
        memory=backend.maxmem,
        vcpus=backend.vcpus,
        disks=[disk.size for disk in order.disks],
        nics=len(order.nics),
        spindles=backend.spindle_use,
        template=order.template,
    )


def _draft_nics(order: InstanceSpec) -> tuple[Nic, ...]:
    """Return the network cards without generated values."""
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


def _connect_nics(
    op: CreateInstance, order: InstanceSpec, group: Group, state: ClusterState
) -> tuple[Nic, ...]:
    return connected(_draft_nics(order), group, state, conflicts_check=op.conflicts_check)


def _list_unit_sizes(order: InstanceSpec, nodes: Sequence[Node], state: ClusterState) -> list[int]:
    """Return the sizes of the disks for which these nodes must have free space, in MiB."""
    groups = [state.groups[uuid] for uuid in {node.group for node in nodes}]
    # The usual thin pool is that of a group: space is needed unless all have one.
    needs = [list_unit_sizes(order.disks, order.template, g, state.cluster) for g in groups]
    return max(needs, key=sum, default=[])


def _choose_nodes(
    op: CreateInstance,
    order: InstanceSpec,
    draft: Instance,
    state: ClusterState,
    facts: NodeAnswers,
) -> tuple[Node, ...]:
    """Return the requested nodes, or those that an allocator chooses."""
    check_not_both(op.iallocator, [op.pnode, op.pnode_uuid, op.snode, op.snode_uuid])
    backend, nodes = backend_of(state.cluster, draft), _eligible_nodes(op, state)
    wish = Placement(
        name=op.instance_name,
        memory=backend.maxmem if op.start or op.forthcoming else 0,
        vcpus=0 if order.hypervisor in ON_PAPER else backend.vcpus,
        disks=_list_unit_sizes(order, nodes, state),
        template=order.template,
        wanted=_required_nodes(order),
    )
    if _names_nodes(op):
        return _check_requested_nodes(wish, nodes, facts, state, op)
    if nodes and not (nodes := [node for node in nodes if node.uuid not in facts.busy]):
        raise Refused("all nodes are locked by other jobs; try again later", Code.TEMPORARY)
    if (chosen := advised(facts, wish.wanted, state)) is not None:
        return chosen
    size = None if op.ignore_ipolicy else _policy_size(order, draft, state)
    found = candidates(
        nodes, order.template, state, lambda node: facts.known(node, DescribeNode), size=size
    )
    if size is not None and found and all(each.objection for each in found):
        # No group allows the size, so the request itself has to change.
        group = state.groups[found[0].node.group]
        check_policy(size, policy_of(state.cluster, group), op.instance_name)
    return tuple(choose(wish, found).nodes)


def _required_nodes(order: InstanceSpec) -> int:
    return 2 if order.template is Template.DRBD else 1


def request_allocation(
    op: CreateInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator, unless nodes are given."""
    op = _prepare(op, state)
    if _names_nodes(op):
        return None
    op, _ = arriving(op, state, facts)
    return make_request(op.iallocator, allocation(op, state, facts.busy), state)


def allocation(
    op: CreateInstance, state: ClusterState, busy: Collection[str] = ()
) -> dict[str, object]:
    """Return the request for nodes for a new instance, in the form of the iallocator protocol.

    ``busy`` are the UUIDs of nodes to exclude.

    :raises GanetiError: ``op`` is not valid.
    """
    order = make_spec(op, state.cluster)
    size = _policy_size(order, _draft_instance(order, op.instance_name, ""), state)
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
        "disk_space_total": compute_disk_space(order.template, size.disks),
        "nics": [{"mac": nic.mac or "auto", "ip": nic.ip, **nic.nicparams} for nic in order.nics],
        "required_nodes": _required_nodes(order),
        "hypervisor": order.hypervisor,
        **({"restrict-to-nodes": _free_node_names(busy, state)} if busy else {}),
    }


def _free_node_names(busy: Collection[str], state: ClusterState) -> list[str]:
    return sorted(node.name for node in state.nodes.values() if node.uuid not in busy)


def _check_requested_nodes(
    wish: Placement,
    nodes: Sequence[Node],
    facts: NodeAnswers,
    state: ClusterState,
    op: CreateInstance,
) -> tuple[Node, ...]:
    if len(nodes) != wish.wanted:
        how_many = "require a secondary node" if wish.wanted == 2 else "have no secondary node"
        raise Refused(f"{wish.template.value} disks {how_many}", Code.INPUT)
    if len({node.uuid for node in nodes}) != len(nodes):
        raise Refused("pnode and snode are equal; give two different nodes, or none", Code.INPUT)
    for node in nodes:
        # A node that has not answered is refused with the reason for that.
        if not node.offline:
            facts.answer_of(node, DescribeNode)
    if op.group_name is not None:
        group = state.group(op.group_name)
        for node in nodes:
            if node.group != group.uuid:
                raise Refused(
                    f"node {node.name} is not in node group {group.name}; give only one of them",
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
                f"node {candidate.node.name} cannot host instance {op.instance_name}: it {reason}",
                code,
            )
    return tuple(nodes)


async def _check_on_nodes(plan: CreationPlan, tools: Tools) -> None:
    """Check on the nodes what depends on them: files that parameters name, and OS parameters.

    Only the chosen nodes are queried, before any change there.

    :raises Refused: a node does not accept the guest.
    """
    guest = _add_secrets(make_guest(tools.config.state(), plan.draft, ()), plan.op)
    call = replace(hypervisor_check(guest), disks=len(plan.order.disks))
    questions: list[NodeQuery] = [NodeQuery(plan.nodes, call)]
    if _runs_scripts(plan.order, plan.arrival):
        if not _names_nodes(plan.op):
            await _check_chosen_node(plan, tools)
        questions.append(make_os_query(guest, plan.nodes[0], force_variant=plan.op.force_variant))
    facts = await tools.progress.interruptible(gather(questions, tools.nodes))
    for question in questions:
        for node in question.nodes:
            facts.answer_of(node, type(question.call))


async def _check_chosen_node(plan: CreationPlan, tools: Tools) -> None:
    """Check the OS definition on the node that was chosen; others were not asked for theirs."""
    node, state = plan.nodes[0], tools.config.state()
    asked = gather([NodeQuery([node], DescribeOSes())], tools.nodes)
    facts = await tools.progress.interruptible(asked)
    _check_definition(plan.op, make_guest(state, plan.draft, ()), node, state, facts)


async def run(plan: CreationPlan, tools: Tools) -> list[str]:
    if plan.op.forthcoming:
        return await _reserve(plan, tools)
    await check_source(plan.arrival, tools)
    await _check_on_nodes(plan, tools)
    instance, disks = _make_records(plan, tools.config.state(), tools.ids.secret)
    names = [node.name for node in plan.nodes]
    async with Undo(tools.progress) as undo:
        # The configuration comes first: it allocates ports and minors, and so every created disk
        # belongs to a recorded instance, even after an interruption.
        back = _make_reverse(plan, instance, tools.config.state())
        await tools.config.change(_make_change(plan, instance, disks))
        undo.by(
            f"remove {instance.name} from the configuration", partial(tools.config.change, back)
        )
        state = tools.config.state()
        instance = state.instances[instance.uuid]
        disks = state.get_disks(instance)
        if adopts(plan.op):
            await adopt_disks(disks, plan.order.disks, plan.nodes[0], tools, undo)
        else:
            await create_disks(state, instance, disks, tools, undo)
        tools.progress.may_stop()
        guest = make_guest(state, instance)
        # A secondary node needs a call of its own; on the primary, the next steps attach the disks.
        if len(plan.nodes) > 1:
            await attach_disks(state, instance, disks, tools)
        if not adopts(plan.op):
            await wipe_if_enabled(instance, disks, tools)
        if plan.order.installs:
            await _install(plan, guest, tools)
        if plan.arrival is not None:
            await fill(plan.arrival, plan.nodes[0], _add_secrets(guest, plan.op), tools)
            # Its data are complete, so that it may be started from now on.
            await tools.config.change(want(instance, AdminState.DOWN))
    if plan.op.start:
        await _start(plan, guest, tools)
    if len(plan.nodes) > 1 and plan.op.wait_for_sync:
        await wait_for_sync(instance, disks, tools)
    # Other disks on one node cost nothing while they are attached.
    attached = len(plan.nodes) > 1 or plan.order.template is Template.EXT
    if attached and not plan.op.start:
        await detach_finally(tools.config.state(), instance, disks, tools)
    return names


async def _reserve(plan: CreationPlan, tools: Tools) -> list[str]:
    """Record the reservation; nothing is done on nodes."""
    instance, disks = _make_records(plan, tools.config.state(), tools.ids.secret)
    await tools.config.change(_make_change(plan, instance, disks))
    tools.progress.log_message(
        f"instance {instance.name} is reserved; to create it: gnt-instance add --commit"
        f" {instance.name}"
    )
    return [node.name for node in plan.nodes]


def _make_change(plan: CreationPlan, instance: Instance, disks: Sequence[Disk]) -> Change:
    if plan.reserved is not None:
        return commit_reservation(instance, disks)
    return _add_change(instance, disks)


def _make_reverse(plan: CreationPlan, instance: Instance, state: ClusterState) -> Change:
    """Return the change that takes the addition back, to the state before."""
    if plan.reserved is not None:
        return restore_reservation(plan.reserved, state.get_disks(plan.reserved))
    return remove_instance(instance)


def _make_records(
    plan: CreationPlan, state: ClusterState, secret: Callable[[], str] = empty_secret
) -> tuple[Instance, tuple[Disk, ...]]:
    """Return the records of the instance and its disks, with generated identifiers.

    They are deterministic for one plan and state, except for ``secret``. Those of a reservation
    are kept.
    """
    if (reserved := plan.reserved) is not None:
        kept = {
            name: getattr(reserved, name)
            for name in ("serial_no", "ctime", "mtime", "nics", "disks", "network_port")
        }
        made = tuple(reserved_disk(each, forthcoming=False) for each in state.get_disks(reserved))
        return replace(plan.draft, **kept), made
    op, ids = plan.op, DeterministicIdentifiers(plan.draft.uuid, secret)
    site = DiskLocation(
        op.instance_name,
        [node.uuid for node in plan.nodes],
        op.file_storage_dir,
        op.file_driver.value if op.file_driver else None,
    )
    disks = lay_out(plan.order.disks, plan.order.template, site, state, ids)
    if op.forthcoming:
        disks = tuple(reserved_disk(each, forthcoming=True) for each in disks)
    taken: set[str] = set()
    nics = []
    for card in plan.draft.nics:
        prefix = get_mac_prefix(card, state)
        mac = card.mac or generate_mac(state, ids.random, prefix=prefix, besides=taken)
        taken.add(mac)
        nics.append(replace(card, mac=mac, uuid=ids.uuid()))
    instance = replace(
        plan.draft,
        nics=tuple(nics),
        disks=tuple(disk.uuid for disk in disks),
    )
    return instance, disks


async def _install(plan: CreationPlan, guest: Guest, tools: Tools) -> None:
    await require_image(plan.draft, guest, plan.nodes[0], tools)
    tools.progress.log_message(f"installing {guest.os} on {guest.name}")
    debug = plan.op.debug_level or 0
    install = InstallOS(guest=_add_secrets(guest, plan.op), debug=debug)
    await tools.progress.interruptible(tools.nodes.ask(plan.nodes[0], install))


def _add_secrets(guest: Guest, op: CreateInstance) -> Guest:
    return replace(guest, osparams={**guest.osparams, **(op.osparams_secret or {})})


async def _start(plan: CreationPlan, guest: Guest, tools: Tools) -> None:
    instance = tools.config.state().instances[guest.uuid]
    await tools.config.change(wanted_up(instance))
    try:
        await tools.nodes.ask(plan.nodes[0], StartInstanceCall(guest=guest))
    except Unreachable as e:
        raise Failed(
            f"instance {guest.name} was created and is configured to run, but it is unknown whether"
            f" it has started: {e}; when the node answers: gnt-instance startup {guest.name}",
            e.code,
        ) from e
    except (Failed, Refused) as e:
        down = together(want(instance, AdminState.DOWN), set_disks_active(instance, False))
        await tools.config.change(down)
        raise Failed(f"instance {guest.name} was created but cannot be started: {e}", e.code) from e


def hooks(plan: CreationPlan, state: ClusterState) -> HookCall | None:
    if plan.op.forthcoming:
        # They are about an instance that can be started, and run when it is created.
        return None
    state = _state_with_instance(plan, state)
    instance = state.instances[plan.draft.uuid]
    disks = state.get_disks(instance)
    here = [state.cluster.master_node, *(node.uuid for node in plan.nodes)]
    variables = {**environment(state, instance, disks), "ADD_MODE": plan.op.mode.value}
    variables |= hook_variables(plan.arrival)
    return HookCall("instance-add", "INSTANCE", variables, here, here)


def _state_with_instance(plan: CreationPlan, state: ClusterState) -> ClusterState:
    """Return the state with the instance, which is added if it does not exist yet."""
    present = state.instances.get(plan.draft.uuid)
    if present is not None and not present.forthcoming:
        return state
    instance, disks = _make_records(plan, state)
    wanted = AdminState.UP if plan.op.start else AdminState.DOWN
    change = _make_change(plan, replace(instance, admin_state=wanted), disks)
    return change(state)


def _add_change(instance: Instance, disks: Sequence[Disk]) -> Change:
    return add_instance(instance, disks, with_port=instance.hypervisor in NETWORK_PORT_HYPERVISORS)


def preview(plan: CreationPlan) -> list[str]:
    return [node.name for node in plan.nodes]


OPERATION = Operation(CreateInstance, plan, run, questions, hooks, preview, request_allocation)
