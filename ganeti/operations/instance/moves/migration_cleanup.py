# SPDX-License-Identifier: BSD-2-Clause
"""Putting an instance right whose move broke off: it runs once, and the record says where.

A guest that was being sent may be held on both nodes and run on none. It runs on where it was
sent to only if the configuration says so; whoever is told to let it run is the only one. A node
that runs it, and is not its primary node, becomes that.
"""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.changes.instances import moved_to
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext, require_online
from ganeti.operations.instance.disks.mirrors import let_one_write, mirrored
from ganeti.operations.instance.running_check import (
    possible_hosts,
    presence,
    presence_questions,
    require_known,
    runs_twice,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc.instances import (
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    ListGuests,
    MigrationStatus,
)

_SENT = frozenset({"active", "completed"})
"""How the sending of a guest that is held stands."""


@dataclass(frozen=True)
class MigrationCleanup:
    """An instance that may be between two nodes, and those that may have it."""

    subject: InstanceContext
    nodes: tuple[Node, ...]

    @property
    def locks(self) -> LockRequest:
        shared = request(shared=[node_lock(node.uuid) for node in self.nodes])
        return {**shared, **self.subject.locks}


def settling_questions(subject: InstanceContext, state: ClusterState) -> list[NodeQuery]:
    """On which nodes the instance runs."""
    return presence_questions(subject, state)


def plan_settling(
    subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> MigrationCleanup:
    """Find out where the instance is.

    :raises Refused: a node that may have it does not answer, or it runs in two places.
    """
    name, found = subject.instance.name, presence(subject, state, facts)
    if len(found.nodes) > 1:
        raise runs_twice(name, found.nodes)
    require_known(found)
    if not found.nodes:
        _require_complete(subject)
    return MigrationCleanup(subject, tuple(possible_hosts(subject, state)))


def _require_complete(subject: InstanceContext) -> None:
    """Refuse to wake up a guest while the one that it was sent to may have run and written.

    :raises Refused: a node that has the instance's disks, or is its primary one, is offline.
    """
    for node in subject.nodes:
        require_online(node, f"it is unknown whether instance {subject.instance.name} is there")


async def run_settling(plan: MigrationCleanup, tools: Tools) -> None:
    """Let the instance run where it is, and drop what is left of its move elsewhere.

    :raises Failed: a node could not do its part.
    """
    instance, state = plan.subject.instance, tools.config.state()
    guest, primary = guest_of(state, instance), plan.subject.primary
    running = await _running(plan, tools)
    if len(running) > 1:
        raise runs_twice(instance.name, running)
    if running:
        [here] = running
        await tools.nodes.ask(here, FinalizeMigrationSrc(guest=guest, left=False))
        woken = True
    else:
        _require_complete(plan.subject)
        here, woken = await _woken(plan, guest, tools)
    await _drop(plan, guest, here, tools)
    if here.uuid != tools.config.state().instances[guest.uuid].primary_node:
        await tools.config.change(moved_to(instance, here))
    await _settle_disks(plan, here, tools)
    if woken:
        tools.progress.say(f"instance {instance.name} runs on {here.name}, its primary node")
    else:
        tools.progress.say(
            f"instance {instance.name} runs nowhere, and nothing is left of a move; its primary "
            f"node is {primary.name}"
        )


async def _running(plan: MigrationCleanup, tools: Tools) -> list[Node]:
    ask = ListGuests(hypervisors=(plan.subject.instance.hypervisor,))
    return [
        node
        for node in plan.nodes
        if plan.subject.instance.name in await tools.nodes.ask(node, ask)
    ]


async def _woken(plan: MigrationCleanup, guest: Guest, tools: Tools) -> tuple[Node, bool]:
    """Wake up a guest that is held; answers where, and whether there was one.

    Where it was sent to it may run only if the configuration says so by now: the change was made
    when it had left as a whole, and before anybody was told to let it run.
    """
    primary = plan.subject.primary
    sender = await _sender(plan, guest, tools)
    if sender != primary:
        try:
            await tools.nodes.ask(primary, FinalizeMigrationDst(guest=guest, arrived=True))
            return primary, True
        except Unreachable:
            raise
        except (Failed, Refused):
            if sender is None:
                return primary, False
    assert sender is not None
    await _drop(plan, guest, sender, tools)
    if sender != primary:
        await tools.config.change(moved_to(plan.subject.instance, sender))
    await tools.nodes.ask(sender, FinalizeMigrationSrc(guest=guest, left=False))
    return sender, True


async def _sender(plan: MigrationCleanup, guest: Guest, tools: Tools) -> Node | None:
    """The node that was sending the guest, and holds it."""
    for node in plan.nodes:
        try:
            sending = await tools.nodes.ask(node, MigrationStatus(guest=guest))
        except Unreachable:
            raise
        except (Failed, Refused):
            continue
        if sending.status in _SENT:
            return node
    return None


async def _drop(plan: MigrationCleanup, guest: Guest, here: Node, tools: Tools) -> None:
    """Drop what is held of the guest on every node but ``here``."""
    for node in plan.nodes:
        if node != here:
            await tools.nodes.ask(node, FinalizeMigrationDst(guest=guest, arrived=False))


async def _settle_disks(plan: MigrationCleanup, stays: Node, tools: Tools) -> None:
    state = tools.config.state()
    instance = state.instances[plan.subject.instance.uuid]
    if not instance.disks_active or not mirrored(plan.subject.disks):
        return
    for other in plan.nodes:
        if other != stays:
            for each in await let_one_write(state, instance, plan.subject.disks, other, tools):
                tools.progress.say(f"not settled: {each}")
