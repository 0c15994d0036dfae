# SPDX-License-Identifier: BSD-2-Clause
"""Moving an instance whose disks are on one node: they are copied while it stands still.

The copies are whole and durable before the configuration names them, and until then everything
is taken back if something fails: the instance goes on where it was, with the disks it had.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from ganeti.config.changes.instances import moved_to, placed_as
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk, Template
from ganeti.model.instance import Instance, Wanted
from ganeti.model.node import Node
from ganeti.opcodes.fields import NO_COMPRESSION
from ganeti.opcodes.instance.moves import MoveInstance
from ganeti.operations.allocation.candidates import require_space, storage_units
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.allocation.target_node import require_usable, template_of
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext, require_online, subject_of
from ganeti.operations.instance.disks.block_devices import create_disks, detach_disks, remove_disks
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.lifecycle.start import require_memory
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.instance.moves.failover import move_locks
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import StartInstanceCall
from ganeti.rpc.node import DescribeNode
from ganeti.rpc.storage import ListVolumesCall
from ganeti.rpc.transfers import OfDisk
from ganeti.schema.records import replace

ON_ONE_NODE = frozenset({Template.FILE, Template.PLAIN})
"""Templates whose disks only their own node can open."""


@dataclass(frozen=True)
class InstanceMove:
    """An instance, the node that it moves to, and its disks as they will be there.

    ``runs`` says whether its guest runs now.
    """

    op: MoveInstance
    subject: InstanceContext
    target: Node
    copies: tuple[Disk, ...]
    runs: bool

    @property
    def locks(self) -> LockRequest:
        return move_locks(self.subject, self.target)

    @property
    def restarts(self) -> bool:
        return self.subject.instance.admin_state is Wanted.UP

    @property
    def arrived(self) -> Instance:
        """The instance as it is when it has moved."""
        return replace(self.subject.instance, primary_node=self.target.uuid)


def questions(op: MoveInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject, target = subject_of(op, state), _target(op, state)
    asked = DescribeNode(
        hypervisors=(subject.instance.hypervisor,), storage=storage_units(state.cluster)
    )
    wanted = {node.uuid: node for node in (subject.primary, target)}
    return [NodeQuery([node for node in wanted.values() if not node.offline], asked)]


def _target(op: MoveInstance, state: ClusterState) -> Node:
    return state.node(op.target_node_uuid or op.target_node)


def plan(op: MoveInstance, state: ClusterState, facts: NodeAnswers) -> InstanceMove:
    """Decide what moving the instance means, or refuse."""
    if op.compress != NO_COMPRESSION:
        raise Invalid([Problem("compress", "must be none: data are sent as they are")])
    subject, target = subject_of(op, state), _target(op, state)
    instance, source = subject.instance, subject.primary
    _require_copyable(subject, target)
    require_online(source, f"the disks of instance {instance.name} cannot be read")
    require_usable(target, f"instance {instance.name} cannot move there")
    here, there = facts.of(source, DescribeNode), facts.of(target, DescribeNode)
    if instance.name in there.guests:
        # Not of this instance, whose disks are on its primary node only: no command can adopt it.
        raise Refused(
            f"node {target.name} runs another guest named {instance.name}, which does not use the "
            "disks of the instance; stop it on that node"
        )
    if instance.admin_state is Wanted.UP:
        require_memory(guest_of(state, instance), there, target.name)
    sizes = [disk.size for disk in subject.disks]
    require_space(target, there, template_of(subject), sizes)
    require_group(target, subject, subject.disks, state, ignore_ipolicy=op.ignore_ipolicy)
    copies = tuple(_copy(disk, target, facts.identity) for disk in subject.disks)
    return InstanceMove(op, subject, target, copies, instance.name in here.guests)


def _require_copyable(subject: InstanceContext, target: Node) -> None:
    """:raises Refused: the instance need not be copied, or is there already."""
    name, template = subject.instance.name, template_of(subject)
    if target == subject.primary:
        raise Refused(f"instance {name} is on {target.name} already", Code.INPUT)
    if template in MIRRORED_BETWEEN_NODES:
        raise Refused(
            f"the {template.value} disks of instance {name} have a second copy; bring that to "
            f"{target.name} and move to it: gnt-instance replace-disks -n {target.name} {name}, "
            f"then gnt-instance migrate {name}",
            Code.INPUT,
        )
    if template not in ON_ONE_NODE:
        raise Refused(
            f"instance {name} is {template.value}, and has nothing that must be copied; to have "
            f"it on {target.name}: gnt-instance migrate -n {target.name} {name}",
            Code.INPUT,
        )


def _copy(disk: Disk, node: Node, identity: str) -> Disk:
    """The disk as it is on ``node``, under a name that nothing else has there.

    Not under its old one: what has that is not ours, or was left by an earlier move. Not under
    one that another try has had, either: that may still be written to for a while.
    """
    unique, number = f"{_mark(disk, node)}.{identity[:8]}", disk.iv_name[5:]
    place, name = disk.logical_id
    if disk.dev_type is Template.PLAIN:
        new = f"{unique}.disk{number}"
    else:
        new = posixpath.join(posixpath.dirname(str(name)), f"{unique}.file.disk{number}")
    return replace(disk, logical_id=(place, new), nodes=(node.uuid,))


def _mark(disk: Disk, node: Node) -> str:
    """How the names of all copies of a disk begin that moves make on ``node``.

    So the next one finds what is left of one that broke off together with its master.
    """
    return str(uuid5(NAMESPACE_OID, f"{disk.uuid} on {node.uuid}"))


async def run(plan: InstanceMove, tools: Tools) -> None:
    instance, source, target = plan.subject.instance, plan.subject.primary, plan.target
    state = tools.config.state()
    if plan.restarts:
        await require_able(target, guest_of(state, instance), tools)
    async with Undo(tools.progress) as undo:
        await _make_room(plan, tools, undo)
        await _hold(plan, tools, undo)
        await _copy_all(plan, tools)
        tools.progress.may_stop()
        await tools.config.change(together(placed_as(plan.copies), moved_to(instance, target)))
    tools.progress.say(f"instance {instance.name} is on {target.name} from now on")
    trouble = await _take_over(plan, tools)
    for each in await remove_disks(state, instance, plan.subject.disks, tools):
        tools.progress.say(f"an old disk is left on {source.name}: {each}")
    if trouble is not None:
        raise trouble


async def _make_room(plan: InstanceMove, tools: Tools, undo: Undo) -> None:
    """Make the new disks, empty, while the guest still runs."""
    state = tools.config.state()
    there = await tools.nodes.ask(plan.target, ListVolumesCall(template=template_of(plan.subject)))
    left = [
        replace(copy, logical_id=(copy.logical_id[0], _within(copy, volume.name)))
        for copy in plan.copies
        for volume in there
        if posixpath.basename(volume.name).startswith(_mark(copy, plan.target))
    ]
    for each in await remove_disks(state, plan.arrived, left, tools):
        tools.progress.say(f"what an earlier move has left stays: {each}")
    await create_disks(state, plan.arrived, plan.copies, tools, undo)


def _within(disk: Disk, volume: str) -> str:
    """The name of a volume as disks like ``disk`` have it: without that of its volume group."""
    return posixpath.basename(volume) if disk.dev_type is Template.PLAIN else volume


async def _hold(plan: InstanceMove, tools: Tools, undo: Undo) -> None:
    """Stop the guest, so that its disks do not change."""
    subject, source, state = plan.subject, plan.subject.primary, tools.config.state()
    instance = subject.instance
    tools.progress.may_stop()
    if plan.runs:
        tools.progress.say(f"stopping {instance.name} on {source.name}")
        again = StartInstanceCall(guest=guest_of(state, instance))
        # Registered first: a node that did not answer may have stopped it all the same.
        undo.by(
            f"start {instance.name} on {source.name} again",
            partial(tools.nodes.ask, source, again),
        )
    elif not instance.disks_active:
        undo.by(
            f"detach the disks of {instance.name} on {source.name}",
            partial(detach_disks, state, instance, subject.disks, tools),
        )
    # Asked for in any case: a guest that began to run since the question must not write now.
    await tools.progress.interruptible(stop_guest(subject, plan.op.shutdown_timeout, tools))


async def _copy_all(plan: InstanceMove, tools: Tools) -> None:
    """Bring the content of all disks to the target; durable there when this returns."""
    state, subject = tools.config.state(), plan.subject
    old = guest_of(state, subject.instance, subject.disks)
    new = guest_of(state, plan.arrived, plan.copies)
    async with RunningTransfers(tools) as transfers:
        for index, disk in enumerate(subject.disks):
            await transfers.between(
                subject.primary,
                plan.target,
                disk.iv_name,
                OfDisk(guest=old, index=index, raw=True),
                OfDisk(guest=new, index=index, raw=True),
            )
        await transfers.arrive()


async def _take_over(plan: InstanceMove, tools: Tools) -> Failed | None:
    """Start the instance on its new node, if it is to run; answers why that did not work."""
    state = tools.config.state()
    moved = state.instances[plan.subject.instance.uuid]
    try:
        if plan.restarts:
            tools.progress.say(f"starting {moved.name} on {plan.target.name}")
            await tools.nodes.ask(plan.target, StartInstanceCall(guest=guest_of(state, moved)))
        elif not moved.disks_active:
            await detach_disks(state, moved, state.disks_of(moved), tools)
    except (Failed, Refused) as e:
        what = "could not be started" if plan.restarts else "its disks could not be detached"
        command = "startup" if plan.restarts else "deactivate-disks"
        return Failed(
            f"instance {moved.name} has moved to {plan.target.name}, but {what} there: {e}; "
            f"once that is mended: gnt-instance {command} {moved.name}",
            e.code,
        )
    return None


def hooks(plan: InstanceMove, state: ClusterState) -> HookCall:
    more = {
        "TARGET_NODE": plan.target.name,
        "SHUTDOWN_TIMEOUT": str(plan.op.shutdown_timeout),
    }
    here = [state.cluster.master_node, plan.subject.primary.uuid, plan.target.uuid]
    return instance_hooks("instance-move", plan.subject, state, more, before=here, after=here)


def preview(plan: InstanceMove) -> dict[str, Any]:
    """What a dry run shows: between which nodes how much is copied."""
    return {
        "from": plan.subject.primary.name,
        "to": plan.target.name,
        "disks": {disk.iv_name: f"{disk.size} MiB" for disk in plan.copies},
        "stopped meanwhile": plan.runs,
    }


OPERATION = Operation(MoveInstance, plan, run, questions, hooks, preview)
