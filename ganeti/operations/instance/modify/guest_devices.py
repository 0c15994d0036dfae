# SPDX-License-Identifier: BSD-2-Clause
"""Changes of disks and network cards that a running guest takes over at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.modify.device_changes import DiskChanges
from ganeti.operations.operation import NodeAnswers, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.instances import DescribeHotplug, HotplugAction, HotplugDevice


@dataclass(frozen=True)
class HotplugPlan:
    """Whether the guest on ``node`` takes changes over at once.

    If they are ``required``, the job fails when one is impossible; otherwise it tells that the
    change waits for the next start. ``problem`` is why all of them have to wait.
    """

    node: Node
    possible: bool = False
    required: bool = False
    problem: str = ""


def wants_hotplug(op: ModifyInstance) -> bool:
    """Return whether the running guest is to get changed devices."""
    return bool((op.hotplug or op.hotplug_if_possible) and (op.nics or op.disks))


def plan_hotplug(
    op: ModifyInstance,
    subject: InstanceContext,
    runs: bool,
    disks: DiskChanges,
    facts: NodeAnswers,
) -> HotplugPlan:
    """Return how the changes reach the running guest; a stopped one needs nothing.

    :raises Refused: they are required to, and cannot.
    """
    node = subject.primary
    if op.hotplug and not wants_hotplug(op):
        raise Refused(
            "only network cards and disks can be changed by hotplug; omit --hotplug", Code.INPUT
        )
    if not wants_hotplug(op) or not runs:
        return HotplugPlan(node)
    problem = facts.answer_of(node, DescribeHotplug)
    if op.hotplug and problem:
        raise Refused(problem, Code.STATE)
    if op.hotplug and any("mode" in (step.fields or ()) for step in disks.steps):
        raise Refused(
            "the access mode of a disk cannot be changed while the instance runs; omit --hotplug"
        )
    return HotplugPlan(node, possible=not problem, required=op.hotplug, problem=problem)


async def add_hot_disk(plan: HotplugPlan, guest: Guest, disk: Disk, tools: Tools) -> None:
    """Add a configured disk to the running guest.

    :raises Failed: it is required, and does not work.
    """
    await _change(plan, guest, disk.uuid, HotplugAction.ADD, tools)


async def remove_hot_disk(plan: HotplugPlan, guest: Guest, disk: Disk, tools: Tools) -> None:
    """Remove a disk from the running guest.

    :raises Failed: the guest does not release it.
    """
    call = HotplugDevice(guest=guest, device=disk.uuid, action=HotplugAction.REMOVE)
    await tools.nodes.ask(plan.node, call)


async def remove_hot_nics(
    plan: HotplugPlan, before: Guest, after: Guest, tools: Tools, undo: Undo
) -> None:
    """Remove the network cards of the running guest that it is no longer to have."""
    kept = {card.uuid for card in after.nics}
    for card in before.nics:
        if card.uuid not in kept:
            # Before the call: a node that does not answer may have changed the guest.
            back = partial(_change, plan, before, card.uuid, HotplugAction.ADD, tools)
            undo.by(f"add network card {card.mac} to the guest again", back)
            await _change(plan, before, card.uuid, HotplugAction.REMOVE, tools)


async def add_hot_nics(
    plan: HotplugPlan, before: Guest, after: Guest, tools: Tools, undo: Undo
) -> None:
    """Add the network cards that are new to the running guest, and change those that differ."""
    had = {card.uuid: card for card in before.nics}
    for card in after.nics:
        if had.get(card.uuid) == card:
            continue
        # Before the call, as above.
        action = HotplugAction.ADD if card.uuid in had else HotplugAction.REMOVE
        guest = before if card.uuid in had else after
        back = partial(_change, plan, guest, card.uuid, action, tools)
        undo.by(f"restore network card {card.mac} of the guest", back)
        await _change(plan, after, card.uuid, HotplugAction.ADD, tools)


async def _change(
    plan: HotplugPlan, guest: Guest, device: str, action: HotplugAction, tools: Tools
) -> None:
    try:
        await tools.nodes.ask(plan.node, HotplugDevice(guest=guest, device=device, action=action))
    except (Failed, Refused) as e:
        if plan.required:
            raise
        tools.progress.log_message(f"the change of the running guest waits for its next start: {e}")
