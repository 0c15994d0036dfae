# SPDX-License-Identifier: BSD-2-Clause
"""Adoption of existing volumes and devices, with their data, as disks of a new instance.

A volume is renamed to a new disk, and is removed together with the instance later. A device keeps
its name, and stays when the instance is removed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused, Unreachable
from ganeti.model.disk import Disk, Template, is_adoptable
from ganeti.model.node import Node
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.operations.instance.device_specs import DiskSpec
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import DescribeDevices, DeviceReport, RenameDisk
from ganeti.rpc.storage import ListVolumesCall
from ganeti.schema.records import replace


def adopts(op: CreateInstance) -> bool:
    """Return whether the new instance adopts existing volumes."""
    return any(disk.get("adopt") is not None for disk in op.disks)


def adoption_queries(
    op: CreateInstance, nodes: Sequence[Node], state: ClusterState
) -> Iterator[NodeQuery]:
    """Yield the query for existing volumes or devices if some are adopted."""
    if not adopts(op):
        return
    template = op.disk_template or Template(state.cluster.enabled_disk_templates[0])
    if template is Template.BLOCKDEV:
        wanted = [str(disk.get("adopt")) for disk in op.disks]
        paths = [path for path in wanted if is_adoptable(path)]
        # Those of other instances, too: a device may have several names.
        others = _adopted_devices(state)
        yield NodeQuery(nodes, DescribeDevices(paths=tuple(dict.fromkeys((*paths, *others)))))
    else:
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


def adopted_devices(
    wishes: Sequence[DiskSpec], node: Node, state: ClusterState, facts: NodeAnswers
) -> tuple[DiskSpec, ...]:
    """Return the disks with the sizes of the devices that they adopt.

    :raises Refused: a device does not exist, is in use, or belongs to an instance.
    """
    owners, found = _adopted_devices(state), facts.answer_of(node, DescribeDevices)
    owned = {each.path: owners[path] for path, each in found.items() if each and path in owners}
    taken: dict[str, str] = {}
    for wish in wishes:
        path = str(wish.adopt)
        device = found[path]
        if path in owners:
            raise Refused(f"device {path} belongs to instance {owners[path]}", Code.NOT_UNIQUE)
        if device is None:
            raise Refused(f"node {node.name} has no block device {path}", Code.UNKNOWN)
        if device.path in owned:
            raise Refused(
                f"device {path} is {device.path} on node {node.name}, which belongs to instance"
                f" {owned[device.path]} by another name",
                Code.NOT_UNIQUE,
            )
        if device.path in taken:
            raise Refused(f"{path} and {taken[device.path]} are one device", Code.INPUT)
        if device.claimed:
            raise Refused(
                f"device {path} on node {node.name} is in use there, as a file system, swap space,"
                " or part of a volume group, RAID array or partition mapping; release it first"
            )
        taken[device.path] = path
    return tuple(
        dataclasses.replace(wish, size=_size_of(found[str(wish.adopt)])) for wish in wishes
    )


def _size_of(device: DeviceReport | None) -> int:
    assert device is not None
    return device.size


def _adopted_devices(state: ClusterState) -> dict[str, str]:
    """Return the paths of the devices that instances have, with the instances' names."""
    return {
        str(disk.logical_id[-1]): state.instances[state.owners[uuid]].name
        for uuid, disk in state.disks.items()
        if disk.dev_type is Template.BLOCKDEV and uuid in state.owners
    }


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
    """Rename the volumes to the disks; this is undone if the block of ``undo`` fails.

    Devices have the names of their disks already.
    """
    for disk, wish in zip(disks, wishes, strict=True):
        if disk.dev_type is Template.BLOCKDEV:
            continue
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
