# SPDX-License-Identifier: BSD-2-Clause
"""The conversion of a stopped instance's disks to another disk template, by copying them.

The new disks are added behind the old ones before anything is created, because ports and minors of
DRBD disks are allocated by the configuration. If the master dies meanwhile, the instance has both,
the old ones first, and the new ones can be removed like any other disk. The old ones leave the
configuration when the copies are complete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import add_disk, remove_disk
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, Template
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.allocation.candidates import require_space, storage_units
from ganeti.operations.allocation.target_node import get_template, require_usable
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.guest_conversion import fill_disk_parameters, make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.device_specs import MAX_DISKS, DiskSpec, read_disk
from ganeti.operations.instance.disks.block_devices import (
    attach_disks,
    create_disks,
    detach_disks,
    remove_disks,
)
from ganeti.operations.instance.disks.disk_layout import (
    DiskLocation,
    check_template,
    lay_out,
    list_unit_sizes,
)
from ganeti.operations.instance.disks.mirrors import wait_for_sync
from ganeti.operations.instance.moves.failover import move_locks
from ganeti.operations.instance.running_check import (
    check_known,
    check_not_elsewhere,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_no_snapshots
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.operations.planned_ids import DeterministicIdentifiers
from ganeti.operations.refusals import not_stopped
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import DescribeDisks
from ganeti.rpc.node import DescribeNode
from ganeti.rpc.transfers import DiskData

_NOT_EXTERNAL = DiskSpec(size=1)


@dataclass(frozen=True)
class DiskConversion:
    """An instance whose disks become disks of ``template`` with these ``sizes`` in MiB.

    ``secondary`` is the node of the second copy of mirrored disks; ``external`` has the provider
    of disks on external storage, and its parameters.
    """

    op: ModifyInstance
    subject: InstanceContext
    template: Template
    secondary: Node | None
    sizes: tuple[int, ...]
    identity: str
    external: DiskSpec = _NOT_EXTERNAL

    @property
    def locks(self) -> LockRequest:
        if self.secondary is None:
            return self.subject.locks
        return move_locks(self.subject, self.secondary)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the new disks, the primary first."""
        second = () if self.secondary is None else (self.secondary,)
        return (self.subject.primary, *second)

    @property
    def rows(self) -> list[list[object]]:
        """The change in the form of the opcode's result."""
        return [["disk_template", self.template.value]]


def conversion_queries(op: ModifyInstance, state: ClusterState) -> Sequence[NodeQuery]:
    """Return the queries that ``plan_conversion`` needs."""
    subject, secondary = subject_of(op, state), _find_secondary(op, state)
    asked = [node for node in (subject.primary, secondary) if node and not node.offline]
    describe = DescribeNode(
        hypervisors=(subject.instance.hypervisor,), storage=storage_units(state.cluster)
    )
    found = [NodeQuery(asked, describe), *presence_queries(subject, state, besides=asked)]
    if not subject.primary.offline:
        volumes = DescribeDisks(disks=tuple(_data_volumes(subject, state)))
        found.append(NodeQuery([subject.primary], volumes))
    return found


def _find_secondary(op: ModifyInstance, state: ClusterState) -> Node | None:
    name = op.remote_node_uuid or op.remote_node
    return None if name is None else state.node(name)


def _data_volumes(subject: InstanceContext, state: ClusterState) -> list[Disk]:
    """Return what the data of the disks are in: for mirrored disks, the volumes below them."""
    filled = [fill_disk_parameters(state, subject.instance, disk) for disk in subject.disks]
    return [disk.children[0] if disk.children else disk for disk in filled]


