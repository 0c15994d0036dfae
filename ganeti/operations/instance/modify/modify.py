# SPDX-License-Identifier: BSD-2-Clause
"""The operation that modifies parameters, network cards, disks and state of an instance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ganeti.config.changes.instances import add_disk, carry, remove_disk, want
from ganeti.config.changes.macs import generate_mac
from ganeti.config.changes.objects import together, update
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.cluster import Cluster
from ganeti.model.cluster_settings import NO_USER_POOL, lacks_user_pool
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import CheckScope
from ganeti.model.instance import AdminState, Instance, Nic
from ganeti.model.node import Node
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import (
    backend_of,
    be_defaults,
    fill_os,
    hv_defaults,
    policy_of,
)
from ganeti.model.parameters.hypervisors import get_parameter_set
from ganeti.model.parameters.kvm import CD_IMAGES
from ganeti.model.parameters.parsing import DEFAULT, validate_with_defaults
from ganeti.model.running import RunningConfig
from ganeti.opcodes.instance.device_changes import changes
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.allocation.candidates import list_sizes, require_space, storage_units
from ganeti.operations.allocation.node_check import check_processor_masks, hypervisor_check
from ganeti.operations.allocation.policy_check import check_policy
from ganeti.operations.allocation.sizes import size_of
from ganeti.operations.allocation.target_node import get_template
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.images.image_names import merge_changes, resolve_name
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.device_specs import check_nic_parameters
from ganeti.operations.instance.disks.block_devices import (
    attach_disks,
    create_disks,
    detach_disks,
    remove_disks,
)
from ganeti.operations.instance.disks.disk_layout import DiskLocation, lay_out, list_unit_sizes
from ganeti.operations.instance.disks.mirrors import wait_for_sync
from ganeti.operations.instance.disks.wipe import wipe_if_enabled
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.modify.conversion import (
    DiskConversion,
    conversion_queries,
    plan_conversion,
    run_conversion,
)
from ganeti.operations.instance.modify.device_changes import (
    DiskChanges,
    DiskStep,
    Nics,
    apply_disk_changes,
    apply_nic_changes,
)
from ganeti.operations.instance.modify.guest_devices import (
    HotplugPlan,
    add_hot_disk,
    add_hot_nics,
    plan_hotplug,
    remove_hot_disk,
    remove_hot_nics,
    wants_hotplug,
)
from ganeti.operations.instance.modify.runtime_memory import change_memory, check_memory_change
from ganeti.operations.instance.nic_networks import connected, get_mac_prefix
from ganeti.operations.instance.os_check import check_installable, make_os_query
from ganeti.operations.instance.pending_changes import report_pending
from ganeti.operations.instance.running_check import (
    check_known,
    check_not_elsewhere,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_no_snapshots
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.planned_ids import DeterministicIdentifiers, empty_secret
from ganeti.operations.refusals import not_stopped, nothing_to_change
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import ChangeMedia, DescribeHotplug, DescribeRunning
from ganeti.rpc.node import DescribeNode, DescribeOSes, ValidateHypervisor, ValidateOS
from ganeti.schema.records import FieldValues, replace
from ganeti.schema.types import Parameters

Rows = list[tuple[str, object]]


@dataclass(frozen=True)
class InstanceModification:
    """An instance and its changes: fields, network cards, disks and configured state."""

    op: ModifyInstance
    subject: InstanceContext
    nics: Nics
    disks: DiskChanges
    wanted: AdminState | None
    runs: bool
    hotplug: HotplugPlan
    rows: Rows
    identity: str
    fields: FieldValues = field(default_factory=dict)

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: ModifyInstance, state: ClusterState) -> Sequence[NodeQuery]:
    if op.disk_template is not None:
        return conversion_queries(op, state)
    subject = subject_of(op, state)
    here, hypervisor = [subject.primary], subject.instance.hypervisor
    found: list[NodeQuery] = []
    if op.disks or op.offline:
        found += presence_queries(subject, state, besides=here)
    if subject.primary.offline:
        return found
    described = DescribeNode(hypervisors=(hypervisor,))
    if op.disks:
        described = replace(described, storage=storage_units(state.cluster))
    nodes = subject.nodes if op.disks else here
    found.append(NodeQuery([node for node in nodes if not node.offline], described))
    if op.disks:
        found.append(NodeQuery(here, DescribeRunning(guest=make_guest(state, subject.instance))))
    if _changes_os(op) and not op.force:
        found.append(NodeQuery(here, DescribeOSes()))
        guest = make_guest(state, replace(subject.instance, **_os_fields(op, subject, state)))
        if guest.os:
            found.append(make_os_query(guest, subject.primary, force_variant=op.force_variant))
    if _changes_guest(op):
        found.append(NodeQuery(here, _make_check(op, subject, state)))
    if wants_hotplug(op):
        found.append(NodeQuery(here, DescribeHotplug(guest=make_guest(state, subject.instance))))
    return found


def _changes_guest(op: ModifyInstance) -> bool:
    """Return whether the node has to support new settings of the guest."""
    return bool(op.hvparams or op.nics or op.disks)


def _make_check(
    op: ModifyInstance, subject: InstanceContext, state: ClusterState
) -> ValidateHypervisor:
    """Return the check whether the node supports the new settings.

    Changes of cards or disks alone do not check parameters that were set before.
    """
    hvparams = (
        _read_hvparams(op, subject, state.cluster) if op.hvparams else subject.instance.hvparams
    )
    cards = _apply_nics(op, subject, state).cards
    changed = replace(subject.instance, hvparams=hvparams, nics=cards)
    scope = CheckScope.ALL if op.hvparams else CheckScope.EQUIPMENT
    disks = apply_disk_changes(subject.instance, subject.disks, changes(op.disks))
    check = hypervisor_check(make_guest(state, changed), scope)
    return replace(check, disks=len(disks.sizes))


def _apply_nics(op: ModifyInstance, subject: InstanceContext, state: ClusterState) -> Nics:
    """Return the changed network cards, with the connections of their networks."""
    nics = apply_nic_changes(subject.instance, changes(op.nics), state)
    group = state.groups[subject.primary.group]
    cards = connected(
        nics.cards,
        group,
        state,
        before=subject.instance.nics,
        conflicts_check=op.conflicts_check,
    )
    return dataclasses.replace(nics, cards=cards)


def plan(
    op: ModifyInstance, state: ClusterState, facts: NodeAnswers
) -> InstanceModification | DiskConversion:
    """Plan the changes."""
    if op.disk_template is not None:
        return plan_conversion(op, state, facts)
    subject = subject_of(op, state)
    _check_supported(op, subject)
    runs = _is_running(subject, facts)
    rows: Rows = []
    fields = _read_parameters(op, subject, state, facts, rows)
    if op.hvparams or "vcpus" in op.beparams:
        check_processor_masks(make_guest(state, replace(subject.instance, **fields)))
    nics = _apply_nics(op, subject, state)
    if nics.changed:
        check_nic_parameters(nics.cards, state.cluster)
    if _changes_guest(op) and not subject.primary.offline:
        facts.answer_of(subject.primary, ValidateHypervisor)
    disks = apply_disk_changes(subject.instance, subject.disks, changes(op.disks))
    if disks.removes or op.offline:
        found = determine_presence(subject, state, facts)
        check_not_elsewhere(found)
        # A guest that runs on a node which does not answer would lose its data.
        if disks.removes:
            check_known(found)
    if op.runtime_mem is not None:
        changed = replace(subject.instance, **fields)
        present = (
            None if subject.primary.offline else facts.answer_of(subject.primary, DescribeNode)
        )
        check_memory_change(changed, op.runtime_mem, state, present, force=op.force)
        rows.append(("runtime_memory", op.runtime_mem))
    wanted = _new_admin_state(op, subject, runs, rows)
    hotplug = plan_hotplug(op, subject, runs, disks, facts)
    if disks.steps:
        if disks.added or disks.removed:
            check_no_snapshots(state, subject.instance, "whose disks are to stay")
        running = facts.known(subject.primary, DescribeRunning) if runs else None
        _check_disk_changes(subject, disks, runs and not hotplug.possible, running)
        _require_space(subject, disks, facts, state)
    rows += [*nics.changed, *disks.changed]
    if not rows:
        raise nothing_to_change()
    plan = InstanceModification(
        op, subject, nics, disks, wanted, runs, hotplug, rows, facts.identity, fields
    )
    _changed_state(plan, state)  # refuses impossible disk layouts
    if not op.ignore_ipolicy:
        _check_policy(plan, state)
    if runs and not op.force:
        _check_memory(plan, state, facts)
    return plan


def _check_supported(op: ModifyInstance, subject: InstanceContext) -> None:
    name = subject.instance.name
    if op.remote_node is not None or op.remote_node_uuid is not None:
        raise Refused(
            "a secondary node is for the conversion of disks; to replace that of mirrored disks:"
            f" gnt-instance replace-disks -n NODE {name}",
            Code.INPUT,
        )
    if op.ext_params:
        raise Refused(
            "parameters of external storage are for a conversion: gnt-instance modify -t ext -e"
            f" provider=NAME {name}",
            Code.INPUT,
        )
    if op.pnode is not None or op.pnode_uuid is not None:
        raise Refused(
            f"cannot set the primary node; move the instance: gnt-instance failover -n NODE {name}",
            Code.INPUT,
        )


def _is_running(subject: InstanceContext, facts: NodeAnswers) -> bool:
    if subject.primary.offline:
        return False
    return subject.instance.name in facts.answer_of(subject.primary, DescribeNode).guests


def _read_hvparams(op: ModifyInstance, subject: InstanceContext, cluster: Cluster) -> Parameters:
    instance = subject.instance
    above = hv_defaults(cluster, instance.hypervisor, op.os_name or instance.os)
    found = validate_with_defaults(
        get_parameter_set(instance.hypervisor),
        op.hvparams,
        above,
        path="hvparams",
        onto=instance.hvparams,
        for_one=True,
    )
    if lacks_user_pool({**above, **found}, cluster.uid_pool):
        raise Invalid([Problem("hvparams/security_model", NO_USER_POOL)])
    return found


def _read_parameters(
    op: ModifyInstance,
    subject: InstanceContext,
    state: ClusterState,
    facts: NodeAnswers,
    rows: Rows,
) -> dict[str, object]:
    """Return the changed fields of the instance's record, and append the changes to ``rows``."""
    instance = subject.instance
    fields: FieldValues = {}
    if op.beparams:
        above, onto = be_defaults(state.cluster), instance.beparams
        fields["beparams"] = validate_with_defaults(
            Backend, op.beparams, above, path="beparams", onto=onto
        )
        rows += [(f"be/{name}", value) for name, value in op.beparams.items()]
    if op.hvparams:
        fields["hvparams"] = _read_hvparams(op, subject, state.cluster)
        rows += [(f"hv/{name}", value) for name, value in op.hvparams.items()]
    fields |= _os_fields(op, subject, state)
    rows += [(f"os/{name}", value) for name, value in op.osparams.items()]
    rows += [(f"os_private/{name}", "<redacted>") for name in op.osparams_private or ()]
    if op.os_name is not None:
        rows.append(("os", op.os_name))
    if _changes_os(op) and not op.force:
        _check_os(op, replace(instance, **fields), subject.primary, state, facts)
    return fields


