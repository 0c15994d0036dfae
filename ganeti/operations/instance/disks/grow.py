# SPDX-License-Identifier: BSD-2-Clause
"""The operation that increases the size of a disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import grown
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import Disk, Template
from ganeti.opcodes.instance.disks import GrowDisk as GrowOpcode
from ganeti.operations.allocation.candidates import list_sizes, require_space, storage_units
from ganeti.operations.allocation.sizes import check_group_policy
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_finally, places
from ganeti.operations.instance.disks.mirrors import mirrored, sent, wait_for_sync
from ganeti.operations.instance.disks.wipe import get_actual_size, wipe_if_enabled
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_no_snapshots
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.disks import GrowDiskCall
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace

_FIXED_SIZE_TEMPLATES = frozenset({Template.DISKLESS, Template.BLOCKDEV})


@dataclass(frozen=True)
class Grow:
    """A disk and the size to add in MiB."""

    op: GrowOpcode
    subject: InstanceContext
    disk: Disk
    amount: int

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: GrowOpcode, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    online = [node for node in subject.nodes if not node.offline]
    return [
        NodeQuery(online, DescribeNode(hypervisors=(), storage=storage_units(state.cluster))),
        *presence_queries(subject, state),
    ]


def plan(op: GrowOpcode, state: ClusterState, facts: NodeAnswers) -> Grow:
    """Plan the size to add to the disk."""
    subject = subject_of(op, state)
    name, count = subject.instance.name, len(subject.disks)
    if op.disk >= count:
        raise Refused(
            f"disk {op.disk} does not exist; instance {name} has {count} disks, from 0", Code.INPUT
        )
    disk = subject.disks[op.disk]
    if disk.dev_type in _FIXED_SIZE_TEMPLATES:
        raise Refused(f"cannot grow {disk.dev_type.value} disks", Code.INPUT)
    check_no_snapshots(state, subject.instance, "whose disks keep their size")
    amount = op.amount - disk.size if op.absolute else op.amount
    if amount < 0:
        raise Refused(
            f"{disk.iv_name} of {name} has {disk.size} MiB and cannot be shrunk", Code.INPUT
        )
    check_nowhere_else(determine_presence(subject, state, facts))
    for node in subject.nodes:
        check_online(node, f"{disk.iv_name} of {name} cannot grow there")
        # DRBD metadata keep their size, so only the data volume grows.
        volumes = Template.PLAIN if disk.dev_type is Template.DRBD else disk.dev_type
        sizes = list_sizes([replace(disk, size=amount)])
        require_space(node, facts.answer_of(node, DescribeNode), volumes, sizes, state=state)
    if not op.ignore_ipolicy:
        larger = [
            replace(each, size=each.size + amount) if each.uuid == disk.uuid else each
            for each in subject.disks
        ]
        check_group_policy(subject.primary, subject.instance, larger, state)
    return Grow(op, subject, disk, amount)


async def run(plan: Grow, tools: Tools) -> None:
    instance, disk, state = plan.subject.instance, plan.disk, tools.config.state()
    if not plan.amount:
        tools.progress.log_message(f"{disk.iv_name} of {instance.name} already has {disk.size} MiB")
        return
    wipes = state.cluster.prealloc_wipe_disks
    # The kernel resizes a mirrored device only while it is up.
    passive = (bool(mirrored([disk])) or wipes) and not instance.disks_active
    if not passive:
        await _grow(plan, tools)
        return
    try:
        await attach_disks(state, instance, [disk], tools)
        await _grow(plan, tools)
    finally:
        # Also after a failure: an attached disk of a stopped instance stays writable.
        now = tools.config.state()
        await detach_finally(now, instance, [now.disks[disk.uuid]], tools)


async def _grow(plan: Grow, tools: Tools) -> None:
    instance, disk, state = plan.subject.instance, plan.disk, tools.config.state()
    wipes = state.cluster.prealloc_wipe_disks
    tools.progress.log_message(f"growing {disk.iv_name} of {instance.name} by {plan.amount} MiB")
    [whole] = sent(state, instance, [disk])
    # The guest may have data up to the actual size, which can exceed the recorded one by a
    # part of an extent; wiping starts after it.
    old = await get_actual_size(whole, plan.subject.primary, tools) if wipes else disk.size
    # A repetition after a failure grows no node twice, because the call has the old size.
    for node in places(state, instance, disk):
        tools.progress.may_stop()
        await tools.nodes.ask(node, GrowDiskCall(disk=whole, amount=plan.amount))
    await wipe_if_enabled(instance, [disk], tools, start=old)
    await tools.config.change(grown(disk, plan.amount))
    if plan.op.wait_for_sync:
        await wait_for_sync(instance, [disk], tools)


def hooks(plan: Grow, state: ClusterState) -> HookCall:
    more = {
        "DISK": str(plan.op.disk),
        "AMOUNT": str(plan.op.amount),
        "ABSOLUTE": str(plan.op.absolute),
    }
    return instance_hooks("disk-grow", plan.subject, state, more)


OPERATION = Operation(GrowOpcode, plan, run, questions, hooks)
