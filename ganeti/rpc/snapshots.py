# SPDX-License-Identifier: BSD-2-Clause
"""Calls about snapshots of all disks of a guest; names are those in the storage."""

from __future__ import annotations

from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.model.instance_snapshots import SavedMemory
from ganeti.rpc.call import NO_TIMEOUT, NORMAL, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Line


class SnapshotReport(Record, omit_defaults=True):
    """How a snapshot was created.

    ``running`` is whether the guest ran; ``frozen``, whether its agent had frozen its file systems.
    ``memory`` is what its memory needs, if that is part of the snapshot.
    """

    running: bool
    frozen: bool = False
    memory: SavedMemory | None = None


class CreateGuestSnapshot(Call[SnapshotReport], omit_defaults=True):
    """Create a snapshot of each disk, or of none; of a running guest at one instant.

    With ``memory``, it also has the memory of the guest, which must run.
    """

    wire = "instance_snapshot_create"
    call_timeout = NO_TIMEOUT

    guest: Guest
    name: Line
    memory: bool = False


class CheckSavedMemory(Call[str]):
    """Return why a node cannot load the memory of a guest; empty if it can."""

    wire = "instance_snapshot_check"
    call_timeout = NORMAL

    guest: Guest
    memory: SavedMemory


class LoadSavedMemory(Call[None]):
    """Let a guest that was started paused go on from a snapshot; if that fails, stop it."""

    wire = "instance_snapshot_load"
    call_timeout = NO_TIMEOUT

    guest: Guest
    name: Line
    memory: SavedMemory


class RevertGuest(Call[None]):
    """Revert all disks of a stopped guest; a refusal means that none has changed."""

    wire = "instance_snapshot_revert"
    call_timeout = NO_TIMEOUT

    guest: Guest
    name: Line


class RemoveGuestSnapshot(Call[None]):
    """Remove a snapshot from each disk that has it, whether the guest runs or not.

    The creation of one that is ``unfinished`` was interrupted.
    """

    wire = "instance_snapshot_remove"
    call_timeout = NO_TIMEOUT

    guest: Guest
    name: Line
    unfinished: bool = False


class ListDiskSnapshots(Call[dict[str, list[str]]]):
    """Return the names of the snapshots of disks, by the UUID of the disk.

    A disk that does not exist, or cannot be read, is left out.
    """

    wire = "blockdev_snapshot_list"
    call_timeout = NORMAL

    disks: tuple[Disk, ...]
