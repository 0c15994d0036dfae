# SPDX-License-Identifier: BSD-2-Clause
"""Steps for disks of external storage, which a node opens for itself alone or for a migration."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.instance.disks.mirrors import sent
from ganeti.operations.operation import Tools
from ganeti.rpc.disks import DetachDisk, PromoteDisk


def external(disks: Sequence[Disk]) -> list[Disk]:
    """Return those of the disks that are on external storage."""
    return [disk for disk in disks if disk.dev_type is Template.EXT]


async def share_disks(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], tools: Tools
) -> None:
    """Let the primary node share its disks with another one, which may open them then."""
    for disk in sent(state, instance, external(disks)):
        await tools.nodes.ask(state.nodes[instance.primary_node], PromoteDisk(disk=disk, both=True))


async def end_sharing(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], other: Node, tools: Tools
) -> list[str]:
    """Detach the disks on ``other``, and open them for the primary node alone.

    Return messages for failed steps.
    """
    primary, left = state.nodes[instance.primary_node], []
    for disk in sent(state, instance, external(disks)):
        # In this order: while the other node has it open, nothing can be exclusive.
        for node, call in ((other, DetachDisk(disk=disk)), (primary, PromoteDisk(disk=disk))):
            try:
                await tools.nodes.ask(node, call)
            except (Failed, Refused) as e:
                left.append(f"{disk.iv_name} on {node.name}: {e}")
    return left
