# SPDX-License-Identifier: BSD-2-Clause
"""Cleanup after an interrupted move: the instance then runs on at most one node, its primary.

A guest whose migration was interrupted may be paused on both nodes. It is resumed on the target
only if the configuration already has the target as primary node; only one node ever resumes it. If
it runs on a node other than its primary node, that node becomes the primary node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import set_primary_node
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.operations.allocation.target_node import get_template
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online
from ganeti.operations.instance.disks.mirrors import disable_dual_primary, mirrored
from ganeti.operations.instance.disks.shared_access import end_sharing
from ganeti.operations.instance.moves.moved_disks import COPIED_TEMPLATES, remove_leftovers
from ganeti.operations.instance.running_check import (
    check_known,
    determine_presence,
    list_possible_hosts,
    presence_queries,
    runs_twice,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc.instances import (
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    ListGuests,
    MigrationStatus,
)

_SENDING_STATUSES = frozenset({"active", "completed"})
"""The migration statuses of a paused guest on the sending node."""


@dataclass(frozen=True)
class MigrationCleanup:
    """An instance after an interrupted move, and the nodes that may have its guest.

    ``targets`` are other nodes, to which its disks may have been copied; it cannot run there.
    """

    subject: InstanceContext
    nodes: tuple[Node, ...]
    targets: tuple[Node, ...] = ()

    @property
    def locks(self) -> LockRequest:
        shared = request(shared=[node_lock(node.uuid) for node in (*self.nodes, *self.targets)])
        return {**shared, **self.subject.locks}


def cleanup_queries(subject: InstanceContext, state: ClusterState) -> list[NodeQuery]:
    """Return the queries for the presence of the instance."""
    return presence_queries(subject, state)


def plan_cleanup(
    subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> MigrationCleanup:
    """Plan the cleanup.

    :raises Refused: a node that may have the guest does not answer, or it runs on two nodes.
    """
    name, found = subject.instance.name, determine_presence(subject, state, facts)
    if len(found.nodes) > 1:
        raise runs_twice(name, found.nodes)
    check_known(found)
    if not found.nodes:
        _check_all_online(subject)
    hosts = list_possible_hosts(subject, state)
    return MigrationCleanup(subject, tuple(hosts), tuple(_list_targets(subject, hosts, state)))


def _list_targets(
    subject: InstanceContext, hosts: Sequence[Node], state: ClusterState
) -> list[Node]:
    """Return the nodes that disks may have been copied to which only their own node can access."""
    if get_template(subject) not in COPIED_TEMPLATES:
        return []
    able = [node for node in state.nodes.values() if node.vm_capable and not node.offline]
    return sorted((node for node in able if node not in hosts), key=lambda node: node.name)


def _check_all_online(subject: InstanceContext) -> None:
    """Check that all nodes of the instance are online, as a sent guest may have run there.

    :raises Refused: a node of the instance is offline.
    """
    for node in subject.nodes:
        check_online(node, f"it is unknown whether instance {subject.instance.name} ran there")


async def run_cleanup(plan: MigrationCleanup, tools: Tools) -> None:
    """Resume the instance on the right node, and remove leftovers on other nodes.

    :raises Failed: a node failed.
    """
    instance, state = plan.subject.instance, tools.config.state()
    guest, primary = make_guest(state, instance), plan.subject.primary
    # Asked again under the locks, as the answers of the plan may be some seconds old.
    running = await _find_running(plan, tools)
    if len(running) > 1:
        raise runs_twice(instance.name, running)
    if running:
        [here] = running
        # This also cancels a migration that is still in progress.
        await tools.nodes.ask(here, FinalizeMigrationSrc(guest=guest, left=False))
        woken = True
    else:
        _check_all_online(plan.subject)
        here, woken = await _resume_guest(plan, guest, tools)
    await _drop_elsewhere(plan, guest, here, tools)
    await _clean_up_targets(plan, guest, tools)
    if here.uuid != tools.config.state().instances[guest.uuid].primary_node:
        await tools.config.change(set_primary_node(instance, here))
    await _disable_dual_primary(plan, here, tools)
    await _end_sharing(plan, here, tools)
    if woken:
        tools.progress.log_message(
            f"instance {instance.name} is running on its primary node {here.name}"
        )
    else:
        tools.progress.log_message(
            f"instance {instance.name} is not running on any node; no migration leftovers found; "
            f"its primary node is {primary.name}"
        )


async def _find_running(plan: MigrationCleanup, tools: Tools) -> list[Node]:
    ask = ListGuests(hypervisors=(plan.subject.instance.hypervisor,))
    return [
        node
        for node in plan.nodes
        if plan.subject.instance.name in await tools.nodes.ask(node, ask)
    ]


async def _resume_guest(plan: MigrationCleanup, guest: Guest, tools: Tools) -> tuple[Node, bool]:
    """Resume a paused guest; return its node, and whether there was one.

    It may be resumed on the target only if the configuration already has the target as primary
    node: this change is made after the guest was sent completely and before it is resumed.
    """
    primary = plan.subject.primary
    sender = await _find_sender(plan, guest, tools)
    if sender != primary:
        try:
            await tools.nodes.ask(primary, FinalizeMigrationDst(guest=guest, arrived=True))
            return primary, True
        except Unreachable:
            # Without an answer, it is unknown whether the guest was resumed.
            raise
        except (Failed, Refused):
            if sender is None:
                return primary, False
    assert sender is not None
    await _drop_elsewhere(plan, guest, sender, tools)
    if sender != primary:
        await tools.config.change(set_primary_node(plan.subject.instance, sender))
    await tools.nodes.ask(sender, FinalizeMigrationSrc(guest=guest, left=False))
    return sender, True


async def _find_sender(plan: MigrationCleanup, guest: Guest, tools: Tools) -> Node | None:
    """Return the node that was sending the guest and has it paused, or None."""
    for node in plan.nodes:
        try:
            sending = await tools.nodes.ask(node, MigrationStatus(guest=guest))
        except Unreachable:
            # Without an answer, the node may have the guest.
            raise
        # A node that answers with an error does not send the guest.
        except (Failed, Refused):
            continue
        if sending.status in _SENDING_STATUSES:
            return node
    return None


async def _drop_elsewhere(plan: MigrationCleanup, guest: Guest, here: Node, tools: Tools) -> None:
    """Remove leftovers of the guest on every node but ``here``."""
    for node in plan.nodes:
        if node != here:
            await tools.nodes.ask(node, FinalizeMigrationDst(guest=guest, arrived=False))


async def _clean_up_targets(plan: MigrationCleanup, guest: Guest, tools: Tools) -> None:
    """Remove guests that were awaited or sent, and copies of disks; log what may remain."""
    instance, disks = plan.subject.instance, plan.subject.disks
    ask = ListGuests(hypervisors=(instance.hypervisor,), only=(guest.name,))
    for node in plan.targets:
        try:
            if guest.name in await tools.nodes.ask(node, ask):
                tools.progress.log_message(
                    f"node {node.name} runs another guest with the name {guest.name}, which does"
                    " not use the disks of the instance; stop it on that node"
                )
                continue
            await tools.nodes.ask(node, FinalizeMigrationDst(guest=guest, arrived=False))
            await remove_leftovers(instance, node, disks, tools)
        except (Failed, Refused) as e:
            tools.progress.log_message(
                f"cannot look for leftovers on node {node.name}: {e}; later: gnt-instance migrate"
                f" --cleanup {guest.name}"
            )


async def _end_sharing(plan: MigrationCleanup, stays: Node, tools: Tools) -> None:
    state = tools.config.state()
    instance = state.instances[plan.subject.instance.uuid]
    if not instance.disks_active:
        return
    for other in plan.nodes:
        if other != stays:
            for each in await end_sharing(state, instance, plan.subject.disks, other, tools):
                tools.progress.log_message(f"cannot clean up: {each}")


async def _disable_dual_primary(plan: MigrationCleanup, stays: Node, tools: Tools) -> None:
    state = tools.config.state()
    instance = state.instances[plan.subject.instance.uuid]
    if not instance.disks_active or not mirrored(plan.subject.disks):
        return
    for other in plan.nodes:
        if other != stays:
            for each in await disable_dual_primary(
                state, instance, plan.subject.disks, other, tools
            ):
                tools.progress.log_message(f"cannot clean up: {each}")
