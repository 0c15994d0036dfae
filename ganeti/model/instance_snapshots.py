# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of instances: which there are, and which disks can have them.

``config.data`` has no place for these records, so they are in ``access.json``.
"""

from __future__ import annotations

import enum

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk, DiskFormat, Template, get_format
from ganeti.model.running import RunningConfig
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Number

MAX_SNAPSHOTS = 32
"""Snapshots of an instance: each costs QEMU a table in memory, and time when a disk is opened."""

WITH_SNAPSHOTS = "disks of the template plain, and of file and sharedfile with format=qcow2,"
"""Which disks can have snapshots, for messages."""


class SnapshotState(enum.StrEnum):
    """How much of a snapshot there is: only one that is ready can be reverted to.

    While a snapshot is created or removed, and after that was interrupted, some disks may have it.
    """

    CREATING = "creating"
    READY = "ready"
    REMOVING = "removing"


class DiskSnapshot(Record):
    """A disk of a snapshot, with its UUID and its size in MiB at that time."""

    uuid: Line
    size: Integer


class SavedMemory(Record):
    """What a virtual machine must be like that loads the memory in a snapshot.

    ``running`` is the configuration that the guest was started with; ``cpu`` is the processor of
    its node, if the guest depends on it.
    """

    running: RunningConfig
    cpu: Line = ""


class Snapshot(Record, omit_defaults=True):
    """A snapshot of the disks of an instance; ``ctime`` in seconds since the epoch.

    ``name`` is unique for the instance, ``uuid`` is part of its name in the storage. ``running``
    is whether the guest ran; if the guest agent had written and stopped its file systems,
    it is ``frozen``. With ``memory``, the guest can go on from there.
    """

    name: Line
    uuid: Line
    ctime: Number
    disks: tuple[DiskSnapshot, ...]
    state: SnapshotState = SnapshotState.CREATING
    running: bool = False
    frozen: bool = False
    memory: SavedMemory | None = None

    @property
    def stored_name(self) -> str:
        """Its name in the storage: never a number, which would mean a position there."""
        return f"{STORED_PREFIX}{self.uuid}"


STORED_PREFIX = "gnt-"
"""What all names in the storage begin with."""


class InstanceSnapshots(Record):
    """The snapshots of an instance, the oldest first; ``uuid`` is the instance's.

    ``reverting`` is the UUID of the snapshot that its disks are being reverted to. After an
    interruption, some disks may be reverted and others not, so that it must not start.
    """

    uuid: Line
    snapshots: tuple[Snapshot, ...] = ()
    reverting: Line = ""


def can_have_snapshots(disk: Disk) -> bool:
    """Return whether the storage of a disk has snapshots that stay."""
    return disk.dev_type is Template.PLAIN or get_format(disk) is DiskFormat.QCOW2


def has_inner_snapshots(disk: Disk) -> bool:
    """Return whether snapshots are inside of the image, which a running guest has open."""
    return get_format(disk) is DiskFormat.QCOW2


def get_snapshot_volume(disk: Disk, stored_name: str) -> tuple[str, str]:
    """Return the volume group and the volume of a snapshot of a logical volume."""
    group, volume = disk.logical_id
    return str(group), f"{volume}.{stored_name}"


def no_snapshots(disk: Disk) -> Refused:
    """Return the refusal for a disk that cannot have snapshots."""
    what = f"{disk.iv_name or disk.uuid} ({disk.dev_type.value})"
    return Refused(
        f"{what} cannot have snapshots; {WITH_SNAPSHOTS} can. To keep a copy of its data:"
        " gnt-backup export",
        Code.INPUT,
    )