def _changes_os(op: ModifyInstance) -> bool:
    return bool(op.os_name or op.osparams or op.osparams_private)


def _os_fields(
    op: ModifyInstance, subject: InstanceContext, state: ClusterState
) -> dict[str, object]:
    """Return the changed OS fields of the instance's record."""
    instance, fields = subject.instance, FieldValues()
    if op.osparams:
        fields["osparams"] = _merge(instance.osparams, op.osparams)
    if op.osparams_private:
        fields["osparams_private"] = _merge(instance.osparams_private, op.osparams_private)
    if op.os_name is not None:
        fields["os"] = op.os_name
    return {**fields, **_resolve_image(op, replace(instance, **fields), instance, state)}


def _resolve_image(
    op: ModifyInstance, changed: Instance, before: Instance, state: ClusterState
) -> dict[str, object]:
    """Return the OS parameters with the digest of an image of the library, if that changes.

    :raises Refused: there is no such image, or it has another digest.
    """
    merged = changed.osparams
    osparams = merge_changes(changed.os, before.osparams, op.osparams, merged)
    names_image = not {"image", "checksum"}.isdisjoint(op.osparams)
    if names_image or (op.os_name is not None and "checksum" not in osparams):
        filled = fill_os(state.cluster, replace(changed, osparams=osparams))
        osparams = resolve_name(changed.os, osparams, filled, state)
    return {} if osparams == merged else {"osparams": osparams}


