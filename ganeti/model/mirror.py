# SPDX-License-Identifier: BSD-2-Clause
"""The local and remote end of a mirrored disk, from the view of one of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.model.disk import Disk, Template
from ganeti.model.node import Node
from ganeti.schema.records import replace

ENDS = "ends"
"""The disk parameter with the names and addresses of both nodes; it is sent, never stored."""


@dataclass(frozen=True)
class MirrorEnds:
    """The connection of a mirrored disk from the view of one of its two nodes."""

    local_ip: str
    remote_ip: str
    port: int
    local_minor: int
    remote_minor: int
    secret: str


def add_ends(disk: Disk, nodes: Mapping[str, Node]) -> Disk:
    """Return the disk as it is sent to nodes: with names and addresses of its ends if mirrored.

    Both nodes get the same value, as each knows its own name. Disks of other templates are returned
    unchanged.
    """
    if disk.dev_type is not Template.DRBD:
        return disk
    first, second = (nodes[uuid] for uuid in disk.logical_id[:2])
    ends = [[node.name, node.secondary_ip] for node in (first, second)]
    return replace(disk, params={**(disk.params or {}), ENDS: ends})


def resolve_ends(disk: Disk, here: str) -> MirrorEnds:
    """Return the ends of a disk from ``add_ends``, from the view of the node named ``here``.

    :raises Failed: the disk has no ends, or node ``here`` is not one of them.
    """
    match (disk.params or {}).get(ENDS), disk.logical_id:
        case [[one, one_ip], [two, two_ip]], [_, _, port, one_minor, two_minor, secret]:
            sides = {one: (one_ip, one_minor), two: (two_ip, two_minor)}
        case _:
            raise Failed(f"mirrored disk {disk.uuid} has no node addresses", Code.INTERNAL)
    if here not in sides or len(sides) != 2:
        raise Failed(
            f"mirrored disk {disk.uuid} belongs to {' and '.join(map(str, sides))}, not to {here}",
            Code.INTERNAL,
        )
    local_ip, local_minor = sides.pop(here)
    [(remote_ip, remote_minor)] = sides.values()
    return MirrorEnds(local_ip, remote_ip, port, local_minor, remote_minor, secret)
