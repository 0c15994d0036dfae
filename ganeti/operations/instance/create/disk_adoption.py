# SPDX-License-Identifier: BSD-2-Clause
"""Adoption of existing volumes, with their data, as disks of a new instance.

A volume is renamed to a new disk, and is removed together with the instance later.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused, Unreachable
from ganeti.model.disk import Disk, Template
from ganeti.model.node import Node
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.operations.instance.device_specs import DiskSpec
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import RenameDisk
from ganeti.rpc.storage import ListVolumesCall
from ganeti.schema.records import replace


def adopts(op: CreateInstance) -> bool:
    """Return whether the new instance adopts existing volumes."""
    return any(disk.get("adopt") is not None for disk in op.disks)


def adoption_queries(op: CreateInstance, nodes: Sequence[Node]) -> Iterator[NodeQuery]:
    """Yield the query for existing volumes if some are adopted."""
    if adopts(op):
        yield NodeQuery(nodes, ListVolumesCall(template=Template.PLAIN))


def adopted(
    wishes: Sequence[DiskSpec], node: Node, state: ClusterState, facts: NodeAnswers
) -> tuple[DiskSpec, ...]:
    """Return the disks with the sizes of the volumes that they adopt.

    :raises Refused: a volume does not exist, is in use, or belongs to an instance.
    """
    volumes = {volume.name: volume for volume in facts.answer_of(node, ListVolumesCall)}
    names = [_volume_name(wish, state) for wish in wishes]
    for number, name in enumerate(names):
        if name not in volumes:
            raise Refused(f"volume {name} does not exist on node {node.name}", Code.UNKNOWN)
        if name in names[:number]:
            raise Refused(f"volume {name} is given twice", Code.INPUT)
        if volumes[name].opened:
            raise Refused(f"volume {name} on node {node.name} is in use; unmount it first")
        if owner := _find_owner(name, node, state):
            raise Refused(f"volume {name} belongs to instance {owner}", Code.NOT_UNIQUE)
        if any(re.fullmatch(pattern, name) for pattern in state.cluster.reserved_lvs):
            raise Refused(f"volume {name} is reserved by the cluster setting reserved_lvs")
    return tuple(
        dataclasses.replace(wish, size=volumes[name].size)
        for wish, name in zip(wishes, names, strict=True)
    )


def _volume_name(wish: DiskSpec, state: ClusterState) -> str:
    return f"{wish.vg or state.cluster.volume_group_name}/{wish.adopt}"


def _find_owner(name: str, node: Node, state: ClusterState) -> str:
    """Return the name of the instance that a volume belongs to, or an empty string."""
    for uuid, disk in state.disks.items():
        for each in (disk, *disk.children):
            is_volume = each.dev_type is Template.PLAIN and node.uuid in each.nodes
            if is_volume and "/".join(map(str, each.logical_id)) == name and uuid in state.owners:
                return state.instances[state.owners[uuid]].name
    return ""


async def adopt_disks(
    disks: Sequence[Disk], wishes: Sequence[DiskSpec], node: Node, tools: Tools, undo: Undo
) -> None:
    """Rename the volumes to the disks; this is undone if the block of ``undo`` fails."""
    for disk, wish in zip(disks, wishes, strict=True):
        tools.progress.may_stop()
        volume = replace(disk, logical_id=(disk.logical_id[0], wish.adopt))
        back = partial(tools.nodes.ask, node, RenameDisk(disk=disk, to=volume))
        what = f"rename the volume {wish.adopt} on {node.name} back"
        try:
            await tools.nodes.ask(node, RenameDisk(disk=volume, to=disk))
        except Unreachable:
            undo.by(what, back)  # the node may have renamed it
            raise
        undo.by(what, back)
