# SPDX-License-Identifier: BSD-2-Clause
"""Simulated volume groups and devices, which are only recorded in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record, replace
from ganeti.storage.interfaces import IStorageUnits, StorageUnit
from ganeti.system.interfaces import IFiles, IImages

MIB = 1 << 20
VOLUMES = "/volumes"
"""The directory of the volumes, by group, below that of a node."""


class Device(Record):
    """A physical volume; ``size`` in MiB."""

    name: str
    group: str
    size: int
    allocatable: bool = True
    missing: bool = False


GROUP = "pretend"
FIRST = tuple(Device(name=f"/dev/pretend{number}", group=GROUP, size=10240) for number in (1, 2))
"""The devices of a node without a ``devices.json``."""


@dataclass(frozen=True)
class Devices:
    """The devices of the node whose directory is ``folder``."""

    files: IFiles
    images: IImages
    folder: str
    first: Sequence[Device] = FIRST

    def all_devices(self) -> list[Device]:
        if self.files.stat(self._list) is None:
            return list(self.first)
        try:
            return msgspec.json.decode(self.files.read(self._list), type=list[Device])
        except UNREADABLE as e:
            raise Failed(f"{self._list} cannot be read: {e}", Code.ENVIRONMENT) from None

    async def write_devices(self, devices: Sequence[Device]) -> None:
        await self.files.make_folder(self.folder)
        await self.files.replace(self._list, msgspec.json.format(msgspec.json.encode(devices)))

    async def used(self, group: str) -> int:
        """Return how much of a group is used, in MiB."""
        sizes = await self.images.below(f"{self.folder}{VOLUMES}/{group}")
        return sum(sizes.values()) // MIB

    @property
    def _list(self) -> str:
        return f"{self.folder}/devices.json"


@implementer(IStorageUnits)
class PretendGroups:
    """The groups of the devices; volumes take space of a group, on any of its devices."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def units(self) -> list[StorageUnit]:
        return [
            await self.unit(name) for name in sorted({d.group for d in self._devices.all_devices()})
        ]

    async def unit(self, name: str) -> StorageUnit:
        members = [device for device in self._devices.all_devices() if device.group == name]
        if not members:
            raise Refused(f"there is no volume group {name} on this node", Code.UNKNOWN)
        used = await self._devices.used(name)
        usable = sum(each.size for each in members if each.allocatable and not each.missing)
        return StorageUnit(
            name=name,
            size=sum(each.size for each in members),
            free=max(0, usable - used),
            used=used,
            healthy=not any(each.missing for each in members),
        )

    async def set_allocatable(self, name: str, allocatable: bool) -> None:
        raise Refused(
            f"allocation cannot be set for volume group {name}; set it for its physical volumes"
            " (storage type lvm-pv)",
            Code.INPUT,
        )

    async def repair(self, name: str) -> None:
        unit = await self.unit(name)
        if unit.healthy:
            return
        kept = [
            each for each in self._devices.all_devices() if each.group != name or not each.missing
        ]
        left = sum(each.size for each in kept if each.group == name)
        # As vgreduce does: data on missing devices must not be given up silently.
        if unit.used > left:
            raise Refused(
                f"volume group {name} has {unit.used} MiB of volumes, but only {left} MiB without"
                " the missing devices; move its instances to another node first"
            )
        await self._devices.write_devices(kept)


@implementer(IStorageUnits)
class PretendDevices:
    """The devices of the groups."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def units(self) -> list[StorageUnit]:
        names = sorted(device.name for device in self._devices.all_devices())
        return [await self.unit(name) for name in names]

    async def unit(self, name: str) -> StorageUnit:
        device = self._require_device(name)
        # Volumes are attributed to the devices of a group one after the other.
        left = await self._devices.used(device.group)
        for each in self._devices.all_devices():
            used = min(left, each.size) if each.group == device.group else 0
            if each.name == name:
                break
            left -= used
        return StorageUnit(
            name=name,
            group=device.group,
            size=device.size,
            free=device.size - used,
            used=used,
            allocatable=device.allocatable,
            healthy=not device.missing,
        )

    async def set_allocatable(self, name: str, allocatable: bool) -> None:
        self._require_device(name)
        await self._devices.write_devices(
            [
                replace(each, allocatable=allocatable) if each.name == name else each
                for each in self._devices.all_devices()
            ]
        )

    async def repair(self, name: str) -> None:
        raise Refused(
            f"a physical volume cannot be repaired; repair the volume group of {name} (storage"
            " type lvm-vg)",
            Code.INPUT,
        )

    def _require_device(self, name: str) -> Device:
        for each in self._devices.all_devices():
            if each.name == name:
                return each
        raise Refused(f"there is no physical volume {name} on this node", Code.UNKNOWN)
