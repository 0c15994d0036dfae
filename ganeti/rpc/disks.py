# SPDX-License-Identifier: BSD-2-Clause
"""Calls about disks; the disk's ``dev_type`` selects the storage driver."""

from __future__ import annotations

from ganeti.model.disk import Disk
from ganeti.rpc.call import NO_TIMEOUT, NORMAL, URGENT, Call
from ganeti.schema.records import Record
from ganeti.schema.types import InstanceName, Integer, Line, MiB, Number


class CreateDisk(Call[None]):
    """Create a disk; ``owner`` is recorded if the storage supports it, such as in an LVM tag."""

    wire = "blockdev_create"
    call_timeout = NO_TIMEOUT

    disk: Disk
    owner: InstanceName
    primary: bool = True


class CheckDiskParameters(Call[None]):
    """Check that the node could create a disk with these parameters; nothing is created.

    Storage without such a check accepts all disks.
    """

    wire = "blockdev_check"
    call_timeout = NORMAL

    disk: Disk


class SetDiskOwner(Call[None]):
    """Record the instance of a disk with its volume; storage without such records does nothing."""

    wire = "blockdev_setinfo"
    call_timeout = NORMAL

    disk: Disk
    owner: InstanceName


class RemoveDisk(Call[None]):
    """Remove a disk and its data; removing a disk that does not exist succeeds."""

    wire = "blockdev_remove"
    call_timeout = NO_TIMEOUT

    disk: Disk


class AttachDisk(Call[str]):
    """Attach a disk and return its path; attaching an attached disk succeeds."""

    wire = "blockdev_assemble"
    call_timeout = NORMAL

    disk: Disk
    owner: InstanceName
    primary: bool
    ignore_size: bool = False


class DetachDisk(Call[None]):
    """Detach a disk; detaching a detached disk succeeds."""

    wire = "blockdev_shutdown"
    call_timeout = NORMAL

    disk: Disk


class GrowDiskCall(Call[None]):
    """Increase the size of a disk by ``amount`` MiB."""

    wire = "blockdev_grow"
    call_timeout = NO_TIMEOUT

    disk: Disk
    amount: MiB


class DiskStatus(Record, omit_defaults=True):
    """The status of a disk; ``local`` is ok, syncing, unknown or faulty; times in seconds."""

    path: str
    major: Integer | None = None
    minor: Integer | None = None
    size: Integer | None = None
    sync_percent: Number | None = None
    estimated_time: Integer | None = None
    degraded: bool = False
    local: str = "ok"


class DeviceReport(Record):
    """A block device: its path without links, its size in MiB, and whether the host uses it."""

    path: str
    size: Integer
    claimed: bool


class DescribeDevices(Call[dict[str, DeviceReport | None]]):
    """Return the devices at paths below the folder of devices to adopt; None for a missing one."""

    wire = "bdev_sizes"
    call_timeout = URGENT

    paths: tuple[Line, ...]


class DescribeDisks(Call[list[DiskStatus | None]]):
    """Return the status of disks in order; None for a disk that is not attached."""

    wire = "blockdev_getmirrorstatus"
    call_timeout = URGENT

    disks: tuple[Disk, ...]


class PromoteDisk(Call[None]):
    """Make this node's copy of a mirrored disk the primary one; ``both``: allow two primaries."""

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
    """Disconnect a mirrored disk from its peer; it stays usable."""

    wire = "drbd_disconnect_net"
    call_timeout = URGENT

    disk: Disk


class ConnectDisk(Call[None]):
    """Connect a mirrored disk to its peer again; ``both`` allows two primaries."""

    wire = "drbd_attach_net"
    call_timeout = URGENT

    disk: Disk
    both: bool = False


class DetachMirrorChildren(Call[None]):
    """Detach the local volumes from a mirrored disk, which then uses its peer's copy."""

    wire = "blockdev_removechildren"
    call_timeout = NORMAL

    disk: Disk


class AttachMirrorChildren(Call[None]):
    """Attach the volumes ``children`` to a mirrored disk, to be synced from its peer's copy."""

    wire = "blockdev_addchildren"
    call_timeout = NORMAL

    disk: Disk


class PauseResync(Call[None]):
    """Pause or resume the resync of a mirrored disk."""

    wire = "blockdev_pause_resume_sync"
    call_timeout = URGENT

    disk: Disk
    paused: bool


class RenameDisk(Call[None]):
    """Rename a volume or file to another ``logical_id``; its data are unchanged."""

    wire = "blockdev_rename"
    call_timeout = NO_TIMEOUT

    disk: Disk
    to: Disk


class SnapshotDisk(Call[Disk]):
    """Create a snapshot and return a disk that reads it; refused by storage without snapshots."""

    wire = "blockdev_snapshot"
    call_timeout = NO_TIMEOUT

    disk: Disk
    name: Line


class WipeDisk(Call[None]):
    """Overwrite a part of a disk with zeros; ``offset`` and ``size`` in MiB."""

    wire = "blockdev_wipe"
    call_timeout = NO_TIMEOUT
    ends_with_asker = True

    disk: Disk
    offset: MiB
    size: MiB
