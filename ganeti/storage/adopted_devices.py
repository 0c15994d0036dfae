# SPDX-License-Identifier: BSD-2-Clause
"""Existing block devices as disks, such as LUNs that every node sees under the same name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import ADOPTABLE_FOLDER, Disk, is_adoptable
from ganeti.storage.interfaces import IChecksParameters, IVolumes, Volume, VolumeStatus
from ganeti.system.interfaces import BlockDevice, IImages

MIB = 1 << 20


@implementer(IVolumes, IChecksParameters)
class AdoptedDevices:
    """Disks whose ``logical_id`` is ``["manual", path]``, with a path below ``folder``.

    A device is always attached. It belongs to an administrator: it is not created, wiped, resized
    or removed, and keeps its data when the disk is removed.
    """

    def __init__(self, images: IImages, folder: str = ADOPTABLE_FOLDER) -> None:
        self._images = images
        self._folder = folder

    async def check_parameters(self, disk: Disk) -> None:
        await self._require_device(disk)

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        _reject("created")

    async def remove(self, disk: Disk) -> None:
        """Do nothing, as the device and its data are not ours."""

    async def grow(self, disk: Disk, amount: int) -> None:
        _reject("resized")

    async def rename(self, disk: Disk, to: Disk) -> None:
        _reject("renamed")

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        device = await self._require_device(disk)
        if device.size // MIB < disk.size and not ignore_size:
            raise Refused(
                f"{_path_of(disk)} has {device.size // MIB} MiB, and {disk.iv_name} had"
                f" {disk.size} MiB when it was adopted; see whether it is another device now. If"
                " not: gnt-cluster repair-disk-sizes"
            )
        return _path_of(disk)

    async def detach(self, disk: Disk) -> None:
        """Do nothing, as a device needs no detaching."""

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        return [await self._describe(disk) for disk in disks]

    async def volumes(self) -> list[Volume]:
        # Which of the devices of a host are for instances is only known to its administrator.
        return []

    async def _describe(self, disk: Disk) -> VolumeStatus | None:
        device = await self._find_device(disk)
        if device is None:
            return None
        return VolumeStatus(path=_path_of(disk), size=device.size // MIB)

    async def _find_device(self, disk: Disk) -> BlockDevice | None:
        path = _path_of(disk)
        if not is_adoptable(path, self._folder):
            raise Refused(f"{path} is not a path below {self._folder}", Code.INPUT)
        try:
            return await self._images.describe_device(path)
        except OSError as e:
            raise Failed(f"{path} cannot be opened: {e.strerror or e}", Code.ENVIRONMENT) from None

    async def _require_device(self, disk: Disk) -> BlockDevice:
        device = await self._find_device(disk)
        if device is None:
            raise Refused(
                f"{disk.iv_name} has lost its device: this node has no block device"
                f" {_path_of(disk)}; connect it to this node under this name, or move the instance"
                " to a node that has it",
                Code.UNKNOWN,
            )
        return device


def _path_of(disk: Disk) -> str:
    return str(disk.logical_id[-1])


def _reject(what: str) -> NoReturn:
    raise Refused(
        f"disks of the template blockdev are existing devices, which are not {what}; they are"
        " adopted when an instance is created",
        Code.INPUT,
    )
