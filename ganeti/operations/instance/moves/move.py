# SPDX-License-Identifier: BSD-2-Clause
"""The operation that moves an instance with disks on one node, by copying them while it is down.

The copies are complete and durable before the configuration refers to them. A failure before that
is undone: the instance is started on its old node with its old disks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import restore_placement, set_primary_node
from ganeti.config.changes.objects import together
from ganeti.config.nic_connections import connect_on
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.opcodes.fields import NO_COMPRESSION
from ganeti.opcodes.instance.moves import MoveInstance
from ganeti.operations.allocation.candidates import list_sizes, require_space, storage_units
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.allocation.target_node import get_template, require_usable
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import detach_disks, remove_disks
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.lifecycle.start import check_memory
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.instance.moves.failover import move_locks
from ganeti.operations.instance.moves.firmware_state import (
    copy_state,
    has_state,
    remove_state,
)
from ganeti.operations.instance.moves.moved_disks import COPIED_TEMPLATES, create_copies, make_copy
from ganeti.operations.instance.snapshots.conditions import check_no_snapshots
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.refusals import COMPRESSION_UNSUPPORTED
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import StartInstanceCall
from ganeti.rpc.node import DescribeNode
from ganeti.rpc.transfers import DiskData
from ganeti.schema.records import replace


@dataclass(frozen=True)
class InstanceMove:
    """An instance, its target node, and the records of its disks there.

    ``runs`` is whether its guest is running now.
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
        return self.subject.instance.admin_state is AdminState.UP

    @property
    def arrived(self) -> Instance:
        """The instance after the move."""
        return replace(self.subject.instance, primary_node=self.target.uuid)


