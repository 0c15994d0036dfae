# SPDX-License-Identifier: BSD-2-Clause
"""Stopping an instance, on every node that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import activated, want
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.instance import Wanted, WantedBy
from ganeti.model.node import Node
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import detach_disks
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.running_check import Presence, presence, presence_questions
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import StopInstance
from ganeti.schema.records import replace


@dataclass(frozen=True)
class Stop:
    """An instance that is to stand still, and where it was found to run."""

    op: ShutdownInstance
    subject: InstanceContext
    found: Presence

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: ShutdownInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    return presence_questions(subject, state)


def plan(op: ShutdownInstance, state: ClusterState, facts: NodeAnswers) -> Stop:
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
    return Stop(op, subject, presence(subject, state, facts))


async def run(plan: Stop, tools: Tools) -> None:
    instance, node = plan.subject.instance, plan.subject.primary
    async with Undo(tools.progress) as undo:
        if not plan.op.no_remember:
            source = plan.op.admin_state_source or WantedBy.ADMIN
            await record_down(plan.subject, source, tools, undo)
        _tell_of_silent(plan.found, tools)
        await tools.progress.interruptible(stop_everywhere(plan.found, plan.op.timeout, tools))
        if node.offline and not plan.found.elsewhere:
            tools.progress.say(f"node {node.name} is offline: only the wanted state was recorded")
            return
    await detach_disks(tools.config.state(), instance, plan.subject.disks, tools)


def _tell_of_silent(found: Presence, tools: Tools) -> None:
    """Name the nodes on which a copy of the instance may go on running."""
    for node, reason in found.unknown:
        # What the primary node does not do fails by itself.
        if node != found.subject.primary:
            tools.progress.say(
                f"whether instance {found.subject.instance.name} runs on {node.name} is not known: "
                f"{reason}"
            )


async def stop_everywhere(found: Presence, timeout: int, tools: Tools) -> None:
    """Stop the instance on its primary node, unless that is offline, and wherever else it runs.

    :raises GanetiError: a node could not do it, or did not answer; all of them were asked to.
    """
    subject, errors = found.subject, list[Failed | Refused]()
    primary = () if subject.primary.offline else (subject.primary,)
    for node in (*primary, *found.elsewhere):
        try:
            await _stop_on(node, subject, timeout, tools)
        except (Failed, Refused) as e:
            errors.append(e)
    if errors:
        raise next((error for error in errors if isinstance(error, Unreachable)), errors[0])


async def _stop_on(node: Node, subject: InstanceContext, timeout: int, tools: Tools) -> None:
    if node != subject.primary:
        tools.progress.say(
            f"instance {subject.instance.name} runs on {node.name}, which is not its primary node; "
            "stopping it there"
        )
    await stop_guest(subject, timeout, tools, node=node)
    if node not in subject.nodes:
        there = replace(subject.instance, primary_node=node.uuid)
        await detach_disks(tools.config.state(), there, subject.disks, tools, only_on=node)


async def record_down(subject: InstanceContext, source: WantedBy, tools: Tools, undo: Undo) -> None:
    """Record that the instance is to be down; undone, what it was to be, for its guest may run.

    One that is marked offline stays so: stopping it must not make it startable.
    """
    instance = subject.instance
    offline = instance.admin_state is Wanted.OFFLINE
    down = want(instance, Wanted.OFFLINE if offline else Wanted.DOWN, source)
    wanted = want(instance, instance.admin_state, instance.admin_state_source)
    before = together(wanted, activated(instance, instance.disks_active))
    await tools.config.change(together(down, activated(instance, False)))
    undo.by(f"record again what {instance.name} was to be", partial(tools.config.change, before))


async def stop_guest(
    subject: InstanceContext, timeout: int, tools: Tools, *, node: Node | None = None
) -> None:
    """Stop the guest of an instance, hard after ``timeout`` seconds.

    ``node`` is where, its primary node if it is not given.
    """
    guest = guest_of(tools.config.state(), subject.instance, subject.disks)
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
