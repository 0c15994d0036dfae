# SPDX-License-Identifier: BSD-2-Clause
"""Making an instance of volumes that are there, with what is on them.

A volume gets the name of a new disk, and is the instance's from then on: it goes when the instance
is removed.
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
    """Return whether the new instance gets volumes that are there."""
    return any(disk.get("adopt") is not None for disk in op.disks)


def adoption_questions(op: CreateInstance, nodes: Sequence[Node]) -> Iterator[NodeQuery]:
    """Ask which volumes there are, if some are to be adopted."""
    if adopts(op):
        yield NodeQuery(nodes, ListVolumesCall(template=Template.PLAIN))


def adopted(
    wishes: Sequence[DiskSpec], node: Node, state: ClusterState, facts: NodeAnswers
) -> tuple[DiskSpec, ...]:
    """Return the disks with the sizes of the volumes that they are made of.

    :raises Refused: a volume is not on the node, is in use, or is another instance's.
    """
    volumes = {volume.name: volume for volume in facts.of(node, ListVolumesCall)}
    names = [_volume(wish, state) for wish in wishes]
    for number, name in enumerate(names):
        if name not in volumes:
            raise Refused(f"node {node.name} has no volume {name} to adopt", Code.UNKNOWN)
        if name in names[:number]:
            raise Refused(f"the volume {name} would be adopted twice", Code.INPUT)
        if volumes[name].opened:
            raise Refused(f"the volume {name} on node {node.name} is in use; unmount it first")
        if owner := _owner(name, node, state):
            raise Refused(f"the volume {name} is of instance {owner}", Code.NOT_UNIQUE)
        if any(re.fullmatch(pattern, name) for pattern in state.cluster.reserved_lvs):
            raise Refused(f"the volume {name} is reserved by the setting reserved_lvs")
    return tuple(
        dataclasses.replace(wish, size=volumes[name].size)
        for wish, name in zip(wishes, names, strict=True)
    )


def _volume(wish: DiskSpec, state: ClusterState) -> str:
    return f"{wish.vg or state.cluster.volume_group_name}/{wish.adopt}"


def _owner(name: str, node: Node, state: ClusterState) -> str:
    """The name of the instance that has a volume on the node; empty if none has."""
    for uuid, disk in state.disks.items():
        for each in (disk, *disk.children):
            is_volume = each.dev_type is Template.PLAIN and node.uuid in each.nodes
            if is_volume and "/".join(map(str, each.logical_id)) == name and uuid in state.owners:
                return state.instances[state.owners[uuid]].name
    return ""


async def adopt_disks(
    disks: Sequence[Disk], wishes: Sequence[DiskSpec], node: Node, tools: Tools, undo: Undo
) -> None:
    """Give the volumes the names of the disks; they get theirs back if the block fails."""
    for disk, wish in zip(disks, wishes, strict=True):
        tools.progress.may_stop()
        volume = replace(disk, logical_id=(disk.logical_id[0], wish.adopt))
        back = partial(tools.nodes.ask, node, RenameDisk(disk=disk, to=volume))
        what = f"give the volume {wish.adopt} on {node.name} its name back"
        try:
            await tools.nodes.ask(node, RenameDisk(disk=volume, to=disk))
        except Unreachable:
            undo.by(what, back)  # the node may have done it all the same
            raise
        undo.by(what, back)
