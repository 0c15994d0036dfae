# SPDX-License-Identifier: BSD-2-Clause
"""Which driver serves which disk template: a new driver is its module and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ganeti.model.disk import Template
from ganeti.storage.diskless import NoVolumes
from ganeti.storage.drbd.volumes import DrbdVolumes
from ganeti.storage.file import FileFolders, FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IUnits, IVolumes
from ganeti.storage.lvm.tools import Lvm
from ganeti.storage.lvm.units import PhysicalVolumes, VolumeGroups
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.storage.pretend.mirror import PretendMirror
from ganeti.storage.pretend.units import Devices, PretendDevices, PretendGroups
from ganeti.storage.pretend.volumes import PretendVolumes
from ganeti.system.interfaces import IFiles, IImages, IProcesses


@dataclass(frozen=True)
class StorageDrivers:
    """What drivers are made of: the ways to the operating system, and where files may be.

    ``node`` is the name of this node. ``pretend`` is the folder in which volume groups and
    mirrored disks are pretended, if they are.
    """

    files: IFiles
    images: IImages
    processes: IProcesses
    folders: AllowedFolders
    node: str
    pretend: str = ""

    @cached_property
    def devices(self) -> Devices:
        """What is pretended to be this node's devices."""
        return Devices(self.files, self.images, f"{self.pretend}/{self.node}")

    @cached_property
    def lvm(self) -> Lvm:
        """One for all that use it, so that they share its reports."""
        return Lvm(self.processes)


DRIVERS: Mapping[Template, Callable[[StorageDrivers], IVolumes]] = {
    Template.DISKLESS: lambda doors: NoVolumes(),
    Template.FILE: lambda doors: FileVolumes(doors.images, doors.folders),
    Template.SHAREDFILE: lambda doors: FileVolumes(doors.images, doors.folders),
    Template.PLAIN: lambda doors: LogicalVolumes(doors.lvm),
    Template.DRBD: lambda doors: DrbdVolumes(
        doors.processes, doors.files, LogicalVolumes(doors.lvm), doors.node
    ),
}

PRETENDED: Mapping[Template, Callable[[StorageDrivers], IVolumes]] = {
    Template.PLAIN: lambda doors: PretendVolumes(doors.devices),
    Template.DRBD: lambda doors: PretendMirror(
        doors.pretend, doors.node, PretendVolumes(doors.devices)
    ),
}
"""Drivers that take the place of others on a host that pretends."""

UNITS: Mapping[str, Callable[[StorageDrivers], IUnits]] = {
    "file": lambda doors: FileFolders(doors.images, doors.folders),
    "sharedfile": lambda doors: FileFolders(doors.images, doors.folders),
    "lvm-vg": lambda doors: VolumeGroups(doors.lvm),
    "lvm-pv": lambda doors: PhysicalVolumes(doors.lvm),
}
"""Kinds of storage units, under the names that the remote API gives them."""

PRETENDED_UNITS: Mapping[str, Callable[[StorageDrivers], IUnits]] = {
    "lvm-vg": lambda doors: PretendGroups(doors.devices),
    "lvm-pv": lambda doors: PretendDevices(doors.devices),
}


def drivers(
    doors: StorageDrivers, templates: Iterable[Template] = tuple(DRIVERS)
) -> dict[Template, IVolumes]:
    """A driver for each of the templates; those that nothing serves are left out."""
    known = {**DRIVERS, **(PRETENDED if doors.pretend else {})}
    return {each: known[each](doors) for each in templates if each in known}


def units(doors: StorageDrivers) -> dict[str, IUnits]:
    """The storage units of this node, by kind."""
    known = {**UNITS, **(PRETENDED_UNITS if doors.pretend else {})}
    return {kind: build(doors) for kind, build in known.items()}