def plan_conversion(op: ModifyInstance, state: ClusterState, facts: NodeAnswers) -> DiskConversion:
    """Plan the conversion.

    :raises Refused: it is impossible, or the instance is not stopped.
    """
    assert op.disk_template is not None
    subject, template = subject_of(op, state), Template(op.disk_template.value)
    instance, name = subject.instance, subject.instance.name
    _check_alone(op)
    _check_convertible(subject, template, state)
    check_no_snapshots(state, instance, "which disks of another template do not get")
    secondary = _find_secondary(op, state)
    if template in MIRRORED_TEMPLATES:
        secondary = _require_secondary(secondary, subject, template)
    elif secondary is not None:
        raise Refused(f"{template.value} disks have no secondary node; omit --node", Code.INPUT)
    check_online(subject.primary, f"the disks of instance {name} cannot be read")
    require_usable(subject.primary, f"instance {name} cannot get new disks there")
    found = determine_presence(subject, state, facts)
    check_not_elsewhere(found)
    check_known(found)
    if found.nodes or instance.admin_state is AdminState.UP:
        raise not_stopped(name)
    if instance.disks_active:
        raise Refused(
            f"the disks of instance {name} are active, and may change while they are copied;"
            f" deactivate them first: gnt-instance deactivate-disks {name}"
        )
    statuses = facts.answer_of(subject.primary, DescribeDisks)
    # A volume is rounded up to the units of its storage, and the guest may use all of it.
    sizes = tuple(
        max(disk.size, (status.size or 0) if status else 0)
        for disk, status in zip(subject.disks, statuses, strict=True)
    )
    external = _read_external(op, template)
    plan = DiskConversion(op, subject, template, secondary, sizes, facts.identity, external)
    wishes = [DiskSpec(size=size) for size in sizes]
    group = state.groups[subject.primary.group]
    needed = list_unit_sizes(wishes, template, group, state.cluster)
    for node in plan.nodes:
        there = facts.answer_of(node, DescribeNode)
        require_space(node, there, template, needed, state=state)
    return plan


def _check_alone(op: ModifyInstance) -> None:
    """Check that the request changes nothing else.

    :raises Refused: it does.
    """
    changes = (op.disks, op.nics, op.beparams, op.hvparams, op.osparams, op.osparams_private)
    others = (op.os_name, op.offline, op.runtime_mem, op.pnode, op.pnode_uuid)
    if any(changes) or any(each is not None for each in others):
        raise Refused(
            "disks are converted by a request of their own; change the instance before or after it",
            Code.INPUT,
        )


def _read_external(op: ModifyInstance, template: Template) -> DiskSpec:
    """Return a disk with the provider and its parameters, if the conversion needs one.

    :raises Invalid: the provider is missing, or a parameter is malformed.
    :raises Refused: parameters are given for disks of another template.
    """
    if template is Template.EXT:
        return read_disk({**op.ext_params, "size": 1}, "ext_params", template)
    if op.ext_params:
        raise Refused(
            f"{template.value} disks have no external storage provider; omit --ext-params",
            Code.INPUT,
        )
    return _NOT_EXTERNAL


def _check_convertible(subject: InstanceContext, template: Template, state: ClusterState) -> None:
    name, present = subject.instance.name, get_template(subject)
    check_template(template, state.cluster)
    if template is Template.BLOCKDEV:
        raise Refused(
            f"the disks of instance {name} cannot be converted to blockdev: existing devices are"
            " adopted when an instance is created",
            Code.INPUT,
        )
    if present is template:
        raise Refused(f"instance {name} has {template.value} disks already", Code.INPUT)
    if Template.DISKLESS in (present, template):
        raise Refused(
            f"the {present.value} instance {name} cannot be converted to {template.value}: there"
            " is nothing to copy, or it would be lost",
            Code.INPUT,
        )
    # During the conversion, the instance has both its old and its new disks.
    if 2 * len(subject.disks) > MAX_DISKS:
        raise Refused(
            f"instance {name} has more than {MAX_DISKS // 2} disks; convert it by an export and"
            " an import"
        )


