# SPDX-License-Identifier: BSD-2-Clause
"""Volume groups and physical volumes as storage units."""

from __future__ import annotations

from zope.interface import implementer

from ganeti.errors import Code, Refused
from ganeti.storage.interfaces import IStorageUnits, StorageUnit
from ganeti.storage.lvm.lvm_commands import Lvm
from ganeti.storage.lvm.reports import PhysicalVolume, VolumeGroup


@implementer(IStorageUnits)
class VolumeGroups:
    """The volume groups of this node."""

    def __init__(self, lvm: Lvm) -> None:
        self._lvm = lvm

    async def units(self) -> list[StorageUnit]:
        return sorted(map(_group_unit, await self._lvm.groups()), key=lambda unit: unit.name)

    async def unit(self, name: str) -> StorageUnit:
        for each in await self.units():
            if each.name == name:
                return each
        raise Refused(f"there is no volume group {name} on this node", Code.UNKNOWN)

    async def set_allocatable(self, name: str, allocatable: bool) -> None:
        raise Refused(
            f"allocation cannot be set for volume group {name}; set it for its physical volumes"
            " (storage type lvm-pv)",
            Code.INPUT,
        )

    async def repair(self, name: str) -> None:
        # Without --force, devices with volumes on them stay: only what has no data is removed
        # (vgreduce(8)).
        await self._lvm.run("vgreduce", "--removemissing", name)


@implementer(IStorageUnits)
class PhysicalVolumes:
    """The physical volumes of this node."""

    def __init__(self, lvm: Lvm) -> None:
        self._lvm = lvm

    async def units(self) -> list[StorageUnit]:
        return sorted(map(_device_unit, await self._lvm.devices()), key=lambda unit: unit.name)

    async def unit(self, name: str) -> StorageUnit:
        for each in await self.units():
            if each.name == name:
                return each
        raise Refused(f"there is no physical volume {name} on this node", Code.UNKNOWN)

    async def set_allocatable(self, name: str, allocatable: bool) -> None:
        # So that an unknown device has the same message as elsewhere.
        await self.unit(name)
        await self._lvm.run("pvchange", "-x", "y" if allocatable else "n", name)

    async def repair(self, name: str) -> None:
        raise Refused(
            f"a physical volume cannot be repaired; repair the volume group of {name} (storage"
            " type lvm-vg)",
            Code.INPUT,
        )


def _group_unit(group: VolumeGroup) -> StorageUnit:
    used = group.size - group.free
    return StorageUnit(
        name=group.name, size=group.size, free=group.free, used=used, healthy=not group.partial
    )


def _device_unit(device: PhysicalVolume) -> StorageUnit:
    return StorageUnit(
        name=device.name,
        group=device.group,
        size=device.size,
        free=device.free,
        used=device.used,
        allocatable=device.allocatable,
        healthy=not device.missing,
    )
