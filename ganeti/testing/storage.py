# SPDX-License-Identifier: BSD-2-Clause
"""Storage in memory, which can be made to run full or to break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zope.interface import implementer

from ganeti.errors import Code, GanetiError, Refused
from ganeti.model.disk import Disk
from ganeti.schema import records
from ganeti.storage.interfaces import (
    ISnapshots,
    IStorageUnits,
    IVolumes,
    StorageUnit,
    Volume,
    VolumeStatus,
)
from ganeti.storage.loss import lost


@dataclass(frozen=True)
class Held:
    """A volume in memory: its size in MiB, whose it is, and whether it can be used now."""

    size: int
    owner: str = ""
    attached: bool = False


@implementer(IVolumes, ISnapshots)
class MemoryVolumes:
    """Volumes that exist only in this object.

    ``room`` is the MiB that fit in all. ``trouble`` maps the name of an operation to the error
    that it raises, until it is taken out again. ``held`` is what is there.
    """

    def __init__(self, *, room: int = 1 << 40) -> None:
        self.room = room
        self.held: dict[str, Held] = {}
        self.trouble: dict[str, GanetiError] = {}

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        self._stumble("create")
        name = _free_name(self.held, disk)
        self._keep(name, Held(disk.size, owner))

    async def remove(self, disk: Disk) -> None:
        self._stumble("remove")
        self.held.pop(name_of(disk), None)

    async def grow(self, disk: Disk, amount: int) -> None:
        self._stumble("grow")
        held = self._present(disk)
        self._keep(name_of(disk), replace(held, size=max(held.size, disk.size + amount)))

    async def rename(self, disk: Disk, to: Disk) -> None:
        self._stumble("rename")
        held, name = self._present(disk), _free_name(self.held, to)
        del self.held[name_of(disk)]
        self.held[name] = held

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        self._stumble("attach")
        self.held[name_of(disk)] = replace(self._present(disk), attached=True)
        return _path(disk)

    async def detach(self, disk: Disk) -> None:
        self._stumble("detach")
        if held := self.held.get(name_of(disk)):
            self.held[name_of(disk)] = replace(held, attached=False)

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        self._stumble("describe")
        return [self._describe(disk) for disk in disks]

    async def volumes(self) -> list[Volume]:
        self._stumble("volumes")
        return [
            Volume(name=name, size=held.size, attached=held.attached, owner=held.owner)
            for name, held in sorted(self.held.items())
        ]

    async def snapshot(self, disk: Disk, name: str) -> Disk:
        self._stumble("snapshot")
        held = self._present(disk)
        taken = records.replace(disk, logical_id=(disk.logical_id[0], name), children=())
        self._keep(_free_name(self.held, taken), replace(held, attached=False))
        return taken

    def _describe(self, disk: Disk) -> VolumeStatus | None:
        if (held := self.held.get(name_of(disk))) is None:
            return None
        return VolumeStatus(path=_path(disk) if held.attached else "", size=held.size)

    def _keep(self, name: str, held: Held) -> None:
        others = sum(each.size for other, each in self.held.items() if other != name)
        if others + held.size > self.room:
            free = self.room - others
            raise Refused(f"{name} needs {held.size} MiB, {free} are free", Code.RESOURCES)
        self.held[name] = held

    def _present(self, disk: Disk) -> Held:
        if name_of(disk) not in self.held:
            raise lost(disk, f"volume {name_of(disk)}")
        return self.held[name_of(disk)]

    def _stumble(self, operation: str) -> None:
        if operation in self.trouble:
            raise self.trouble[operation]


@implementer(IStorageUnits)
class MemoryUnits:
    """Storage units that are what they are said to be; those in ``broken`` need a repair."""

    def __init__(self, *units: StorageUnit) -> None:
        self._units = {unit.name: unit for unit in units}
        self.broken: set[str] = set()

    async def units(self) -> list[StorageUnit]:
        return [await self.unit(name) for name in sorted(self._units)]

    async def unit(self, name: str) -> StorageUnit:
        if name not in self._units:
            raise Refused(f"there is no storage unit {name}", Code.UNKNOWN)
        return replace(self._units[name], healthy=name not in self.broken)

    async def set_allocatable(self, name: str, allocatable: bool) -> None:
        self._units[name] = replace(await self.unit(name), allocatable=allocatable)

    async def repair(self, name: str) -> None:
        await self.unit(name)
        self.broken.discard(name)


def name_of(disk: Disk) -> str:
    """What a disk is called in ``held``: the parts of its ``logical_id``, joined by slashes."""
    return "/".join(map(str, disk.logical_id))


def _path(disk: Disk) -> str:
    return f"/memory/{name_of(disk)}"


def _free_name(held: dict[str, Held], disk: Disk) -> str:
    name = name_of(disk)
    if name in held:
        raise Refused(f"there is a volume {name} already", Code.EXISTS)
    return name