def questions(op: MoveInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject, target = subject_of(op, state), _get_target(op, state)
    asked = DescribeNode(
        hypervisors=(subject.instance.hypervisor,), storage=storage_units(state.cluster)
    )
    wanted = {node.uuid: node for node in (subject.primary, target)}
    return [NodeQuery([node for node in wanted.values() if not node.offline], asked)]


def _get_target(op: MoveInstance, state: ClusterState) -> Node:
    return state.node(op.target_node_uuid or op.target_node)


def plan(op: MoveInstance, state: ClusterState, facts: NodeAnswers) -> InstanceMove:
    """Plan the move."""
    if op.compress != NO_COMPRESSION:
        raise Invalid([COMPRESSION_UNSUPPORTED])
    subject, target = subject_of(op, state), _get_target(op, state)
    instance, source = subject.instance, subject.primary
    _check_copyable(subject, target)
    check_no_snapshots(state, instance, "which are not copied to another node")
    check_online(source, f"the disks of instance {instance.name} cannot be read")
    require_usable(target, f"instance {instance.name} cannot move there")
    here, there = facts.answer_of(source, DescribeNode), facts.answer_of(target, DescribeNode)
    if instance.name in there.guests:
        # It is not this instance, whose disks are only on its primary node, so it must be stopped
        # on the node itself.
        raise Refused(
            f"node {target.name} runs another guest with the name {instance.name}, which does not "
            "use the disks of the instance; stop it on that node"
        )
    if instance.admin_state is AdminState.UP:
        check_memory(make_guest(state, instance), there, target.name)
    sizes = list_sizes(subject.disks)
    require_space(target, there, get_template(subject), sizes, state=state)
    require_group(target, subject, subject.disks, state, ignore_ipolicy=op.ignore_ipolicy)
    copies = tuple(make_copy(disk, target, facts.identity) for disk in subject.disks)
    return InstanceMove(op, subject, target, copies, instance.name in here.guests)


def _check_copyable(subject: InstanceContext, target: Node) -> None:
    """Check that the instance can be moved by copying its disks.

    :raises Refused: its disks need no copy, or it is already on the target.
    """
    name, template = subject.instance.name, get_template(subject)
    if target == subject.primary:
        raise Refused(f"instance {name} is already on node {target.name}", Code.INPUT)
    if template in MIRRORED_TEMPLATES:
        raise Refused(
            f"the {template.value} disks of instance {name} are mirrored; make {target.name} its "
            f"secondary node and migrate: gnt-instance replace-disks -n {target.name} {name}, "
            f"then gnt-instance migrate {name}",
            Code.INPUT,
        )
    if template not in COPIED_TEMPLATES:
        raise Refused(
            f"{template.value} disks of instance {name} need not be copied; to move it to "
            f"{target.name}: gnt-instance migrate -n {target.name} {name}",
            Code.INPUT,
        )


async def run(plan: InstanceMove, tools: Tools) -> None:
    instance, target = plan.subject.instance, plan.target
    state = tools.config.state()
    if plan.restarts:
        # Before the guest is stopped, as this may refuse the move.
        await require_able(target, make_guest(state, connect_on(instance, target, state)), tools)
    async with Undo(tools.progress) as undo:
        # While the guest is still running.
        await create_copies(instance, target, plan.copies, tools, undo)
        await _stop_on_source(plan, tools, undo)
        await _copy_disks(plan, tools)
        tools.progress.may_stop()
        guest = make_guest(state, instance)
        await copy_state(guest, plan.subject.primary, target, tools)
        # In one change, as each node only has its own copies.
        await tools.config.change(
            together(restore_placement(plan.copies), set_primary_node(instance, target))
        )
    if has_state(guest):
        await remove_state(guest, [plan.subject.primary], tools)
    tools.progress.log_message(f"the primary node of instance {instance.name} is now {target.name}")
    trouble = await _start_on_target(plan, tools)
    # Even if the start has failed: the copies are complete, and in use from now on.
    for each in await remove_disks(state, instance, plan.subject.disks, tools):
        tools.progress.log_message(f"cannot remove an old disk: {each}")
    if trouble is not None:
        raise trouble


async def _stop_on_source(plan: InstanceMove, tools: Tools, undo: Undo) -> None:
    """Stop the guest, so that its disks do not change during the copy."""
    subject, source, state = plan.subject, plan.subject.primary, tools.config.state()
    instance = subject.instance
    tools.progress.may_stop()
    if plan.runs:
        tools.progress.log_message(f"stopping instance {instance.name} on node {source.name}")
        again = StartInstanceCall(guest=make_guest(state, instance))
        # Registered before the call: a node that does not answer may have stopped it.
        undo.by(
            f"start {instance.name} on {source.name} again",
            partial(tools.nodes.ask, source, again),
        )
    elif not instance.disks_active:
        undo.by(
            f"detach the disks of {instance.name} on {source.name}",
            partial(detach_disks, state, instance, subject.disks, tools),
        )
    # Always called, because the guest may have been started since the query.
    await tools.progress.interruptible(stop_guest(subject, plan.op.shutdown_timeout, tools))


async def _copy_disks(plan: InstanceMove, tools: Tools) -> None:
    """Copy all disks to the target; they are durable there when this returns."""
    state, subject = tools.config.state(), plan.subject
    old = make_guest(state, subject.instance, subject.disks)
    new = make_guest(state, plan.arrived, plan.copies)
    async with RunningTransfers(tools) as transfers:
        for index, disk in enumerate(subject.disks):
            await transfers.between(
                subject.primary,
                plan.target,
                disk.iv_name,
                DiskData(guest=old, index=index, raw=True),
                DiskData(guest=new, index=index, raw=True),
            )
        await transfers.wait_for_all()


async def _start_on_target(plan: InstanceMove, tools: Tools) -> Failed | None:
    """Start the instance on its new node if it should be up; return the error of a failure."""
    state = tools.config.state()
    moved = state.instances[plan.subject.instance.uuid]
    try:
        if plan.restarts:
            tools.progress.log_message(f"starting {moved.name} on {plan.target.name}")
            await tools.nodes.ask(plan.target, StartInstanceCall(guest=make_guest(state, moved)))
        elif not moved.disks_active:
            await detach_disks(state, moved, state.get_disks(moved), tools)
    except (Failed, Refused) as e:
        what = "cannot be started" if plan.restarts else "its disks cannot be detached"
        command = "startup" if plan.restarts else "deactivate-disks"
        return Failed(
            f"instance {moved.name} was moved to {plan.target.name}, but {what} there: {e}; "
            f"when this is fixed: gnt-instance {command} {moved.name}",
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


def preview(plan: InstanceMove) -> dict[str, object]:
    """Return the result of a dry run: the nodes and the sizes to copy."""
    return {
        "from": plan.subject.primary.name,
        "to": plan.target.name,
        "disks": {disk.iv_name: f"{disk.size} MiB" for disk in plan.copies},
        "stopped meanwhile": plan.runs,
    }


OPERATION = Operation(MoveInstance, plan, run, questions, hooks, preview)
