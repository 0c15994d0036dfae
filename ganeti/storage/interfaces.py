# SPDX-License-Identifier: BSD-2-Clause
"""The interfaces of storage on a node. ``providedBy`` tells which of them a driver implements.

All sizes are in MiB. ``Refused`` says what would make the request possible; ``Failed`` contains the
error message of the program that failed.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from zope.interface import Interface

from ganeti.model.disk import Disk


class LocalState(enum.StrEnum):
    """The state of this node's copy of a disk."""

    OK = "ok"
    SYNC = "syncing"
    UNKNOWN = "unknown"
    FAULTY = "faulty"


@dataclass(frozen=True, kw_only=True)
class VolumeStatus:
    """The status of a disk: ``path`` is empty while it is detached.

    ``degraded`` means that the loss of another component would lose data; ``estimated_time`` is the
    remaining time of a resync in seconds.
    """

    path: str
    major: int | None = None
    minor: int | None = None
    size: int | None = None
    sync_percent: float | None = None
    estimated_time: int | None = None
    degraded: bool = False
    local: LocalState = LocalState.OK


@dataclass(frozen=True, kw_only=True)
class Volume:
    """An existing volume, whether or not a disk of the cluster refers to it."""

    name: str
    size: int
    attached: bool = True
    opened: bool = False
    owner: str = ""


