# SPDX-License-Identifier: BSD-2-Clause
"""The operation that copies an instance: a creation whose data are those of another instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import SUPPORTED_TEMPLATES, Template
from ganeti.model.instance import Nic
from ganeti.model.instance_snapshots import (
    Snapshot,
    SnapshotState,
    has_inner_snapshots,
)
from ganeti.model.parameters.nic import without_connection
from ganeti.opcodes import fields
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.instance.cloning import CloneInstance
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.create import create
from ganeti.operations.instance.create.clone_source import CloneSource
from ganeti.operations.instance.create.reservation import describe_disk
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting, find_snapshot
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)

_COPYABLE = SUPPORTED_TEMPLATES - {Template.BLOCKDEV}


@dataclass(frozen=True)
class ClonePlan:
    """The creation of an instance from the disks of another one."""

    subject: InstanceContext
    creation: create.CreationPlan

    @property
    def locks(self) -> LockRequest:
        return {**self.subject.locks, **self.creation.locks}


def questions(op: CloneInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    order = _make_order(op, subject, _find_source(op, subject, state), state)
    return [*create.questions(order, state), *presence_queries(subject, state)]


def plan(op: CloneInstance, state: ClusterState, facts: NodeAnswers) -> ClonePlan:
    """Plan the copy of an instance that is stopped, or of one of its snapshots."""
    subject = subject_of(op, state)
    name = subject.instance.name
    check_online(subject.primary, f"the disks of instance {name} cannot be read")
    check_not_reverting(state, subject.instance)
    snapshot = _find_source(op, subject, state)
    found = determine_presence(subject, state, facts)
    check_nowhere_else(found)
    if found.here and snapshot is None:
        raise Refused(
            f"instance {name} is running, and its disks change while they are copied; shut it down"
            f" first (gnt-instance shutdown {name}), or copy a snapshot of plain disks:"
            f" gnt-instance snapshot create {name} NAME, then gnt-instance clone --snapshot NAME"
            f" {name} {op.new_name}"
        )
    source = CloneSource(subject, snapshot, found.here)
    order = _make_order(op, subject, snapshot, state)
    return ClonePlan(subject, create.plan_copy(order, state, facts, source))


def _find_source(
    op: CloneInstance, subject: InstanceContext, state: ClusterState
) -> Snapshot | None:
    """Return the snapshot to copy; None for the present data.

    :raises Refused: it cannot be copied.
    """
    for disk in subject.disks:
        if disk.dev_type not in _COPYABLE:
            raise Refused(
                f"{disk.iv_name} is a device that the cluster does not create"
                f" ({disk.dev_type.value}); create the instance with gnt-instance add, and copy the"
                " data by other means",
                Code.INPUT,
            )
    if op.snapshot_name is None:
        return None
    instance = subject.instance
    snapshot = find_snapshot(state, instance, op.snapshot_name)
    if snapshot.state is not SnapshotState.READY:
        raise Refused(
            f"snapshot {snapshot.name} is not complete; remove it: gnt-instance snapshot remove"
            f" {instance.name} {snapshot.name}"
        )
    for disk in subject.disks:
        if has_inner_snapshots(disk):
            raise Refused(
                f"{disk.iv_name} is a qcow2 image, whose snapshots cannot be copied; shut the"
                " instance down, and copy it without --snapshot",
                Code.INPUT,
            )
    known = {each.uuid for each in snapshot.disks}
    if missing := [disk.iv_name for disk in subject.disks if disk.uuid not in known]:
        raise Refused(
            f"snapshot {snapshot.name} does not have {', '.join(missing)}, which was added later;"
            " create another snapshot"
        )
    return snapshot


def _make_order(
    op: CloneInstance, subject: InstanceContext, snapshot: Snapshot | None, state: ClusterState
) -> CreateInstance:
    """Return the request to create an instance like the one that is copied."""
    instance = subject.instance
    sizes = {disk.uuid: disk.size for disk in subject.disks}
    if snapshot is not None:
        sizes |= {each.uuid: each.size for each in snapshot.disks}
    return CreateInstance(
        instance_name=op.new_name,
        mode=CreationMode.CREATE,
        beparams=instance.beparams,
        disks=tuple({**describe_disk(disk), "size": sizes[disk.uuid]} for disk in subject.disks),
        disk_template=state.get_template(instance),
        dry_run=op.dry_run,
        group_name=op.group_name,
        hvparams=instance.hvparams,
        hypervisor=Hypervisor(instance.hypervisor),
        iallocator=op.iallocator,
        ignore_ipolicy=op.ignore_ipolicy,
        ip_check=op.ip_check,
        name_check=op.name_check,
        nics=tuple(_request_nic(nic) for nic in instance.nics),
        no_install=True,
        os_type=instance.os or None,
        osparams=instance.osparams,
        osparams_private=instance.osparams_private or None,
        pnode=op.pnode,
        snode=op.snode,
        start=op.start,
        tags=instance.tags,
        wait_for_sync=op.wait_for_sync,
    )


def _request_nic(nic: Nic) -> fields.NicParams:
    """Return a network card like this one, with addresses of its own."""
    # The connection of a network may have changed since, and the group has its own.
    own = nic.nicparams if nic.network is None else without_connection(nic.nicparams)
    given: fields.NicParams = {**cast("fields.NicParams", own)}
    if nic.name is not None:
        given["name"] = nic.name
    if nic.network is not None:
        given["network"] = nic.network
        if nic.ip is not None:
            given["ip"] = "pool"
    return given


def request_allocation(
    op: CloneInstance, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator, unless nodes are given."""
    subject = subject_of(op, state)
    order = _make_order(op, subject, _find_source(op, subject, state), state)
    return create.request_allocation(order, state, facts)


async def run(plan: ClonePlan, tools: Tools) -> list[str]:
    return await create.run(plan.creation, tools)


def hooks(plan: ClonePlan, state: ClusterState) -> HookCall | None:
    return create.hooks(plan.creation, state)


def preview(plan: ClonePlan) -> list[str]:
    return create.preview(plan.creation)


OPERATION = Operation(CloneInstance, plan, run, questions, hooks, preview, request_allocation)
