# SPDX-License-Identifier: BSD-2-Clause
"""What storage does for a node. A driver says by ``providedBy`` which of these it can.

All sizes are MiB. A refusal says what would make the request possible; ``Failed`` carries the
words of the program that did not do what it was asked.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from zope.interface import Interface

from ganeti.model.disk import Disk


class LocalHost(enum.StrEnum):
    """The state of this node's copy of a disk."""

    OK = "ok"
    SYNC = "syncing"
    UNKNOWN = "unknown"
    FAULTY = "faulty"


@dataclass(frozen=True, kw_only=True)
class VolumeStatus:
    """What is known of a disk: ``path`` is empty while it is detached.

    ``degraded`` means that the loss of one more part would lose data; ``estimated_time`` is the
    rest of a resync in seconds.
    """

    path: str
    major: int | None = None
    minor: int | None = None
    size: int | None = None
    sync_percent: float | None = None
    estimated_time: int | None = None
    degraded: bool = False
    local: LocalHost = LocalHost.OK


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume that is there, whether or not a disk of the cluster refers to it."""

    name: str
    size: int
    attached: bool = True
    opened: bool = False
    owner: str = ""


class IVolumes(Interface):
    """The disks of one template on this node; they are found by their ``logical_id``."""

    async def create(disk: Disk, *, owner: str, primary: bool) -> None:
        """Make a disk of ``disk.size``; it survives a crash when this returns.

        ``owner`` is the instance's name, noted where the storage can keep a note. On the
        ``primary`` node of a mirrored disk the new disk can be written at once. Nothing is left
        of a disk that could not be made.

        :raises Refused: there is something of that name (it is left as it is), or no room.
        """

    async def remove(disk: Disk) -> None:
        """Remove a disk, attached or not, and what is on it; one that is not there is removed.

        :raises Refused: it is in use.
        """

    async def grow(disk: Disk, amount: int) -> None:
        """Make a disk ``amount`` larger than ``disk.size``; one that is that large stays.

        So a repetition does not grow it twice. What is on the disk stays. A mirrored disk grows
        on its secondary node first; it is larger for its guest when it has grown on both.

        :raises Refused: no room, or there is no such disk.
        """

    async def rename(disk: Disk, to: Disk) -> None:
        """Give a disk the ``logical_id`` of ``to``; its content stays.

        :raises Refused: there is no such disk, or something is there already.
        """

    async def attach(disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        """Make a disk usable and answer its path; attaching an attached disk answers the same.

        On the ``primary`` node of a mirrored disk it can be written. ``ignore_size`` accepts
        a disk whose size is not what the configuration says.

        :raises Refused: there is no such disk.
        """

    async def detach(disk: Disk) -> None:
        """The opposite of ``attach``; detaching a disk that is not attached succeeds.

        :raises Refused: it is in use.
        """

    async def describe(disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        """The status of disks in their order, None for one that is not there; changes nothing."""

    async def volumes() -> list[Volume]:
        """All volumes of this kind on this node, sorted by name."""


class IDemanding(Interface):
    """Storage that needs something of the node that may not be there."""

    def obstacle() -> str:
        """Why its disks would not work here, and what to do; empty if they will."""


class ISnapshots(Interface):
    """Storage that can hold on to the content of a disk while it goes on changing."""

    async def snapshot(disk: Disk, name: str) -> Disk:
        """Make a snapshot and answer a disk that reads it; ``IVolumes.remove`` takes it.

        :raises Refused: no room, no such disk, or something of that name is there.
        """


class IMirror(Interface):
    """Disks of which a peer node has the same copy."""

    async def promote(disk: Disk, *, both: bool = False) -> None:
        """Make this node's copy writable; with ``both`` the peer's may be at the same time.

        :raises Refused: the peer's copy is writable, or there is no current data to be reached.
        """

    async def demote(disk: Disk) -> None:
        """Make this node's copy read only for its peer's sake; demoting a secondary succeeds.

        :raises Refused: somebody holds it open.
        """

    async def disconnect(disk: Disk) -> None:
        """Cut this node's copy off its peer; it goes on alone, and notes what changes."""

    async def connect(disk: Disk, *, both: bool = False) -> None:
        """Connect to the peer again and begin to make the copies the same.

        ``both`` lets both sides write, as a live migration needs for a moment.

        :raises Refused: the disk is not attached, or both sides write and only one shall.
        """

    async def drop(disk: Disk) -> None:
        """Stop using this node's copy; the disk goes on with its peer's.

        :raises Refused: the peer's copy cannot be reached, or is not current.
        """

    async def take(disk: Disk) -> None:
        """Use the volumes of ``disk.children`` as this node's copy, filled from the peer's.

        What was on them is lost. A copy that is in use already stays as it is.
        """

    async def pause(disk: Disk, *, paused: bool) -> None:
        """Hold a resync, or let it go on; without a resync this does nothing."""


@dataclass(frozen=True, kw_only=True)
class StorageUnit:
    """A place that disks are made in: how large it is, and whether new ones may be made there.

    One that is not ``healthy`` has lost a part of itself. ``group`` is the volume group that
    a physical volume belongs to.
    """

    name: str
    size: int
    free: int
    used: int
    allocatable: bool = True
    group: str = ""
    healthy: bool = True


class IUnits(Interface):
    """The storage units of one kind on this node, as an administrator looks after them."""

    async def units() -> list[StorageUnit]:
        """All of them, sorted by name."""

    async def unit(name: str) -> StorageUnit:
        """One of them.

        :raises Refused: there is none of that name.
        """

    async def set_allocatable(name: str, allocatable: bool) -> None:
        """Say whether new disks may be made there; those that are there stay.

        :raises Refused: there is none of that name, or this kind has no such thing.
        """

    async def repair(name: str) -> None:
        """Take out what is missing, so that the rest can be used again; needing none succeeds.

        :raises Refused: there is none of that name, this kind cannot be repaired, or data would
            be lost.
        """
