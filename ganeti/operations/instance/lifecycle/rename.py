# SPDX-License-Identifier: BSD-2-Clause
"""The operation that renames a stopped instance."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.objects import together, update
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, instance_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.opcodes.instance.lifecycle import RenameInstance
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_finally
from ganeti.operations.instance.disks.mirrors import sent
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.name_check import check_name, name_queries
from ganeti.operations.instance.running_check import (
    check_no_guest,
    check_stopped,
    determine_presence,
    presence_queries,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import RenameDisk, SetDiskOwner
from ganeti.rpc.instances import RenameOS
from ganeti.rpc.node import DescribeNode
from ganeti.schema.host_names import RULE, is_host_name
from ganeti.schema.records import replace

_DIRECTORY_TEMPLATES = frozenset({Template.FILE, Template.SHAREDFILE, Template.GLUSTER})
"""Templates whose disks are in a directory with the instance's name."""


@dataclass(frozen=True)
class InstanceRename:
    """An instance to rename, and its disks that move with the name, as (old, new)."""

    op: RenameInstance
    subject: InstanceContext
    moved: tuple[tuple[Disk, Disk], ...]

    @property
    def locks(self) -> LockRequest:
        # The new name, too, so that no other job creates an instance with this name.
        return {**self.subject.locks, **request(exclusive=[instance_lock(self.op.new_name)])}


def questions(op: RenameInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state, reserved=True)
    found = list(name_queries(op, op.new_name, state))
    if not subject.primary.offline and not subject.instance.forthcoming:
        asked = DescribeNode(hypervisors=(subject.instance.hypervisor,))
        found.append(NodeQuery([subject.primary], asked))
        here = [subject.primary]
        found += presence_queries(subject, state, besides=here, names=[op.new_name])
    return found


def plan(op: RenameInstance, state: ClusterState, facts: NodeAnswers) -> InstanceRename:
    """Plan the new name; the instance must be stopped and the name unused."""
    subject = subject_of(op, state, reserved=True)
    instance, node = subject.instance, subject.primary
    if not instance.forthcoming:
        check_online(node, f"instance {instance.name} cannot be renamed")
        # Nodes identify guests by name, so a running guest would not be found under the new one.
        check_stopped(determine_presence(subject, state, facts))
    if not is_host_name(op.new_name):
        raise Invalid([Problem("new_name", RULE)])
    check_name(op, op.new_name, state, facts, own=instance.name)
    if not instance.forthcoming:
        check_no_guest(op.new_name, state.nodes.values(), facts)
    moved = tuple(
        (disk, _move_disk(disk, instance.name, op.new_name))
        for disk in subject.disks
        if disk.dev_type in _DIRECTORY_TEMPLATES
    )
    return InstanceRename(op, subject, tuple(pair for pair in moved if pair[0] != pair[1]))


def _move_disk(disk: Disk, old: str, new: str) -> Disk:
    """Return the disk in the directory with the new name, if it is in one with the old name."""
    driver, path = disk.logical_id
    folder, file = posixpath.split(str(path))
    above, name = posixpath.split(folder)
    if name != old:
        return disk
    return replace(disk, logical_id=(driver, posixpath.join(above, new, file)))


async def run(plan: InstanceRename, tools: Tools) -> str:
    instance, name = plan.subject.instance, plan.op.new_name
    state = tools.config.state()
    changes = [update(old, logical_id=new.logical_id) for old, new in plan.moved]
    if instance.forthcoming:
        # Nothing of it is on a node.
        await tools.config.change(together(update(instance, name=name), *changes))
        return name
    async with Undo(tools.progress) as undo:
        for old, new in plan.moved:
            there, back = (
                RenameDisk(disk=before, to=after)
                for before, after in (
                    sent(state, instance, [old, new]),
                    sent(state, instance, [new, old]),
                )
            )
            ask = partial(tools.nodes.ask, plan.subject.primary)
            undo.by(f"move {old.iv_name} back", partial(ask, back))
            await ask(there)
        await _record_name(plan, state, tools, undo)
        await tools.config.change(together(update(instance, name=name), *changes))
    await _run_rename_script(plan, tools)
    return name


async def _record_name(plan: InstanceRename, state: ClusterState, tools: Tools, undo: Undo) -> None:
    """Record the new name with volumes that storage of other systems has for the instance."""
    instance = plan.subject.instance
    external = [disk for disk in plan.subject.disks if disk.dev_type is Template.EXT]
    ask = partial(tools.nodes.ask, plan.subject.primary)
    for disk in sent(state, instance, external):
        # Before the call: without an answer, it may have been recorded.
        back = SetDiskOwner(disk=disk, owner=instance.name)
        undo.by(f"record the name {instance.name} with {disk.iv_name} again", partial(ask, back))
        await ask(SetDiskOwner(disk=disk, owner=plan.op.new_name))


async def _run_rename_script(plan: InstanceRename, tools: Tools) -> None:
    """Run the rename script of the OS definition; a failure does not undo the rename."""
    state = tools.config.state()
    renamed = state.instances[plan.subject.instance.uuid]
    disks = state.get_disks(renamed)
    if not renamed.os or not disks:
        return
    old = plan.subject.instance.name
    try:
        if not renamed.disks_active:
            await attach_disks(state, renamed, disks, tools, ignore_secondaries=True)
        rename = RenameOS(guest=make_guest(state, renamed), old_name=old)
        await tools.nodes.ask(plan.subject.primary, rename)
    except (Failed, Refused) as e:
        tools.progress.log_message(
            f"the instance was renamed to {renamed.name}, but its guest may still use the name"
            f" {old}: {e}"
        )
    # Also after an error, as some of them may be attached.
    if not renamed.disks_active:
        await detach_finally(state, renamed, disks, tools)


def hooks(plan: InstanceRename, state: ClusterState) -> HookCall | None:
    if plan.subject.instance.forthcoming:
        return None
    more = {"INSTANCE_NEW_NAME": plan.op.new_name}
    return instance_hooks("instance-rename", plan.subject, state, more)


OPERATION = Operation(RenameInstance, plan, run, questions, hooks)
