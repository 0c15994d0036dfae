# SPDX-License-Identifier: BSD-2-Clause
"""The two ends of a mirrored disk: who is who depends on the node that looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.model.disk import Disk, Template
from ganeti.model.node import Node
from ganeti.schema.records import replace

ENDS = "ends"
"""The parameter of a mirrored disk that says where its nodes are; it is sent and not stored."""


@dataclass(frozen=True)
class MirrorEnds:
    """A mirrored disk's connection as one of its two nodes sees it."""

    local_ip: str
    remote_ip: str
    port: int
    local_minor: int
    remote_minor: int
    secret: str


def with_ends(disk: Disk, nodes: Mapping[str, Node]) -> Disk:
    """The disk as it is sent to nodes: a mirrored one with the names and addresses of its ends.

    It is the same for both nodes, as each knows its own name. Disks of other templates stay.
    """
    if disk.dev_type is not Template.DRBD:
        return disk
    first, second = (nodes[uuid] for uuid in disk.logical_id[:2])
    ends = [[node.name, node.secondary_ip] for node in (first, second)]
    return replace(disk, params={**(disk.params or {}), ENDS: ends})


def ends_of(disk: Disk, here: str) -> MirrorEnds:
    """The ends of a disk that came from ``with_ends`` as the node named ``here`` sees them.

    :raises Failed: the disk came without them, or is a disk of other nodes.
    """
    match (disk.params or {}).get(ENDS), disk.logical_id:
        case [[one, one_ip], [two, two_ip]], [_, _, port, one_minor, two_minor, secret]:
            sides = {one: (one_ip, one_minor), two: (two_ip, two_minor)}
        case _:
            raise Failed(f"mirrored disk {disk.uuid} came without its ends", Code.INTERNAL)
    if here not in sides or len(sides) != 2:
        raise Failed(
            f"mirrored disk {disk.uuid} is one of {' and '.join(map(str, sides))}, and this is"
            f" {here}",
            Code.INTERNAL,
        )
    local_ip, local_minor = sides.pop(here)
    [(remote_ip, remote_minor)] = sides.values()
    return MirrorEnds(local_ip, remote_ip, port, local_minor, remote_minor, secret)
