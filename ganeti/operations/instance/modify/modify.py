# SPDX-License-Identifier: BSD-2-Clause
"""Changing what an instance is made of: parameters, network cards, disks, whether it is in use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ganeti.config.changes.instances import add_disk, carry, remove_disk, want
from ganeti.config.changes.macs import new_mac
from ganeti.config.changes.objects import together, update
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import CheckScope
from ganeti.model.instance import Instance, Nic, Wanted
from ganeti.model.node import Node
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import be_defaults, be_filled, hv_defaults, policy_filled
from ganeti.model.parameters.hypervisors import driven
from ganeti.model.parameters.parsing import DEFAULT, with_defaults
from ganeti.model.running import RunningConfig
from ganeti.opcodes.instance.device_changes import changes
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.allocation.candidates import require_space, storage_units
from ganeti.operations.allocation.node_check import hypervisor_check
from ganeti.operations.allocation.policy_check import require_policy
from ganeti.operations.allocation.sizes import size_of
from ganeti.operations.allocation.target_node import template_of
from ganeti.operations.guests import guest_of
from ganeti.operations.identifiers import PlannedIdentifiers, no_secret
from ganeti.operations.instance.context import InstanceContext, require_online, subject_of
from ganeti.operations.instance.device_specs import require_connectable
from ganeti.operations.instance.disks.block_devices import (
    attach_disks,
    create_disks,
    detach_disks,
    remove_disks,
)
from ganeti.operations.instance.disks.layout import DiskSite, lay_out
from ganeti.operations.instance.disks.mirrors import wait_for_sync
from ganeti.operations.instance.disks.wipe import wipe_if_wanted
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.modify.device_changes import (
    DiskChanges,
    DiskStep,
    Nics,
    disks_after,
    nics_after,
)
from ganeti.operations.instance.nic_networks import connected, mac_prefix_of
from ganeti.operations.instance.os_check import os_question, require_installable
from ganeti.operations.instance.pending_changes import say_pending
from ganeti.operations.instance.running_check import (
    presence,
    presence_questions,
    require_known,
    require_not_elsewhere,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import DescribeRunning
from ganeti.rpc.node import DescribeNode, DescribeOSes, ValidateHypervisor, ValidateOS
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters

Rows = list[tuple[str, Any]]


@dataclass(frozen=True)
class InstanceModification:
    """An instance and what changes of it: fields of its record, cards, disks, wanted state."""

    op: ModifyInstance
    subject: InstanceContext
    nics: Nics
    disks: DiskChanges
    wanted: Wanted | None
    runs: bool
    rows: Rows
    identity: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: ModifyInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    here, hypervisor = [subject.primary], subject.instance.hypervisor
    found: list[NodeQuery] = []
    if op.disks or op.offline:
        found += presence_questions(subject, state, besides=here)
    if subject.primary.offline:
        return found
    described = DescribeNode(hypervisors=(hypervisor,))
    if op.disks:
        described = replace(described, storage=storage_units(state.cluster))
    nodes = subject.nodes if op.disks else here
    found.append(NodeQuery([node for node in nodes if not node.offline], described))
    if op.disks:
        found.append(NodeQuery(here, DescribeRunning(guest=guest_of(state, subject.instance))))
    if _changes_os(op) and not op.force:
        found.append(NodeQuery(here, DescribeOSes()))
        guest = guest_of(state, replace(subject.instance, **_os_fields(op, subject)))
        if guest.os:
            found.append(os_question(guest, subject.primary, force_variant=op.force_variant))
    if _changes_guest(op):
        found.append(NodeQuery(here, _check(op, subject, state)))
    return found


def _changes_guest(op: ModifyInstance) -> bool:
    """Whether a node must be able to give the guest something new."""
    return bool(op.hvparams or op.nics or op.disks)


def _check(op: ModifyInstance, subject: InstanceContext, state: ClusterState) -> ValidateHypervisor:
    """The question whether the node can give the guest what is new.

    A change of cards or disks alone is not refused for parameters that were set before.
    """
    hvparams = _hvparams(op, subject, state.cluster) if op.hvparams else subject.instance.hvparams
    cards = _nics(op, subject, state).cards
    changed = replace(subject.instance, hvparams=hvparams, nics=cards)
    scope = CheckScope.ALL if op.hvparams else CheckScope.EQUIPMENT
    disks = disks_after(subject.instance, subject.disks, changes(op.disks))
    check = hypervisor_check(guest_of(state, changed), scope)
    return replace(check, disks=len(disks.sizes))


def _nics(op: ModifyInstance, subject: InstanceContext, state: ClusterState) -> Nics:
    """The network cards as they will be, connected as their networks say."""
    nics = nics_after(subject.instance, changes(op.nics), state)
    group = state.groups[subject.primary.group]
    cards = connected(
        nics.cards,
        group,
        state,
        before=subject.instance.nics,
        conflicts_check=op.conflicts_check,
    )
    return dataclasses.replace(nics, cards=cards)


def plan(op: ModifyInstance, state: ClusterState, facts: NodeAnswers) -> InstanceModification:
    """Decide what changes, or refuse."""
    subject = subject_of(op, state)
    _require_possible(op, subject)
    runs = _runs(subject, facts)
    rows: Rows = []
    fields = _parameters(op, subject, state, facts, rows)
    nics = _nics(op, subject, state)
    if nics.changed:
        require_connectable(nics.cards, state.cluster)
    if _changes_guest(op) and not subject.primary.offline:
        facts.of(subject.primary, ValidateHypervisor)
    disks = disks_after(subject.instance, subject.disks, changes(op.disks))
    if disks.removes or op.offline:
        found = presence(subject, state, facts)
        require_not_elsewhere(found)
        if disks.removes:
            require_known(found)
    wanted = _wanted(op, subject, runs, rows)
    if disks.steps:
        running = facts.known(subject.primary, DescribeRunning) if runs else None
        _require_disks_can_change(subject, disks, runs, running)
        _require_space(subject, disks, facts)
    rows += [*nics.changed, *disks.changed]
    if not rows:
        raise Refused("no changes requested; give at least one parameter", Code.INPUT)
    plan = InstanceModification(
        op, subject, nics, disks, wanted, runs, rows, facts.identity, fields
    )
    _changed(plan, state)  # refuses what cannot be laid out
    if not op.ignore_ipolicy:
        _require_size(plan, state)
    if runs and not op.force:
        _require_memory(plan, state, facts)
    return plan


def _require_possible(op: ModifyInstance, subject: InstanceContext) -> None:
    name = subject.instance.name
    if op.disk_template is not None:
        raise Refused(
            f"this version does not convert disks; export instance {name}, and import it with "
            f"the disk template {op.disk_template.value}"
        )
    if op.pnode is not None or op.pnode_uuid is not None:
        raise Refused(
            f"the primary node follows from a move: gnt-instance failover -n NODE {name}",
            Code.INPUT,
        )
    if op.runtime_mem is not None:
        raise Refused(
            "this version does not change the memory of running guests; change minmem and "
            "maxmem, and restart the instance"
        )
    if op.hotplug:
        raise Refused("this version does not change running guests; leave out --hotplug")


def _runs(subject: InstanceContext, facts: NodeAnswers) -> bool:
    if subject.primary.offline:
        return False
    return subject.instance.name in facts.of(subject.primary, DescribeNode).guests


def _hvparams(op: ModifyInstance, subject: InstanceContext, cluster: Cluster) -> Parameters:
    instance = subject.instance
    return with_defaults(
        driven(instance.hypervisor),
        op.hvparams,
        hv_defaults(cluster, instance.hypervisor, op.os_name or instance.os),
        path="hvparams",
        onto=instance.hvparams,
        for_one=True,
    )


def _parameters(
    op: ModifyInstance,
    subject: InstanceContext,
    state: ClusterState,
    facts: NodeAnswers,
    rows: Rows,
) -> dict[str, Any]:
    """The fields of the instance's record that change; ``rows`` tell of them."""
    instance = subject.instance
    fields: dict[str, Any] = {}
    if op.beparams:
        above, onto = be_defaults(state.cluster), instance.beparams
        fields["beparams"] = with_defaults(Backend, op.beparams, above, path="beparams", onto=onto)
        rows += [(f"be/{name}", value) for name, value in op.beparams.items()]
    if op.hvparams:
        fields["hvparams"] = _hvparams(op, subject, state.cluster)
        rows += [(f"hv/{name}", value) for name, value in op.hvparams.items()]
    fields |= _os_fields(op, subject)
    rows += [(f"os/{name}", value) for name, value in op.osparams.items()]
    rows += [(f"os_private/{name}", "<redacted>") for name in op.osparams_private or ()]
    if op.os_name is not None:
        rows.append(("os", op.os_name))
    if _changes_os(op) and not op.force:
        _require_os(op, replace(instance, **fields), subject.primary, state, facts)
    return fields


