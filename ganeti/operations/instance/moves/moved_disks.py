# SPDX-License-Identifier: BSD-2-Clause
"""New disks on another node for those that only their own node can access, and their leftovers."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from uuid import NAMESPACE_OID, uuid5

from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.instance.disks.block_devices import create_disks, remove_disks
from ganeti.operations.operation import Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.storage import ListVolumesCall
from ganeti.schema.records import replace

COPIED_TEMPLATES = frozenset({Template.FILE, Template.PLAIN})
"""Templates whose disks are only accessible on their node."""


def make_copy(disk: Disk, node: Node, identity: str) -> Disk:
    """Return the record of the copy on ``node``, with a new unique name.

    The old name is not used, because a volume with it may belong to something else or to an earlier
    move. The name of an earlier attempt is not used, because it may still be written to.
    """
    unique, number = f"{_copy_prefix(disk, node)}.{identity[:8]}", disk.iv_name[5:]
    place, name = disk.logical_id
    if disk.dev_type is Template.PLAIN:
        new = f"{unique}.disk{number}"
    else:
        new = posixpath.join(posixpath.dirname(str(name)), f"{unique}.file.disk{number}")
    return replace(disk, logical_id=(place, new), nodes=(node.uuid,))


def _copy_prefix(disk: Disk, node: Node) -> str:
    """Return the common name prefix of all copies of a disk that moves create on ``node``.

    By it a later move finds the leftovers of one that was interrupted by a crash of the master.
    """
    return str(uuid5(NAMESPACE_OID, f"{disk.uuid} on {node.uuid}"))


async def create_copies(
    instance: Instance, target: Node, copies: Sequence[Disk], tools: Tools, undo: Undo
) -> None:
    """Create empty disks for ``copies`` on the target, and remove those of earlier moves there."""
    await remove_leftovers(instance, target, copies, tools)
    arrived = replace(instance, primary_node=target.uuid)
    await create_disks(tools.config.state(), arrived, copies, tools, undo)


async def remove_leftovers(
    instance: Instance, node: Node, disks: Sequence[Disk], tools: Tools
) -> None:
    """Remove what interrupted moves of these disks have left on a node; log what remains.

    The instance must not have its disks there.
    """
    if not disks:
        return
    there = await tools.nodes.ask(node, ListVolumesCall(template=disks[0].dev_type))
    left = [
        replace(
            disk, logical_id=(disk.logical_id[0], _volume_name(disk, each.name)), nodes=(node.uuid,)
        )
        for disk in disks
        for each in there
        if posixpath.basename(each.name).startswith(_copy_prefix(disk, node))
    ]
    state: ClusterState = tools.config.state()
    moved = replace(instance, primary_node=node.uuid)
    for problem in await remove_disks(state, moved, left, tools):
        tools.progress.log_message(f"cannot remove a leftover of an earlier move: {problem}")


def _volume_name(disk: Disk, volume: str) -> str:
    """Return the volume's name as in the ``logical_id`` of ``disk``, without volume group."""
    return posixpath.basename(volume) if disk.dev_type is Template.PLAIN else volume