def _check_os(
    op: ModifyInstance, changed: Instance, node: Node, state: ClusterState, facts: NodeAnswers
) -> None:
    """Check that the instance's node has the OS definition and accepts its parameters.

    :raises Refused: it does not.
    """
    if not changed.os:
        return
    check_online(node, f"the OS definition {changed.os} and its parameters cannot be checked")
    guest, force_variant = make_guest(state, changed), op.force_variant
    definitions = facts.answer_of(node, DescribeOSes)
    check_installable(guest, definitions, node.name, state.cluster, force_variant=force_variant)
    facts.answer_of(node, ValidateOS)


def _merge(before: Parameters, given: Parameters) -> Parameters:
    merged = {**before, **given}
    return {name: value for name, value in merged.items() if value != DEFAULT}


def _new_admin_state(
    op: ModifyInstance, subject: InstanceContext, runs: bool, rows: Rows
) -> AdminState | None:
    """Return the new configured state, or None if it does not change.

    A request for the present state succeeds, which makes scripts idempotent.
    """
    instance = subject.instance
    if op.offline is None:
        return None
    if op.offline is (instance.admin_state is AdminState.OFFLINE):
        rows.append(("admin_state", instance.admin_state.value))
        return None
    if op.offline and (runs or instance.admin_state is AdminState.UP):
        raise not_stopped(instance.name)
    wanted = AdminState.OFFLINE if op.offline else AdminState.DOWN
    rows.append(("admin_state", wanted.value))
    return wanted


