# SPDX-License-Identifier: BSD-2-Clause
"""The driver of simulated logical volumes, which are plain files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from zope.interface import implementer

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk, get_pool
from ganeti.schema.records import replace
from ganeti.storage.file import FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IVolumes, Volume, VolumeStatus
from ganeti.storage.pretend.devices import VOLUMES, Devices, PretendGroups


@implementer(IVolumes)
class PretendVolumes:
    """Disks whose ``logical_id`` is ``[volume group, volume]``, limited by the space of the
    groups."""

    def __init__(self, devices: Devices) -> None:
        self._groups = PretendGroups(devices)
        self._below = FileVolumes(
            devices.images,
            AllowedFolders(
                files=devices.files,
                resolve=devices.images.resolve,
                listing="/folders",
                defaults=(VOLUMES,),
                root=devices.folder,
            ),
        )

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        if get_pool(disk):
            raise Refused(
                f"there is no thin pool {get_pool(disk)}, as the storage of this node is simulated;"
                " omit pool, or say pool=none if it is the usual one",
                Code.INPUT,
            )
        await self._require_room(disk, disk.size)
        await self._below.create(_file_disk(disk), owner=owner, primary=primary)

    async def remove(self, disk: Disk) -> None:
        await self._below.remove(_file_disk(disk))

    async def grow(self, disk: Disk, amount: int) -> None:
        [found] = await self._below.describe([_file_disk(disk)])
        if found is not None and found.size is not None:
            # Only the difference needs space: the repetition of a grow is not refused for lack of
            # it.
            await self._require_room(disk, max(0, disk.size + amount - found.size))
        await self._below.grow(_file_disk(disk), amount)

    async def rename(self, disk: Disk, to: Disk) -> None:
        await self._below.rename(_file_disk(disk), _file_disk(to))

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        return await self._below.attach(_file_disk(disk), primary=primary)

    async def detach(self, disk: Disk) -> None:
        """Do nothing, as a file needs no detaching."""

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        return await self._below.describe([_file_disk(disk) for disk in disks])

    async def volumes(self) -> list[Volume]:
        return [
            dataclasses.replace(each, name=each.name.removeprefix(f"{VOLUMES}/"))
            for each in await self._below.volumes()
        ]

    async def _require_room(self, disk: Disk, amount: int) -> None:
        group = await self._groups.unit(str(disk.logical_id[0]))
        if group.free < amount:
            raise Refused(
                f"{disk.iv_name or disk.logical_id[1]} needs {amount} MiB in volume group"
                f" {group.name}, which has {group.free} MiB free",
                Code.RESOURCES,
            )


def volume_path(disk: Disk) -> str:
    """Return the path of a volume below the directory of its node."""
    group, name = disk.logical_id
    return f"{VOLUMES}/{group}/{name}"


def _file_disk(disk: Disk) -> Disk:
    return replace(disk, logical_id=("loop", volume_path(disk)))
