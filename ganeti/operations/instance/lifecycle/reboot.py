# SPDX-License-Identifier: BSD-2-Clause
"""The operation that reboots an instance, or starts it if it is not running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.locking.names import LockRequest
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.lifecycle import RebootInstance as RebootOpcode
from ganeti.opcodes.instance.lifecycle import RebootType
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.lifecycle.start import check_memory, wanted_up
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.instance.pending_changes import report_pending
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.refusals import marked_offline
from ganeti.rpc.instances import RebootInstanceCall, RebootMethod, StartInstanceCall
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class InstanceReboot:
    """An instance to reboot; ``runs`` is whether it is running now."""

    op: RebootOpcode
    subject: InstanceContext
    guest: Guest
    runs: bool

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: RebootOpcode, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    hypervisors = (subject.instance.hypervisor,)
    return [
        NodeQuery([subject.primary], DescribeNode(hypervisors=hypervisors)),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan(op: RebootOpcode, state: ClusterState, facts: NodeAnswers) -> InstanceReboot:
    """Plan the reboot."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    check_online(node, f"instance {instance.name} cannot be rebooted")
    if instance.admin_state is AdminState.OFFLINE:
        raise marked_offline(instance.name)
    check_not_reverting(state, instance)
    present = facts.answer_of(node, DescribeNode)
    guest = make_guest(state, instance)
    found = determine_presence(subject, state, facts)
    check_nowhere_else(found)
    if op.reboot_type is not RebootType.SOFT or not found.here:
        check_memory(guest, present, node.name, restarts=True)
    return InstanceReboot(op, subject, guest, found.here)


async def run(plan: InstanceReboot, tools: Tools) -> None:
    instance, node, disks = plan.subject.instance, plan.subject.primary, plan.subject.disks
    soft = plan.runs and plan.op.reboot_type is RebootType.SOFT
    # Before it is stopped, as it could not start again otherwise.
    if plan.runs and not soft:
        await require_able(node, plan.guest, tools)
    if plan.runs and plan.op.reboot_type is not RebootType.FULL:
        kind = RebootMethod(plan.op.reboot_type.value)
        reboot = RebootInstanceCall(guest=plan.guest, kind=kind, timeout=plan.op.shutdown_timeout)
        await tools.nodes.ask(node, reboot)
        if soft:
            await report_pending(plan.subject, tools)
    else:
        if plan.runs:
            await stop_guest(plan.subject, plan.op.shutdown_timeout, tools)
            await detach_disks(tools.config.state(), instance, disks, tools)
        else:
            tools.progress.log_message(f"instance {instance.name} is not running; starting it")
        if plan.subject.secondaries:
            state, lenient = tools.config.state(), plan.op.ignore_secondaries
            await attach_disks(state, instance, disks, tools, ignore_secondaries=lenient)
        await tools.nodes.ask(node, StartInstanceCall(guest=plan.guest))
    if instance.admin_state is not AdminState.UP:
        await tools.config.change(wanted_up(instance))


def hooks(plan: InstanceReboot, state: ClusterState) -> HookCall:
    more = {
        "IGNORE_SECONDARIES": str(plan.op.ignore_secondaries),
        "REBOOT_TYPE": plan.op.reboot_type.value,
        "SHUTDOWN_TIMEOUT": str(plan.op.shutdown_timeout),
    }
    return instance_hooks("instance-reboot", plan.subject, state, more)


OPERATION = Operation(RebootOpcode, plan, run, questions, hooks)