def _check_disk_changes(
    subject: InstanceContext, disks: DiskChanges, runs: bool, running: RunningConfig | None
) -> None:
    name = subject.instance.name
    # A disk that was added after the start of the guest is not in use.
    used = None if running is None else {disk.uuid for disk in running.disks}
    if runs and any(used is None or uuid in used for uuid in disks.removed):
        raise Refused(
            f"instance {name} is running with the disk; stop it first: gnt-instance shutdown {name}"
        )
    if disks.added and get_template(subject) is Template.DISKLESS:
        raise Refused(
            f"instance {name} is diskless and cannot get disks; create another instance", Code.INPUT
        )
    for node in subject.nodes:
        check_online(node, f"the disks of instance {name} cannot be changed there")


def _require_space(
    subject: InstanceContext, disks: DiskChanges, facts: NodeAnswers, state: ClusterState
) -> None:
    template, group = get_template(subject), state.groups[subject.primary.group]
    sizes = list_unit_sizes(disks.added, template, group, state.cluster)
    if not sizes:
        return
    freed = sum(list_sizes(disk for disk in subject.disks if disk.uuid in disks.removed))
    for node in subject.nodes:
        present = facts.answer_of(node, DescribeNode)
        require_space(node, present, template, sizes, state=state, freed=freed)


def _check_policy(plan: InstanceModification, state: ClusterState) -> None:
    changed = replace(plan.subject.instance, **plan.fields, nics=plan.nics.cards)
    size = size_of(changed, plan.subject.disks, state)
    policy = policy_of(state.cluster, state.groups[plan.subject.primary.group])
    sized = dataclasses.replace(size, disks=plan.disks.sizes)
    check_policy(sized, policy, changed.name)


def _check_memory(plan: InstanceModification, state: ClusterState, facts: NodeAnswers) -> None:
    """Check that the node has enough memory for the next start of a running instance.

    :raises Refused: it has not.
    """
    instance, node = plan.subject.instance, plan.subject.primary
    present = facts.answer_of(node, DescribeNode)
    wanted = backend_of(state.cluster, replace(instance, **plan.fields)).minmem
    has = present.guests[instance.name].memory
    if wanted > has and wanted > has + present.memory_free:
        raise Refused(
            f"instance {instance.name} will require {wanted} MiB of memory at its next start, but "
            f"node {node.name} has {present.memory_free} MiB of free memory besides the {has} MiB "
            "in use by the instance; use --force to set it anyway",
            Code.RESOURCES,
        )


