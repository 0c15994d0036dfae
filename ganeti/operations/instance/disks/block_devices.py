# SPDX-License-Identifier: BSD-2-Clause
"""Steps about the disks of an instance that several operations are composed of.

Disks that are mirrored between nodes are made and attached on the secondaries first, so that the
primary finds its peer; they are detached and removed the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.guests import with_parameters
from ganeti.operations.operation import Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import AttachDisk, CreateDisk, DetachDisk, RemoveDisk


def places(state: ClusterState, instance: Instance, disk: Disk) -> list[Node]:
    """The nodes that a disk is on, the primary node last."""
    nodes = [state.nodes[uuid] for uuid in disk.nodes if uuid != instance.primary_node]
    return [*nodes, state.nodes[instance.primary_node]]


async def create_disks(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools, undo: Undo
) -> None:
    """Make the disks on all their nodes; each is removed again if the block of ``undo`` fails."""
    for disk in disks:
        filled = with_parameters(state, instance, disk)
        for node in places(state, instance, disk):
            tools.progress.may_stop()
            # Registered first: a node that did not answer may have made it all the same.
            remove = partial(tools.nodes.ask, node, RemoveDisk(disk=filled))
            undo.by(f"remove {disk.iv_name} of {instance.name} on {node.name}", remove)
            create = CreateDisk(
                disk=filled, owner=instance.name, primary=node.uuid == instance.primary_node
            )
            try:
                await tools.nodes.ask(node, create)
            except Refused as e:
                if e.code is Code.EXISTS:
                    # The disk that is there is somebody's, and whole.
                    undo.forget()
                raise


async def attach_disks(
    state: ClusterState,
    instance: Instance,
    disks: Sequence[Disk],
    tools: Tools,
    *,
    ignore_secondaries: bool = False,
    ignore_size: bool = False,
) -> list[tuple[str, str, str]]:
    """Attach the disks on all their nodes; answers rows of node, disk and path on the primary.

    :raises Failed: one could not be attached, on a secondary only without ``ignore_secondaries``.
    """
    rows = []
    for disk in disks:
        filled = with_parameters(state, instance, disk)
        for node in places(state, instance, disk):
            primary = node.uuid == instance.primary_node
            if node.offline and not primary:
                tools.progress.say(f"{disk.iv_name} is not attached on {node.name}: it is offline")
                continue
            attach = AttachDisk(
                disk=filled, owner=instance.name, primary=primary, ignore_size=ignore_size
            )
            try:
                path = await tools.nodes.ask(node, attach)
            except Failed as e:
                if primary or not ignore_secondaries:
                    raise
                tools.progress.say(f"{disk.iv_name} is not attached on {node.name}: {e}")
            else:
                if primary:
                    rows.append((node.name, disk.iv_name, path))
    return rows


async def detach_disks(
    state: ClusterState,
    instance: Instance,
    disks: Sequence[Disk],
    tools: Tools,
    *,
    only_on: Node | None = None,
) -> None:
    """Detach the disks on all nodes that are online, or on one of them."""
    for disk in disks:
        filled = with_parameters(state, instance, disk)
        for node in reversed(places(state, instance, disk)):
            if not node.offline and only_on in (None, node):
                await tools.nodes.ask(node, DetachDisk(disk=filled))


async def remove_disks(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools
) -> list[str]:
    """Remove the disks with what is on them; answers what could not be removed, and why."""
    left = []
    for disk in disks:
        filled = with_parameters(state, instance, disk)
        for node in reversed(places(state, instance, disk)):
            if node.offline:
                left.append(f"{disk.iv_name} on {node.name}: the node is offline")
                continue
            try:
                await tools.nodes.ask(node, RemoveDisk(disk=filled))
            except (Failed, Refused) as e:
                left.append(f"{disk.iv_name} on {node.name}: {e}")
    return left
