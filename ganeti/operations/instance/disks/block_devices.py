# SPDX-License-Identifier: BSD-2-Clause
"""Steps for disks of an instance that several operations share.

Mirrored disks are created and attached on the secondary node first, so that the primary finds its
peer, and detached and removed in reverse order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.operations.operation import Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import (
    AttachDisk,
    CheckDiskParameters,
    CreateDisk,
    DetachDisk,
    RemoveDisk,
)


def places(state: ClusterState, instance: Instance, disk: Disk) -> list[Node]:
    """Return the nodes of a disk, the primary last."""
    nodes = [state.nodes[uuid] for uuid in disk.nodes if uuid != instance.primary_node]
    return [*nodes, state.nodes[instance.primary_node]]


async def create_disks(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools, undo: Undo
) -> None:
    """Create the disks on all their nodes; they are removed if the block of ``undo`` fails.

    Nothing is created if a node rejects the parameters of a disk.
    """
    await _check_parameters(state, instance, disks, tools)
    for disk in disks:
        filled = fill_disk_parameters(state, instance, disk)
        for node in places(state, instance, disk):
            tools.progress.may_stop()
            # Registered before the call: a node that does not answer may have created the disk.
            remove = partial(tools.nodes.ask, node, RemoveDisk(disk=filled))
            undo.by(f"remove {disk.iv_name} of {instance.name} on {node.name}", remove)
            create = CreateDisk(
                disk=filled, owner=instance.name, primary=node.uuid == instance.primary_node
            )
            try:
                await tools.nodes.ask(node, create)
            except Refused as e:
                if e.code is Code.EXISTS:
                    # The existing disk belongs to something else and must not be removed.
                    undo.drop_newest()
                raise


async def _check_parameters(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools
) -> None:
    for disk in disks:
        if disk.dev_type is Template.EXT:
            filled = fill_disk_parameters(state, instance, disk)
            for node in places(state, instance, disk):
                tools.progress.may_stop()
                await tools.nodes.ask(node, CheckDiskParameters(disk=filled))


async def attach_disks(
    state: ClusterState,
    instance: Instance,
    disks: Sequence[Disk],
    tools: Tools,
    *,
    ignore_secondaries: bool = False,
    ignore_size: bool = False,
) -> list[tuple[str, str, str]]:
    """Attach the disks on all their nodes; return rows of node, disk and path on the primary.

    :raises Failed: a disk could not be attached; ``ignore_secondaries`` ignores secondary nodes.
    """
    rows = []
    for disk in disks:
        filled = fill_disk_parameters(state, instance, disk)
        for node in places(state, instance, disk):
            primary = node.uuid == instance.primary_node
            if node.offline and not primary:
                tools.progress.log_message(
                    f"cannot attach {disk.iv_name} on node {node.name}: the node is offline"
                )
                continue
            attach = AttachDisk(
                disk=filled, owner=instance.name, primary=primary, ignore_size=ignore_size
            )
            try:
                path = await tools.nodes.ask(node, attach)
            except Failed as e:
                if primary or not ignore_secondaries:
                    raise
                tools.progress.log_message(f"cannot attach {disk.iv_name} on node {node.name}: {e}")
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
    """Detach the disks on all online nodes, or on one of them."""
    for disk in disks:
        filled = fill_disk_parameters(state, instance, disk)
        for node in reversed(places(state, instance, disk)):
            if not node.offline and only_on in (None, node):
                await tools.nodes.ask(node, DetachDisk(disk=filled))


async def detach_finally(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools
) -> None:
    """Detach the disks at the end of an operation, whose result does not depend on it.

    A failure is only reported in the job's log.
    """
    try:
        await detach_disks(state, instance, disks, tools)
    except (Failed, Refused) as e:
        tools.progress.log_message(
            f"cannot detach the disks of instance {instance.name}: {e}; later: "
            f"gnt-instance deactivate-disks {instance.name}"
        )


async def remove_disks(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools
) -> list[str]:
    """Remove the disks and their data; return messages for those that could not be removed."""
    left = []
    for disk in disks:
        filled = fill_disk_parameters(state, instance, disk)
        for node in reversed(places(state, instance, disk)):
            if node.offline:
                left.append(f"{disk.iv_name} on {node.name}: the node is offline")
                continue
            try:
                await tools.nodes.ask(node, RemoveDisk(disk=filled))
            except (Failed, Refused) as e:
                left.append(f"{disk.iv_name} on {node.name}: {e}")
    return left