async def run(plan: InstanceModification | DiskConversion, tools: Tools) -> list[list[object]]:
    if isinstance(plan, DiskConversion):
        return await run_conversion(plan, tools)
    if plan.hotplug.problem:
        tools.progress.log_message(f"the running guest keeps its devices: {plan.hotplug.problem}")
    if plan.op.runtime_mem is not None:
        # First, as it is the step that a guest may not do.
        await change_memory(plan.subject, plan.op.runtime_mem, tools)
    for number, step in enumerate(plan.disks.steps):
        await _change_disk(plan, step, number, tools)
    if made := _make_changes(plan, tools.config.state()):
        if plan.nics.changed and plan.hotplug.possible:
            await _change_hot_nics(plan, together(*made), tools)
        else:
            await tools.config.change(together(*made))
    if plan.runs:
        await _change_media(plan, tools)
        await report_pending(plan.subject, tools)
    return [list(row) for row in plan.rows]


async def _change_hot_nics(plan: InstanceModification, change: Change, tools: Tools) -> None:
    """Change the instance's record and the network cards of its running guest."""
    state, uuid = tools.config.state(), plan.subject.instance.uuid
    before = make_guest(state, state.instances[uuid])
    planned = change(state)
    after = make_guest(planned, planned.instances[uuid])
    async with Undo(tools.progress) as undo:
        # In this order, the guest never has a card that is not configured.
        await remove_hot_nics(plan.hotplug, before, after, tools, undo)
        await tools.config.change(change)
        restore = carry(planned.instances[uuid], state.instances[uuid].nics)
        undo.by("restore the configured network cards", partial(tools.config.change, restore))
        await add_hot_nics(plan.hotplug, before, after, tools, undo)


async def _change_media(plan: InstanceModification, tools: Tools) -> None:
    """Put other images into the CD drives of the running guest, or empty these.

    If that fails, the job does not, as the configuration is changed; the images are those of the
    next start.
    """
    if not set(CD_IMAGES) & plan.op.hvparams.keys():
        return
    state, name = tools.config.state(), plan.subject.instance.name
    guest = make_guest(state, state.instances[plan.subject.instance.uuid])
    try:
        await tools.nodes.ask(plan.subject.primary, ChangeMedia(guest=guest, force=plan.op.force))
    except (Failed, Refused) as e:
        tools.progress.log_message(f"the CD of the running instance {name} was not changed: {e}")


def _make_changes(plan: InstanceModification, state: ClusterState) -> list[Change]:
    """Return the changes of the instance's record, except for disks."""
    instance, made = plan.subject.instance, list[Change]()
    if plan.fields:
        made.append(update(instance, **plan.fields))
    if plan.nics.changed:
        made.append(carry(instance, _complete_nics(plan, state)))
    if plan.wanted is not None:
        made.append(want(instance, plan.wanted))
    return made


def _complete_nics(plan: InstanceModification, state: ClusterState) -> tuple[Nic, ...]:
    """Return the network cards with generated MAC addresses and UUIDs."""
    ids, taken = (
        DeterministicIdentifiers(f"{plan.identity}/nics"),
        {card.mac for card in plan.nics.cards},
    )
    finished = []
    for card in plan.nics.cards:
        prefix = get_mac_prefix(card, state)
        mac = card.mac or generate_mac(state, ids.random, prefix=prefix, besides=taken)
        taken.add(mac)
        finished.append(replace(card, mac=mac, uuid=card.uuid or ids.uuid()))
    return tuple(finished)


async def _change_disk(
    plan: InstanceModification, step: DiskStep, number: int, tools: Tools
) -> None:
    instance = plan.subject.instance
    if step.disk is None:
        await _add_disk(plan, step, number, tools)
    elif step.fields is not None:
        await tools.config.change(update(step.disk, **step.fields))
    else:
        # From before the removal of the record, which is needed for that of the volumes.
        state = tools.config.state()
        if plan.hotplug.possible:
            # A disk that the guest does not release stays configured.
            guest = make_guest(state, state.instances[instance.uuid])
            await remove_hot_disk(plan.hotplug, guest, step.disk, tools)
        await tools.config.change(remove_disk(instance, step.disk))
        for left in await remove_disks(state, instance, [step.disk], tools):
            tools.progress.log_message(f"cannot remove {left}")