def _changes_os(op: ModifyInstance) -> bool:
    return bool(op.os_name or op.osparams or op.osparams_private)


def _os_fields(op: ModifyInstance, subject: InstanceContext) -> dict[str, Any]:
    """The fields about the OS that change in the instance's record."""
    instance, fields = subject.instance, dict[str, Any]()
    if op.osparams:
        fields["osparams"] = _merged(instance.osparams, op.osparams)
    if op.osparams_private:
        fields["osparams_private"] = _merged(instance.osparams_private, op.osparams_private)
    if op.os_name is not None:
        fields["os"] = op.os_name
    return fields


def _require_os(
    op: ModifyInstance, changed: Instance, node: Node, state: ClusterState, facts: NodeAnswers
) -> None:
    """Refuse an OS, or parameters for it, that the instance's node does not have."""
    if not changed.os:
        return
    require_online(node, f"it is unknown whether it has {changed.os} with these parameters")
    guest, force_variant = guest_of(state, changed), op.force_variant
    definitions = facts.of(node, DescribeOSes)
    require_installable(guest, definitions, node.name, state.cluster, force_variant=force_variant)
    facts.of(node, ValidateOS)


def _merged(before: Parameters, given: Parameters) -> Parameters:
    merged = {**before, **given}
    return {name: value for name, value in merged.items() if value != DEFAULT}