def _require_secondary(
    secondary: Node | None, subject: InstanceContext, template: Template
) -> Node:
    """Return the node for the second copies.

    :raises Refused: none is given, or it cannot have them.
    """
    name = subject.instance.name
    if secondary is None:
        raise Refused(
            f"{template.value} disks have a copy on a secondary node; name it: gnt-instance modify"
            f" --disk-template={template.value} --node=NODE {name}",
            Code.INPUT,
        )
    if secondary == subject.primary:
        raise Refused(f"{secondary.name} is the primary node of instance {name}", Code.INPUT)
    require_usable(secondary, f"instance {name} cannot have copies of its disks there")
    if secondary.group != subject.primary.group:
        raise Refused(
            f"node {secondary.name} is in another node group than {subject.primary.name}",
            Code.INPUT,
        )
    return secondary


async def run_conversion(plan: DiskConversion, tools: Tools) -> list[list[object]]:
    """Convert the disks; return the change."""
    instance, old = plan.subject.instance, plan.subject.disks
    async with Undo(tools.progress) as undo:
        made = await _add_disks(plan, tools, undo)
        state = tools.config.state()
        changed = state.instances[instance.uuid]
        await create_disks(state, changed, made, tools, undo)
        await attach_disks(state, changed, made, tools)
        # Before the call: if it fails, some of the disks may be attached.
        release = partial(detach_disks, state, changed, old, tools)
        undo.by(f"detach the disks of {instance.name}", release)
        await attach_disks(state, changed, old, tools, ignore_secondaries=True)
        await _copy_disks(plan, made, tools)
        if plan.op.wait_for_sync:
            await wait_for_sync(instance, made, tools)
        await release()
        await detach_disks(state, changed, made, tools)
        # The last occasion: after this, there are no old disks to return to.
        tools.progress.may_stop()
        await tools.config.change(together(*(remove_disk(instance, disk) for disk in old)))
    tools.progress.log_message(f"instance {instance.name} has {plan.template.value} disks now")
    for left in await remove_disks(state, changed, old, tools):
        tools.progress.log_message(f"cannot remove an old disk: {left}")
    return plan.rows


async def _add_disks(plan: DiskConversion, tools: Tools, undo: Undo) -> list[Disk]:
    """Add the records of the new disks to the instance, and return them."""
    instance, state = plan.subject.instance, tools.config.state()
    wishes = [
        dataclasses.replace(
            plan.external, size=size, mode=disk.mode, name=disk.name, spindles=disk.spindles
        )
        for size, disk in zip(plan.sizes, plan.subject.disks, strict=True)
    ]
    driver = plan.op.file_driver.value if plan.op.file_driver else None
    nodes = [node.uuid for node in plan.nodes]
    site = DiskLocation(instance.name, nodes, plan.op.file_storage_dir, driver)
    ids = DeterministicIdentifiers(f"{plan.identity}/conversion", tools.ids.secret)
    made = lay_out(wishes, plan.template, site, state, ids)
    for disk in made:
        await tools.config.change(add_disk(instance, disk))
        take_out = partial(tools.config.change, remove_disk(instance, disk))
        undo.by(f"remove the new {disk.iv_name} from the configuration", take_out)
    return [tools.config.state().disks[disk.uuid] for disk in made]


async def _copy_disks(plan: DiskConversion, made: Sequence[Disk], tools: Tools) -> None:
    """Copy the data of all disks on the primary node; they are durable when this returns."""
    state, subject = tools.config.state(), plan.subject
    old = make_guest(state, subject.instance, subject.disks)
    new = make_guest(state, subject.instance, tuple(made))
    async with RunningTransfers(tools) as transfers:
        for index, disk in enumerate(subject.disks):
            await transfers.between(
                subject.primary,
                subject.primary,
                disk.iv_name,
                DiskData(guest=old, index=index, raw=True),
                DiskData(guest=new, index=index, raw=True),
            )
        try:
            await transfers.wait_for_all()
        except Failed as e:
            raise Failed(
                f"the disks of {subject.instance.name} were not copied: {e}", e.code
            ) from e