def _new_disk(
    plan: InstanceModification,
    step: DiskStep,
    number: int,
    state: ClusterState,
    secret: Callable[[], str] = empty_secret,
) -> Disk:
    """Return the record of the disk that this step adds; it is deterministic."""
    assert step.wish is not None
    op, nodes = plan.op, [node.uuid for node in plan.subject.nodes]
    driver = op.file_driver.value if op.file_driver else None
    site = DiskLocation(plan.subject.instance.name, nodes, op.file_storage_dir, driver)
    template = get_template(plan.subject)
    ids = DeterministicIdentifiers(f"{plan.identity}/{number}", secret)
    [disk] = lay_out([step.wish], template, site, state, ids, first=step.place)
    return disk


async def _add_disk(plan: InstanceModification, step: DiskStep, number: int, tools: Tools) -> None:
    instance, op = plan.subject.instance, plan.op
    disk = _new_disk(plan, step, number, tools.config.state(), tools.ids.secret)
    async with Undo(tools.progress) as undo:
        await tools.config.change(add_disk(instance, disk, step.place))
        take_out = partial(tools.config.change, remove_disk(instance, disk))
        undo.by(f"remove {disk.iv_name} from the configuration", take_out)
        added = await _create_disk(plan, disk, tools, undo)
        if plan.hotplug.possible:
            state = tools.config.state()
            guest = make_guest(state, state.instances[instance.uuid])
            # Also after a time-out, when the guest may have it.
            back = partial(remove_hot_disk, plan.hotplug, guest, added, tools)
            undo.by(f"remove {added.iv_name} from the running guest", back)
            await add_hot_disk(plan.hotplug, guest, added, tools)
    # Not undone, as the disk is complete even if the wait ends early.
    if op.wait_for_sync:
        await wait_for_sync(instance, [added], tools)


async def _create_disk(plan: InstanceModification, disk: Disk, tools: Tools, undo: Undo) -> Disk:
    state = tools.config.state()
    instance, added = state.instances[plan.subject.instance.uuid], state.disks[disk.uuid]
    await create_disks(state, instance, [added], tools, undo)
    wipes = state.cluster.prealloc_wipe_disks
    if instance.disks_active or wipes:
        await attach_disks(state, instance, [added], tools)
    await wipe_if_enabled(instance, [added], tools)
    if wipes and not instance.disks_active:
        await detach_disks(state, instance, [added], tools)
    return added


def hooks(plan: InstanceModification | DiskConversion, state: ClusterState) -> HookCall:
    if isinstance(plan, DiskConversion):
        more = {"NEW_DISK_TEMPLATE": plan.template.value}
        return instance_hooks("instance-modify", plan.subject, state, more)
    memory = plan.op.runtime_mem
    more = {} if memory is None else {"RUNTIME_MEMORY": str(memory)}
    return instance_hooks("instance-modify", plan.subject, _changed_state(plan, state), more)


def _changed_state(plan: InstanceModification, state: ClusterState) -> ClusterState:
    """Return the state with the changes applied, unless they already are."""
    instance = state.instances.get(plan.subject.instance.uuid)
    if instance != plan.subject.instance or state.get_disks(instance) != plan.subject.disks:
        return state
    for number, step in enumerate(plan.disks.steps):
        if step.disk is None:
            state = add_disk(instance, _new_disk(plan, step, number, state), step.place)(state)
        elif step.fields is not None:
            state = update(step.disk, **step.fields)(state)
        else:
            state = remove_disk(instance, step.disk)(state)
    for change in _make_changes(plan, state):
        state = change(state)
    return state


def preview(plan: InstanceModification | DiskConversion) -> list[list[object]]:
    return [list(row) for row in plan.rows]


OPERATION = Operation(ModifyInstance, plan, run, questions, hooks, preview)