def _wanted(op: ModifyInstance, subject: InstanceContext, runs: bool, rows: Rows) -> Wanted | None:
    """The state that the instance is to be in from now on, if that changes.

    Asking for the state that it has succeeds, so that scripts need not look first.
    """
    instance = subject.instance
    if op.offline is None:
        return None
    if op.offline is (instance.admin_state is Wanted.OFFLINE):
        rows.append(("admin_state", instance.admin_state.value))
        return None
    if op.offline and (runs or instance.admin_state is Wanted.UP):
        raise Refused(
            f"instance {instance.name} is running, or its wanted state is up; "
            f"stop it first: gnt-instance shutdown {instance.name}"
        )
    wanted = Wanted.OFFLINE if op.offline else Wanted.DOWN
    rows.append(("admin_state", wanted.value))
    return wanted


def _require_disks_can_change(
    subject: InstanceContext, disks: DiskChanges, runs: bool, running: RunningConfig | None
) -> None:
    name = subject.instance.name
    # One that was added since the start of the guest is not in use yet.
    used = None if running is None else {disk.uuid for disk in running.disks}
    if runs and any(used is None or uuid in used for uuid in disks.removed):
        raise Refused(
            f"instance {name} runs with the disk; stop it first: gnt-instance shutdown {name}"
        )
    if disks.added and template_of(subject) is Template.DISKLESS:
        raise Refused(f"instance {name} is diskless; create another one with disks", Code.INPUT)
    for node in subject.nodes:
        require_online(node, f"the disks of instance {name} cannot be changed there")


def _require_space(subject: InstanceContext, disks: DiskChanges, facts: NodeAnswers) -> None:
    sizes = [wish.size for wish in disks.added]
    if not sizes:
        return
    freed = sum(disk.size for disk in subject.disks if disk.uuid in disks.removed)
    for node in subject.nodes:
        present = facts.of(node, DescribeNode)
        require_space(node, present, template_of(subject), sizes, freed=freed)


def _require_size(plan: InstanceModification, state: ClusterState) -> None:
    changed = replace(plan.subject.instance, **plan.fields, nics=plan.nics.cards)
    size = size_of(changed, plan.subject.disks, state)
    policy = policy_filled(state.cluster, state.groups[plan.subject.primary.group])
    sized = dataclasses.replace(size, disks=plan.disks.sizes)
    require_policy(sized, policy, changed.name)


def _require_memory(plan: InstanceModification, state: ClusterState, facts: NodeAnswers) -> None:
    """Refuse a running instance what its node could not give it at the next start."""
    instance, node = plan.subject.instance, plan.subject.primary
    present = facts.of(node, DescribeNode)
    wanted = int(be_filled(state.cluster, replace(instance, **plan.fields))["minmem"])
    has = present.guests[instance.name].memory
    if wanted > has and wanted > has + present.memory_free:
        raise Refused(
            f"instance {instance.name} would need {wanted} MiB of memory at its next start, and "
            f"node {node.name} has {present.memory_free} MiB free beside the {has} MiB it has; "
            "use --force to set it all the same",
            Code.RESOURCES,
        )


