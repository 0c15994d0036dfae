# SPDX-License-Identifier: BSD-2-Clause
"""The driver of disks on logical volumes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import OVERCOMMIT, Disk, get_pool
from ganeti.model.instance_snapshots import STORED_PREFIX, get_snapshot_volume
from ganeti.schema.records import replace
from ganeti.storage.interfaces import (
    INamedSnapshots,
    IReportsShortages,
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


SHORTAGE = 80.0
"""The percentage of a thin pool's data or metadata from which on it is reported."""


@implementer(IVolumes, ISnapshots, INamedSnapshots, IReportsShortages)
class LogicalVolumes:
    """Disks whose ``logical_id`` is ``[volume group, volume]``.

    A disk with the parameter ``pool`` is created in that thin pool of the group. Whether a volume
    is in one, lvm2 knows.

    Snapshots that stay are volumes, named by that of the disk. Outside of thin pools, LVM
    activates, deactivates and removes them together with it, and each has the space for all data of
    the disk, so that it never becomes invalid.
    """

    def __init__(self, lvm: Lvm, images: IImages) -> None:
        self._lvm = lvm
        self._images = images

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        group, name = _volume_id(disk)
        # Create it inactive; attaching activates it. So nothing is in the kernel until then, and
        # there is nothing to zero or to wipe signatures from.
        if get_pool(disk):
            await self._require_room(disk, group, get_pool(disk), disk.size)
        await self._lvm.run("lvcreate", *create_arguments(disk, group, name, owner))

    async def remove(self, disk: Disk) -> None:
        thin = await self._list_thin_snapshots(disk)
        try:
            # Without -f, lvremove asks for confirmation, and there is no terminal.
            await self._lvm.run("lvremove", "-f", *thin, _full_name(disk))
        except Refused as e:
            if e.code is not Code.UNKNOWN:
                raise

    async def grow(self, disk: Disk, amount: int) -> None:
        found = await self._require_volume(disk)
        # lvextend fails if nothing would change, as in a repetition, or after rounding up to whole
        # extents.
        if (lacks := disk.size + amount - found.size) > 0:
            if found.pool:
                await self._require_room(disk, found.group, found.pool, lacks)
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
            if each.thin is None
        ]
        return sorted(listed, key=lambda each: each.name)

    async def snapshot(self, disk: Disk, name: str) -> Disk:
        # The actual size: a volume may be larger than recorded, and its copy covers all of it.
        found = await self._require_volume(disk)
        taken = replace(disk, logical_id=(_volume_id(disk)[0], name), size=found.size)
        # Before the name is used: it comes from a caller, and must be no option of lvcreate.
        _volume_id(taken)
        # A snapshot becomes invalid when it is full, so it gets as much space as its origin.
        await self._create_snapshot(disk, found, name, "-L", f"{found.size}m")
        return taken

    async def _create_snapshot(
        self, disk: Disk, found: LogicalVolume, name: str, *size: str
    ) -> None:
        if found.pool:
            # Each block that changes takes space of the pool, so a snapshot counts as a whole.
            await self._require_room(disk, found.group, found.pool, found.size)
            # Otherwise it would be activated only if it were told twice (lvmthin(7)).
            size = ("-k", "n")
        # Not with -W or -Z, which lvcreate rejects for snapshots.
        await self._lvm.run("lvcreate", "--yes", "-s", *size, "-n", name, _full_name(disk))

    async def create_snapshot(self, disk: Disk, name: str) -> None:
        found = await self._require_volume(disk)
        # With the overhead of a snapshot in which everything has changed, see lvcreate(8).
        await self._create_snapshot(disk, found, _snapshot_name(disk, name), "-l", "100%ORIGIN")

    async def revert_to_snapshot(self, disk: Disk, name: str) -> None:
        found = await self._require_volume(disk)
        if name not in await self.list_snapshots(disk):
            raise Refused(f"volume {_full_name(disk)} has no snapshot {name}", Code.UNKNOWN)
        if found.opened:
            raise Refused(f"volume {_full_name(disk)} is in use", Code.STATE)
        # Merging (lvconvert --merge) would remove the snapshot.
        await self._activate(disk, "y")
        try:
            # Outside of a thin pool, it is active already.
            await self._activate(_snapshot_disk(disk, name), "y")
            source = f"/dev/{_full_name(_snapshot_disk(disk, name))}"
            await self._images.copy_differences(source, found.path)
        except OSError as e:
            raise Failed(
                f"volume {_full_name(disk)} cannot be reverted: {e.strerror or e}", Code.ENVIRONMENT
            ) from None
        finally:
            if found.pool:
                await self.detach(_snapshot_disk(disk, name))
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

    async def find_shortages(self) -> list[str]:
        found = []
        for each in await self._lvm.volumes():
            if each.thin is None:
                continue
            pool = f"{each.group}/{each.name}"
            if each.thin.data is not None and each.thin.data >= SHORTAGE:
                found.append(
                    f"{each.thin.data:.0f} % of thin pool {pool} are used, and guests that write"
                    f" stop when it is full: lvextend -L +SIZE {pool}"
                )
            if each.thin.metadata is not None and each.thin.metadata >= SHORTAGE:
                found.append(
                    f"{each.thin.metadata:.0f} % of the metadata of thin pool {pool} are used, and"
                    f" guests that write stop when they are full: lvextend --poolmetadatasize +SIZE"
                    f" {pool}"
                )
        return found

    async def _require_room(self, disk: Disk, group: str, name: str, amount: int) -> None:
        """Refuse ``amount`` MiB more in a thin pool that would then have promised too much.

        This is no reservation: of two that are created at once, both may be the last that fits.
        """
        there = [each for each in await self._lvm.volumes() if each.group == group]
        pool = next((each for each in there if each.name == name), None)
        if pool is None or pool.thin is None:
            raise Refused(
                f"volume group {group} has no thin pool {name}; create it on this node (lvcreate"
                f" --type thin-pool -L SIZE -n {name} {group}), or name another one",
                Code.RESOURCES,
            )
        if not pool.thin.zeroes:
            raise Refused(
                f"thin pool {group}/{name} does not zero blocks before volumes get them, so a guest"
                f" could read what another has written: lvchange -Z y {group}/{name}",
                Code.STATE,
            )
        ratio = float((disk.params or {}).get(OVERCOMMIT, 1.0))
        promised = sum(each.size for each in there if each.pool == name)
        if promised + amount > pool.size * ratio:
            raise Refused(
                f"thin pool {group}/{name} has {pool.size} MiB, its volumes and snapshots may take"
                f" {promised} MiB, and {amount} MiB more are over {ratio:g} times its size; extend"
                f" the pool (lvextend -L +SIZE {group}/{name}), or raise the ratio: gnt-cluster"
                f" modify -D plain:{OVERCOMMIT}=RATIO",
                Code.RESOURCES,
            )

    async def _list_thin_snapshots(self, disk: Disk) -> list[str]:
        """Return the full names of a volume's snapshots that lvm2 does not remove with it."""
        group = _volume_id(disk)[0]
        start = _snapshot_name(disk, STORED_PREFIX)
        return [
            f"{group}/{each.name}"
            for each in await self._lvm.volumes()
            if each.group == group and each.pool and each.name.startswith(start)
        ]

    async def _require_volume(self, disk: Disk) -> LogicalVolume:
        for each in await self._lvm.volumes():
            if (each.group, each.name) == _volume_id(disk):
                return each
        raise lost(disk, f"volume {_full_name(disk)}")


def create_arguments(disk: Disk, group: str, name: str, owner: str) -> tuple[str, ...]:
    """Return the arguments of ``lvcreate`` for a disk, in a thin pool or striped if configured."""
    tag = ("--addtag", OWNER_TAG + _NO_TAG.sub("_", owner)) if owner else ()
    if pool := get_pool(disk):
        if not _NAME.fullmatch(pool):
            raise Failed(f"{pool!r} is not the name of a thin pool", Code.INPUT)
        thin = ("--yes", "-a", "n", "-V", f"{disk.size}m", "--thinpool", pool)
        return (*thin, *tag, "-n", name, group)
    stripes = int((disk.params or {}).get("stripes", 1))
    striped = ("-i", str(stripes)) if stripes > 1 else ()
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
