# SPDX-License-Identifier: BSD-2-Clause
"""The driver of instances without disks: it rejects the creation of disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from zope.interface import implementer

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk
from ganeti.storage.interfaces import IVolumes, Volume, VolumeStatus


@implementer(IVolumes)
class NoVolumes:
    """The storage of diskless instances."""

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        _reject(disk)

    async def remove(self, disk: Disk) -> None:
        """Do nothing, as there are no disks."""

    async def grow(self, disk: Disk, amount: int) -> None:
        _reject(disk)

    async def rename(self, disk: Disk, to: Disk) -> None:
        _reject(disk)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        _reject(disk)

    async def detach(self, disk: Disk) -> None:
        """Do nothing, as nothing is attached."""

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        return [None] * len(disks)

    async def volumes(self) -> list[Volume]:
        return []


def _reject(disk: Disk) -> NoReturn:
    raise Refused(
        f"{disk.iv_name} cannot be created: a diskless instance has no disks; convert it to"
        " another disk template first",
        Code.INPUT,
    )
