# SPDX-License-Identifier: BSD-2-Clause
"""The driver of disks on logical volumes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.instance_snapshots import STORED_PREFIX, get_snapshot_volume
from ganeti.schema.records import replace
from ganeti.storage.interfaces import (
    INamedSnapshots,
    ISnapshots,
    IVolumes,
    LocalState,
    Volume,
    VolumeStatus,
)
from ganeti.storage.loss import lost
from ganeti.storage.lvm.lvm_commands import Lvm
from ganeti.storage.lvm.reports import OWNER_TAG, LogicalVolume
from ganeti.system.interfaces import IImages

# No hyphen first: lvm2 forbids it, and would take such a name for an option.
_NAME = re.compile(r"[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]*")
# A tag takes fewer characters than other names; see lvm(8).
_NO_TAG = re.compile(r"[^a-zA-Z0-9+_.:/=!&#-]")


@implementer(IVolumes, ISnapshots, INamedSnapshots)
class LogicalVolumes:
    """Disks whose ``logical_id`` is ``[volume group, volume]``.

    Snapshots that stay are volumes, named by that of the disk. LVM activates, deactivates and
    removes them together with it. Each has the space for all data of the disk, so that it never
    becomes invalid.
    """

    def __init__(self, lvm: Lvm, images: IImages) -> None:
        self._lvm = lvm
        self._images = images

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        group, name = _volume_id(disk)
        # Create it inactive; attaching activates it. So nothing is in the kernel until then, and
        # there is nothing to zero or to wipe signatures from.
        await self._lvm.run("lvcreate", *create_arguments(disk, group, name, owner))

    async def remove(self, disk: Disk) -> None:
        try:
            # Without -f, lvremove asks for confirmation, and there is no terminal.
            await self._lvm.run("lvremove", "-f", _full_name(disk))
        except Refused as e:
            if e.code is not Code.UNKNOWN:
                raise

    async def grow(self, disk: Disk, amount: int) -> None:
        found = await self._require_volume(disk)
        # lvextend fails if nothing would change, as in a repetition, or after rounding up to whole
        # extents.
        if found.size < disk.size + amount:
            await self._lvm.run("lvextend", "-L", f"{disk.size + amount}m", _full_name(disk))

    async def rename(self, disk: Disk, to: Disk) -> None:
        (group, name), (new_group, new_name) = _volume_id(disk), _volume_id(to)
        if group != new_group:
            raise Refused(
                f"volume {name} cannot be renamed from volume group {group} to {new_group}; copy"
                " it instead",
                Code.INPUT,
            )
        await self._lvm.run("lvrename", group, name, new_name)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        try:
            await self._activate(disk, "y")
        except Refused as e:
            if e.code is not Code.UNKNOWN:
                raise
            raise lost(disk, f"volume {_full_name(disk)}") from e
        return f"/dev/{_full_name(disk)}"

    async def detach(self, disk: Disk) -> None:
        try:
            await self._activate(disk, "n")
        except Refused as e:
            if e.code is not Code.UNKNOWN:
                raise

    async def _activate(self, disk: Disk, active: str) -> None:
        # Without --yes, lvchange asks for confirmation if the origin has other snapshots, as they
        # change together; there is no terminal.
        await self._lvm.run("lvchange", "--yes", "-a", active, _full_name(disk))

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        there = {(each.group, each.name): each for each in await self._lvm.volumes()}
        return [_to_status(there.get(_volume_id(disk))) for disk in disks]

    async def volumes(self) -> list[Volume]:
        listed = [
            Volume(
                name=f"{each.group}/{each.name}",
                size=each.size,
                attached=each.active,
                opened=each.opened,
                owner=each.owner,
            )
            for each in await self._lvm.volumes()
        ]
        return sorted(listed, key=lambda each: each.name)

    async def snapshot(self, disk: Disk, name: str) -> Disk:
        # The actual size: a volume may be larger than recorded, and its copy covers all of it.
        size = (await self._require_volume(disk)).size
        taken = replace(disk, logical_id=(_volume_id(disk)[0], name), size=size)
        # Before the name is used: it comes from a caller, and must be no option of lvcreate.
        _volume_id(taken)
        # A snapshot becomes invalid when it is full, so it gets as much space as its origin.
        await self._create_snapshot(disk, name, "-L", f"{size}m")
        return taken

    async def _create_snapshot(self, disk: Disk, name: str, *size: str) -> None:
        # Not with -W or -Z, which lvcreate rejects for snapshots.
        await self._lvm.run("lvcreate", "--yes", "-s", *size, "-n", name, _full_name(disk))

    async def create_snapshot(self, disk: Disk, name: str) -> None:
        await self._require_volume(disk)
        # With the overhead of a snapshot in which everything has changed, see lvcreate(8).
        await self._create_snapshot(disk, _snapshot_name(disk, name), "-l", "100%ORIGIN")

    async def revert_to_snapshot(self, disk: Disk, name: str) -> None:
        found = await self._require_volume(disk)
        if name not in await self.list_snapshots(disk):
            raise Refused(f"volume {_full_name(disk)} has no snapshot {name}", Code.UNKNOWN)
        if found.opened:
            raise Refused(f"volume {_full_name(disk)} is in use", Code.STATE)
        # Activates the snapshot, too. Merging (lvconvert --merge) would remove it.
        await self._activate(disk, "y")
        try:
            source = f"/dev/{_full_name(_snapshot_disk(disk, name))}"
            await self._images.copy_differences(source, found.path)
        except OSError as e:
            raise Failed(
                f"volume {_full_name(disk)} cannot be reverted: {e.strerror or e}", Code.ENVIRONMENT
            ) from None
        finally:
            if not found.active:
                await self.detach(disk)

    async def remove_snapshot(self, disk: Disk, name: str) -> None:
        await self.remove(_snapshot_disk(disk, name))

    async def list_snapshots(self, disk: Disk) -> list[str]:
        await self._require_volume(disk)
        group, volume = _volume_id(disk)
        start = _snapshot_name(disk, STORED_PREFIX)
        # In the order of lvs, which is that of names: they have no other.
        return [
            each.name.removeprefix(f"{volume}.")
            for each in await self._lvm.volumes()
            if each.group == group and each.name.startswith(start)
        ]

    async def _require_volume(self, disk: Disk) -> LogicalVolume:
        for each in await self._lvm.volumes():
            if (each.group, each.name) == _volume_id(disk):
                return each
        raise lost(disk, f"volume {_full_name(disk)}")


def create_arguments(disk: Disk, group: str, name: str, owner: str) -> tuple[str, ...]:
    """Return the arguments of ``lvcreate`` for a disk, with striping if configured."""
    stripes = int((disk.params or {}).get("stripes", 1))
    striped = ("-i", str(stripes)) if stripes > 1 else ()
    tag = ("--addtag", OWNER_TAG + _NO_TAG.sub("_", owner)) if owner else ()
    inactive = ("--yes", "-W", "n", "-Z", "n", "-a", "n")
    return (*inactive, "-L", f"{disk.size}m", *striped, *tag, "-n", name, group)


def _volume_id(disk: Disk) -> tuple[str, str]:
    match disk.logical_id:
        case (str(group), str(name)) if _NAME.fullmatch(group) and _NAME.fullmatch(name):
            return group, name
    raise Failed(f"{disk.logical_id!r} is not a pair of volume group and volume", Code.INPUT)


def _snapshot_disk(disk: Disk, name: str) -> Disk:
    return replace(disk, logical_id=get_snapshot_volume(disk, name))


def _snapshot_name(disk: Disk, name: str) -> str:
    return get_snapshot_volume(disk, name)[1]


def _full_name(disk: Disk) -> str:
    return "/".join(_volume_id(disk))


def _to_status(found: LogicalVolume | None) -> VolumeStatus | None:
    if found is None:
        return None
    return VolumeStatus(
        # The path of an inactive volume does not exist.
        path=found.path if found.active else "",
        major=found.major,
        minor=found.minor,
        size=found.size,
        degraded=found.partial,
        local=LocalState.FAULTY if found.partial else LocalState.OK,
    )
