# SPDX-License-Identifier: BSD-2-Clause
"""Calls about disks; the driver behind each follows from the disk's ``dev_type``."""

from __future__ import annotations

from ganeti.model.disk import Disk
from ganeti.rpc.call import NORMAL, URGENT, WHILE_ALIVE, Call
from ganeti.schema.records import Record
from ganeti.schema.types import InstanceName, Integer, Line, MiB, Number


class CreateDisk(Call[None]):
    """Make a disk; ``owner`` is noted where the storage can keep a note."""

    wire = "blockdev_create"
    call_timeout = WHILE_ALIVE

    disk: Disk
    owner: InstanceName
    primary: bool = True


class RemoveDisk(Call[None]):
    """Remove a disk with what is on it; removing one that is not there succeeds."""

    wire = "blockdev_remove"
    call_timeout = WHILE_ALIVE

    disk: Disk


class AttachDisk(Call[str]):
    """Make a disk usable and answer its path; attaching an attached one succeeds."""

    wire = "blockdev_assemble"
    call_timeout = NORMAL

    disk: Disk
    owner: InstanceName
    primary: bool
    ignore_size: bool = False


class DetachDisk(Call[None]):
    """The opposite of ``AttachDisk``; detaching a detached one succeeds."""

    wire = "blockdev_shutdown"
    call_timeout = NORMAL

    disk: Disk


class GrowDiskCall(Call[None]):
    """Make a disk larger by ``amount``."""

    wire = "blockdev_grow"
    call_timeout = WHILE_ALIVE

    disk: Disk
    amount: MiB


class DiskStatus(Record, omit_defaults=True):
    """What a node says of a disk. ``local`` is ok, syncing, unknown or faulty; times in seconds."""

    path: str
    major: Integer | None = None
    minor: Integer | None = None
    size: Integer | None = None
    sync_percent: Number | None = None
    estimated_time: Integer | None = None
    degraded: bool = False
    local: str = "ok"


class DescribeDisks(Call[list[DiskStatus | None]]):
    """The status of disks in their order; None for one that is not there."""

    wire = "blockdev_getmirrorstatus"
    call_timeout = URGENT

    disks: tuple[Disk, ...]


class PromoteDisk(Call[None]):
    """Make this node's copy of a mirrored disk the writable one."""

    wire = "blockdev_open"
    call_timeout = URGENT

    disk: Disk
    both: bool = False


class DemoteDisk(Call[None]):
    """Make this node's copy of a mirrored disk a secondary one."""

    wire = "blockdev_close"
    call_timeout = URGENT

    disk: Disk


class DisconnectDisk(Call[None]):
    """Cut a mirrored disk off its peer; it goes on alone."""

    wire = "drbd_disconnect_net"
    call_timeout = URGENT

    disk: Disk


class ConnectDisk(Call[None]):
    """Connect a mirrored disk to its peer again; ``both`` lets both sides write."""

    wire = "drbd_attach_net"
    call_timeout = URGENT

    disk: Disk
    both: bool = False


class DropCopy(Call[None]):
    """Stop using this node's copy of a mirrored disk, which goes on with its peer's."""

    wire = "blockdev_removechildren"
    call_timeout = NORMAL

    disk: Disk


class TakeCopy(Call[None]):
    """Use the disk's ``children`` as this node's copy of it, to be filled from its peer's."""

    wire = "blockdev_addchildren"
    call_timeout = NORMAL

    disk: Disk


class PauseResync(Call[None]):
    """Hold the resync of a mirrored disk, or let it go on."""

    wire = "blockdev_pause_resume_sync"
    call_timeout = URGENT

    disk: Disk
    paused: bool


class RenameDisk(Call[None]):
    """Move a volume to another ``logical_id``; its content stays."""

    wire = "blockdev_rename"
    call_timeout = WHILE_ALIVE

    disk: Disk
    to: Disk


class SnapshotDisk(Call[Disk]):
    """Make a snapshot and answer a disk that reads it; for storage without snapshots, refuse."""

    wire = "blockdev_snapshot"
    call_timeout = WHILE_ALIVE

    disk: Disk
    name: Line


class WipeDisk(Call[None]):
    """Overwrite a part of a disk with zeros; ``offset`` and ``size`` in MiB."""

    wire = "blockdev_wipe"
    call_timeout = WHILE_ALIVE
    ends_with_asker = True

    disk: Disk
    offset: MiB
    size: MiB
