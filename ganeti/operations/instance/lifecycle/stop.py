# SPDX-License-Identifier: BSD-2-Clause
"""The operation that stops an instance on every node where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import set_disks_active, want
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.instance import AdminState, AdminStateSource
from ganeti.model.node import Node
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import detach_disks
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.running_check import Presence, determine_presence, presence_queries
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import StopInstance
from ganeti.schema.records import replace


@dataclass(frozen=True)
class Stop:
    """An instance to stop, and the nodes where it runs."""

    op: ShutdownInstance
    subject: InstanceContext
    found: Presence

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: ShutdownInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    return presence_queries(subject, state)


def plan(op: ShutdownInstance, state: ClusterState, facts: NodeAnswers) -> Stop:
    """Plan the stop."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    if instance.admin_state is AdminState.OFFLINE and not op.force:
        raise Refused(f"instance {instance.name} is marked offline; use --force to stop it anyway")
    if node.offline and not op.ignore_offline_nodes:
        raise Refused(
            f"primary node {node.name} is offline; "
            "use --ignore-offline to record the new state only"
        )
    return Stop(op, subject, determine_presence(subject, state, facts))


async def run(plan: Stop, tools: Tools) -> None:
    instance, node = plan.subject.instance, plan.subject.primary
    async with Undo(tools.progress) as undo:
        if not plan.op.no_remember:
            source = plan.op.admin_state_source or AdminStateSource.ADMIN
            # Before it is stopped, so that the watcher does not start it again.
            await record_down(plan.subject, source, tools, undo)
        _report_unknown(plan.found, tools)
        await tools.progress.interruptible(stop_everywhere(plan.found, plan.op.timeout, tools))
        if node.offline and not plan.found.elsewhere:
            tools.progress.log_message(
                f"node {node.name} is offline; only the new state was recorded"
            )
            return
    # Outside the block, as the guest has stopped: nothing is undone if this fails.
    await detach_disks(tools.config.state(), instance, plan.subject.disks, tools)


def _report_unknown(found: Presence, tools: Tools) -> None:
    """Report the nodes where the instance may keep running."""
    for node, reason in found.unknown:
        # A primary node that does not answer makes the stop fail later.
        if node != found.subject.primary:
            tools.progress.log_message(
                f"instance {found.subject.instance.name} may be running on node {node.name}: "
                f"{reason}"
            )


async def stop_everywhere(found: Presence, timeout: int, tools: Tools) -> None:
    """Stop the instance on its primary node, unless it is offline, and on other nodes that run it.

    :raises GanetiError: a node failed or did not answer; all nodes were tried.
    """
    subject, errors = found.subject, list[Failed | Refused]()
    primary = () if subject.primary.offline else (subject.primary,)
    for node in (*primary, *found.elsewhere):
        try:
            await _stop_on(node, subject, timeout, tools)
        except (Failed, Refused) as e:
            errors.append(e)
    if errors:
        # The most important one: the instance may go on running there.
        raise next((error for error in errors if isinstance(error, Unreachable)), errors[0])


async def _stop_on(node: Node, subject: InstanceContext, timeout: int, tools: Tools) -> None:
    if node != subject.primary:
        tools.progress.log_message(
            f"instance {subject.instance.name} is running on node {node.name}, which is not its "
            "primary node; stopping it there"
        )
    await stop_guest(subject, timeout, tools, node=node)
    if node not in subject.nodes:
        # As if this node were the primary one, as only nodes of the record are asked.
        there = replace(subject.instance, primary_node=node.uuid)
        await detach_disks(tools.config.state(), there, subject.disks, tools, only_on=node)


async def record_down(
    subject: InstanceContext, source: AdminStateSource, tools: Tools, undo: Undo
) -> None:
    """Record the instance as down; an undo restores the old state, as the guest may still run.

    An instance that is marked offline stays so, because stopping it must not make it startable.
    """
    instance = subject.instance
    offline = instance.admin_state is AdminState.OFFLINE
    down = want(instance, AdminState.OFFLINE if offline else AdminState.DOWN, source)
    wanted = want(instance, instance.admin_state, instance.admin_state_source)
    before = together(wanted, set_disks_active(instance, instance.disks_active))
    await tools.config.change(together(down, set_disks_active(instance, False)))
    undo.by(f"restore the recorded state of {instance.name}", partial(tools.config.change, before))


async def stop_guest(
    subject: InstanceContext, timeout: int, tools: Tools, *, node: Node | None = None
) -> None:
    """Shut down the guest of an instance, and kill it after ``timeout`` seconds.

    ``node`` is its primary node by default.
    """
    guest = make_guest(tools.config.state(), subject.instance, subject.disks)
    stop = StopInstance(
        instance_name=guest.name,
        hypervisor=guest.hypervisor,
        timeout=timeout,
        hvparams=guest.hvparams,
    )
    await tools.nodes.ask(node or subject.primary, stop)


def hooks(plan: Stop, state: ClusterState) -> HookCall:
    more = {"TIMEOUT": str(plan.op.timeout)}
    return instance_hooks("instance-stop", plan.subject, state, more)


OPERATION = Operation(ShutdownInstance, plan, run, questions, hooks)
