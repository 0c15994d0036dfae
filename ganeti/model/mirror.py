# SPDX-License-Identifier: BSD-2-Clause
"""The two ends of a mirrored disk: who is who depends on the node that looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.model.disk import Disk, Template
from ganeti.schema.records import replace

LOCAL_IP, REMOTE_IP, PORT = "local-ip", "remote-ip", "port"
LOCAL_MINOR, REMOTE_MINOR = "local-minor", "remote-minor"


@dataclass(frozen=True)
class Ends:
    """A mirrored disk's connection as one of its two nodes sees it."""

    local_ip: str
    remote_ip: str
    port: int
    local_minor: int
    remote_minor: int
    secret: str


def seen_from(disk: Disk, node: str, addresses: Mapping[str, str]) -> Disk:
    """The disk as it is sent to ``node``: a mirrored one with its ends as parameters.

    ``addresses`` are the nodes' secondary addresses by UUID, as ``node`` is a UUID too. Disks of
    other templates are the same for everybody.
    """
    if disk.dev_type is not Template.DRBD:
        return disk
    first, second, port, first_minor, second_minor, _ = disk.logical_id
    sides = [(first, first_minor), (second, second_minor)]
    (here, minor), (there, other) = sides if node == first else reversed(sides)
    ends = {
        LOCAL_IP: addresses[here],
        REMOTE_IP: addresses[there],
        PORT: port,
        LOCAL_MINOR: minor,
        REMOTE_MINOR: other,
    }
    return replace(disk, params={**(disk.params or {}), **ends})


def ends_of(disk: Disk) -> Ends:
    """The ends that ``seen_from`` has put in.

    :raises Failed: the disk was sent without them.
    """
    params = disk.params or {}
    if missing := [name for name in (LOCAL_IP, REMOTE_IP, PORT, LOCAL_MINOR) if name not in params]:
        raise Failed(
            f"mirrored disk {disk.uuid} came to this node without {', '.join(missing)}",
            Code.INTERNAL,
        )
    return Ends(
        local_ip=str(params[LOCAL_IP]),
        remote_ip=str(params[REMOTE_IP]),
        port=int(params[PORT]),
        local_minor=int(params[LOCAL_MINOR]),
        remote_minor=int(params.get(REMOTE_MINOR, 0)),
        secret=str(disk.logical_id[5]),
    )
