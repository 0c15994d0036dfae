# SPDX-License-Identifier: BSD-2-Clause
"""Stopping an instance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import activated, want
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest
from ganeti.model.instance import Wanted, WantedBy
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.disks import detach_disks
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.subject import Subject, subject_of
from ganeti.operations.operation import Facts, HookCall, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import StopInstance


@dataclass(frozen=True)
class Stop:
    """An instance that is to stand still."""

    op: ShutdownInstance
    subject: Subject

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def plan(op: ShutdownInstance, state: ClusterState, facts: Facts) -> Stop:
    """Decide what stopping the instance means, or refuse."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    if instance.admin_state is Wanted.OFFLINE and not op.force:
        raise Refused(
            f"instance {instance.name} is marked offline; use --force to stop it all the same"
        )
    if node.offline and not op.ignore_offline_nodes:
        raise Refused(
            f"primary node {node.name} is offline; "
            "use --ignore-offline to record only that the instance is to be down"
        )
    return Stop(op, subject)


async def run(plan: Stop, tools: Tools) -> None:
    instance, node = plan.subject.instance, plan.subject.primary
    async with Undo(tools.progress) as undo:
        if not plan.op.no_remember:
            source = plan.op.admin_state_source or WantedBy.ADMIN
            await record_down(plan.subject, source, tools, undo)
        if node.offline:
            tools.progress.say(f"node {node.name} is offline: only the wanted state was recorded")
            return
        await tools.progress.interruptible(stop_guest(plan.subject, plan.op.timeout, tools))
    await detach_disks(tools.config.state(), instance, plan.subject.disks, tools)


async def record_down(subject: Subject, source: WantedBy, tools: Tools, undo: Undo) -> None:
    """Record that the instance is to be down; undone, what it was to be, for its guest may run."""
    instance = subject.instance
    down = want(instance, Wanted.DOWN, source)
    wanted = want(instance, instance.admin_state, instance.admin_state_source)
    before = together(wanted, activated(instance, instance.disks_active))
    await tools.config.change(together(down, activated(instance, False)))
    undo.by(f"record again what {instance.name} was to be", partial(tools.config.change, before))


async def stop_guest(subject: Subject, timeout: int, tools: Tools) -> None:
    """Stop the guest of an instance on its primary node, hard after ``timeout`` seconds."""
    guest = guest_of(tools.config.state(), subject.instance, subject.disks)
    stop = StopInstance(
        instance_name=guest.name,
        hypervisor=guest.hypervisor,
        timeout=timeout,
        hvparams=guest.hvparams,
    )
    await tools.nodes.ask(subject.primary, stop)


def hooks(plan: Stop, state: ClusterState) -> HookCall:
    more = {"TIMEOUT": str(plan.op.timeout)}
    return instance_hooks("instance-stop", plan.subject, state, more)


OPERATION = Operation(ShutdownInstance, plan, run, hooks=hooks)
