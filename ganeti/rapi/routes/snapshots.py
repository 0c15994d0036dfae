# SPDX-License-Identifier: BSD-2-Clause
"""The resources about snapshots of an instance's disks."""

from __future__ import annotations

from typing import TypedDict

from ganeti.errors import Code, Refused
from ganeti.luxi.methods import QueryInstances
from ganeti.opcodes.instance.snapshots import CreateSnapshot, RemoveSnapshot, RevertInstance
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, asks, submits, unknown


class SnapshotDiskRow(TypedDict):
    """A disk of a snapshot, with its size in MiB at that time."""

    uuid: str
    size: int


class SnapshotRow(TypedDict):
    """A snapshot; ``ctime`` in seconds since the epoch.

    ``state`` is ready; or creating or removing, also after an interruption. ``running`` is whether
    the guest ran, ``frozen``, whether its agent had frozen its file systems, ``memory``, whether it
    can go on from there. ``reverting`` is whether a revert to it has begun and not ended.
    """

    name: str
    uuid: str
    ctime: float
    state: str
    running: bool
    frozen: bool
    memory: bool
    reverting: bool
    disks: list[SnapshotDiskRow]


async def _list(call: ApiCall, _: object, __: object) -> object:
    """Return the snapshots of an instance, the oldest first."""
    return await _query(call)


async def _show(call: ApiCall, _: object, __: object) -> object:
    """Return a snapshot of an instance."""
    name = call.path["snapshot_name"]
    for each in await _query(call):
        if each["name"] == name:
            return each
    raise Refused(f"instance {call.path['instance_name']} has no snapshot {name}", Code.UNKNOWN)


async def _query(call: ApiCall) -> list[SnapshotRow]:
    name = call.path["instance_name"]
    rows = await call.master.ask(QueryInstances(names=(name,), fields=("snapshots",)))
    if not rows:
        raise unknown("instance", name)
    found: list[SnapshotRow] = rows[0][0]
    return found


_ALL = "/2/instances/{instance_name}/snapshots"
_ONE = _ALL + "/{snapshot_name}"

ROUTES = (
    Route(
        _ALL,
        {
            "GET": asks(_list, access=AccessLevel.OPEN, result=list[SnapshotRow]),
            "POST": submits(CreateSnapshot, renames={"name": "snapshot_name"}),
        },
    ),
    Route(
        _ONE,
        {
            "GET": asks(_show, access=AccessLevel.OPEN, result=SnapshotRow),
            "DELETE": submits(RemoveSnapshot),
        },
    ),
    Route(_ONE + "/revert", {"PUT": submits(RevertInstance)}),
)