class IVolumes(Interface):
    """The disks of one template on this node, identified by their ``logical_id``."""

    async def create(disk: Disk, *, owner: str, primary: bool) -> None:
        """Create a disk of ``disk.size``; it is durable when this returns.

        ``owner`` is the name of the instance, which is stored if the storage supports it. On the
        ``primary`` node of a DRBD disk, the new disk is writable at once. If the creation fails,
        nothing remains.

        :raises Refused: if the name exists (the existing disk is not changed), or space is
            insufficient.
        """

    async def remove(disk: Disk) -> None:
        """Remove a disk, attached or not, and its data; succeed if it does not exist.

        :raises Refused: if it is in use.
        """

    async def grow(disk: Disk, amount: int) -> None:
        """Grow a disk by ``amount`` beyond ``disk.size``; do nothing if it is that large.

        So a repetition does not grow it twice. Data is kept. A DRBD disk is grown on its secondary
        node first; the guest sees the new size when both nodes have grown.

        :raises Refused: if space is insufficient, or the disk does not exist.
        """

    async def rename(disk: Disk, to: Disk) -> None:
        """Change the ``logical_id`` of a disk to that of ``to``; data is kept.

        :raises Refused: if the disk does not exist, or the new name exists.
        """

    async def attach(disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        """Attach a disk and return its path; attaching it again returns the same path.

        On the ``primary`` node of a DRBD disk it is made writable. ``ignore_size`` accepts a disk
        whose size differs from the configuration.

        :raises Refused: if the disk does not exist.
        """

    async def detach(disk: Disk) -> None:
        """Detach a disk; succeed if it is not attached.

        :raises Refused: if it is in use.
        """

    async def describe(disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        """Return the status of disks in their order, None for a missing one; changes nothing."""

    async def volumes() -> list[Volume]:
        """Return all volumes of this type on this node, sorted by name."""


class IHasRequirements(Interface):
    """Storage that has requirements on the node."""

    def obstacle() -> str:
        """Return why disks would not work on this node, and what to do; empty if they would."""


class IReportsShortages(Interface):
    """Storage that promises more space than it has, or that can run out of something else."""

    async def find_shortages() -> list[str]:
        """Return what is nearly full on this node, and what to do, one sentence each."""


class ISnapshots(Interface):
    """Storage that supports snapshots."""

    async def snapshot(disk: Disk, name: str) -> Disk:
        """Create a snapshot; return a disk that reads it, and that ``IVolumes.remove`` removes.

        :raises Refused: if space is insufficient, the disk does not exist, or the name exists.
        """


class INamedSnapshots(Interface):
    """Storage whose disks can have snapshots that stay, and to which their data can return.

    No guest may use the disk meanwhile, except for ``list_snapshots``. Names are unique for the
    disk, and are those of the cluster: letters, digits and hyphens.
    """

    async def create_snapshot(disk: Disk, name: str) -> None:
        """Create a snapshot durably; if this fails, nothing remains.

        :raises Refused: if space is insufficient, the disk does not exist or cannot have
            snapshots, or the name exists.
        """

    async def revert_to_snapshot(disk: Disk, name: str) -> None:
        """Give a disk the data and the size that it had; the snapshot stays.

        A repetition completes what was interrupted.

        :raises Refused: if the disk or the snapshot does not exist.
        """

    async def remove_snapshot(disk: Disk, name: str) -> None:
        """Remove a snapshot; succeed if it does not exist. The data of the disk stay."""

    async def list_snapshots(disk: Disk) -> list[str]:
        """Return the names of the snapshots of a disk.

        :raises Refused: if the disk does not exist.
        """


class ISharedAccess(Interface):
    """Volumes that every node can attach, and that a node opens before it uses them.

    ``IVolumes.attach`` on the primary node opens a volume for this node alone, ``detach`` closes
    it. A live migration opens it for both nodes.
    """

    async def open_volume(disk: Disk, *, exclusive: bool) -> None:
        """Open an attached volume for this node alone, or for several; again without effect."""


class IOwnerRecords(Interface):
    """Storage that records the instance of a volume, for a recovery without the configuration."""

    async def set_owner(disk: Disk, owner: str) -> None:
        """Record ``owner``, the name of an instance, with a volume.

        :raises Failed: it cannot be recorded, or the volume does not exist.
        """


class IChecksParameters(Interface):
    """Storage that checks the parameters of a disk before the disk is created."""

    async def check_parameters(disk: Disk) -> None:
        """Check that this node could create a disk with these parameters; change nothing.

        :raises Refused: it could not, with the reason.
        """


class IMirror(Interface):
    """Disks with a copy on a peer node."""

    async def promote(disk: Disk, *, both: bool = False) -> None:
        """Make this node primary; with ``both``, the peer may be primary, too.

        :raises Refused: if the peer is primary, or no current data is reachable.
        """

    async def demote(disk: Disk) -> None:
        """Make this node secondary; succeed if it is.

        :raises Refused: if the device is open.
        """

    async def disconnect(disk: Disk) -> None:
        """Disconnect this node's copy from its peer; it continues alone, and tracks its changes."""

    async def connect(disk: Disk, *, both: bool = False) -> None:
        """Connect to the peer and start a resync.

        ``both`` allows both nodes to be primary, as needed during a live migration.

        :raises Refused: if the disk is not attached, or both nodes are primary and ``both`` is
            false.
        """

    async def detach_children(disk: Disk) -> None:
        """Detach this node's copy; the disk continues with the peer's copy.

        :raises Refused: if the peer's copy is unreachable or outdated.
        """

    async def attach_children(disk: Disk) -> None:
        """Attach the volumes of ``disk.children`` as this node's copy, to be synced from the peer.

        Their data is lost. A copy that is attached already is kept.
        """

    async def pause(disk: Disk, *, paused: bool) -> None:
        """Pause or resume a resync; do nothing if there is none."""


@dataclass(frozen=True, kw_only=True)
class StorageUnit:
    """A storage unit: its size, and whether new disks may be created on it.

    A unit that is not ``healthy`` has lost a component. ``group`` is the volume group of a physical
    volume.
    """

    name: str
    size: int
    free: int
    used: int
    allocatable: bool = True
    group: str = ""
    healthy: bool = True


class IStorageUnits(Interface):
    """The storage units of one type on this node."""

    async def units() -> list[StorageUnit]:
        """Return all units, sorted by name."""

    async def unit(name: str) -> StorageUnit:
        """Return one unit.

        :raises Refused: if it does not exist.
        """

    async def set_allocatable(name: str, allocatable: bool) -> None:
        """Set whether new disks may be created on the unit; existing disks are kept.

        :raises Refused: if the unit does not exist, or its type does not support this.
        """

    async def repair(name: str) -> None:
        """Remove missing components, so that the rest can be used; do nothing if none are missing.

        :raises Refused: if the unit does not exist, its type cannot be repaired, or data would be
            lost.
        """