async def run(plan: InstanceModification, tools: Tools) -> list[list[Any]]:
    if plan.op.hotplug_if_possible:
        tools.progress.say("the running guest is not changed; what is new holds from its restart")
    for number, step in enumerate(plan.disks.steps):
        await _change_disk(plan, step, number, tools)
    if made := _changes(plan, tools.config.state()):
        await tools.config.change(together(*made))
    if plan.runs:
        await say_pending(plan.subject, tools)
    return [list(row) for row in plan.rows]


def _changes(plan: InstanceModification, state: ClusterState) -> list[Change]:
    """What changes in the instance's record, besides its disks."""
    instance, made = plan.subject.instance, list[Change]()
    if plan.fields:
        made.append(update(instance, **plan.fields))
    if plan.nics.changed:
        made.append(carry(instance, _finished(plan, state)))
    if plan.wanted is not None:
        made.append(want(instance, plan.wanted))
    return made


def _finished(plan: InstanceModification, state: ClusterState) -> tuple[Nic, ...]:
    """The cards, each with a MAC address and a UUID."""
    ids, taken = PlannedIdentifiers(f"{plan.identity}/nics"), {card.mac for card in plan.nics.cards}
    finished = []
    for card in plan.nics.cards:
        prefix = mac_prefix_of(card, state)
        mac = card.mac or new_mac(state, ids.random, prefix=prefix, besides=taken)
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
        state = tools.config.state()
        await tools.config.change(remove_disk(instance, step.disk))
        for left in await remove_disks(state, instance, [step.disk], tools):
            tools.progress.say(f"not removed: {left}")


def _new_disk(
    plan: InstanceModification,
    step: DiskStep,
    number: int,
    state: ClusterState,
    secret: Callable[[], str] = no_secret,
) -> Disk:
    """The record of a disk that is added by the step of this number; always the same."""
    assert step.wish is not None
    op, nodes = plan.op, [node.uuid for node in plan.subject.nodes]
    driver = op.file_driver.value if op.file_driver else None
    site = DiskSite(plan.subject.instance.name, nodes, op.file_storage_dir, driver)
    template = template_of(plan.subject)
    ids = PlannedIdentifiers(f"{plan.identity}/{number}", secret)
    [disk] = lay_out([step.wish], template, site, state, ids, first=step.place)
    return disk


async def _add_disk(plan: InstanceModification, step: DiskStep, number: int, tools: Tools) -> None:
    instance, op = plan.subject.instance, plan.op
    disk = _new_disk(plan, step, number, tools.config.state(), tools.ids.secret)
    async with Undo(tools.progress) as undo:
        await tools.config.change(add_disk(instance, disk, step.place))
        take_out = partial(tools.config.change, remove_disk(instance, disk))
        undo.by(f"take {disk.iv_name} out of the configuration", take_out)
        added = await _made(plan, disk, tools, undo)
    if op.wait_for_sync:
        await wait_for_sync(instance, [added], tools)


async def _made(plan: InstanceModification, disk: Disk, tools: Tools, undo: Undo) -> Disk:
    state = tools.config.state()
    instance, added = state.instances[plan.subject.instance.uuid], state.disks[disk.uuid]
    await create_disks(state, instance, [added], tools, undo)
    wipes = state.cluster.prealloc_wipe_disks
    if instance.disks_active or wipes:
        await attach_disks(state, instance, [added], tools)
    await wipe_if_wanted(instance, [added], tools)
    if wipes and not instance.disks_active:
        await detach_disks(state, instance, [added], tools)
    return added


def hooks(plan: InstanceModification, state: ClusterState) -> HookCall:
    return instance_hooks("instance-modify", plan.subject, _changed(plan, state), {})


def _changed(plan: InstanceModification, state: ClusterState) -> ClusterState:
    """The state with the instance as it is changed, or as it is going to be."""
    instance = state.instances.get(plan.subject.instance.uuid)
    if instance != plan.subject.instance or state.disks_of(instance) != plan.subject.disks:
        return state
    for number, step in enumerate(plan.disks.steps):
        if step.disk is None:
            state = add_disk(instance, _new_disk(plan, step, number, state), step.place)(state)
        elif step.fields is not None:
            state = update(step.disk, **step.fields)(state)
        else:
            state = remove_disk(instance, step.disk)(state)
    for change in _changes(plan, state):
        state = change(state)
    return state


def preview(plan: InstanceModification) -> list[list[Any]]:
    return [list(row) for row in plan.rows]


OPERATION = Operation(ModifyInstance, plan, run, questions, hooks, preview)
