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
from ganeti.system.interfaces import IFiles, IImages, IProcesses


@dataclass(frozen=True)
class Doors:
    """What drivers are made of: the ways to the operating system, and where files may be.

    ``node`` is the name of this node.
    """

    files: IFiles
    images: IImages
    processes: IProcesses
    folders: AllowedFolders
    node: str

    @cached_property
    def lvm(self) -> Lvm:
        """One for all that use it, so that they share its reports."""
        return Lvm(self.processes)


DRIVERS: Mapping[Template, Callable[[Doors], IVolumes]] = {
    Template.DISKLESS: lambda doors: NoVolumes(),
    Template.FILE: lambda doors: FileVolumes(doors.images, doors.folders),
    Template.SHAREDFILE: lambda doors: FileVolumes(doors.images, doors.folders),
    Template.PLAIN: lambda doors: LogicalVolumes(doors.lvm),
    Template.DRBD: lambda doors: DrbdVolumes(
        doors.processes, doors.files, LogicalVolumes(doors.lvm), doors.node
    ),
}

UNITS: Mapping[str, Callable[[Doors], IUnits]] = {
    "file": lambda doors: FileFolders(doors.images, doors.folders),
    "sharedfile": lambda doors: FileFolders(doors.images, doors.folders),
    "lvm-vg": lambda doors: VolumeGroups(doors.lvm),
    "lvm-pv": lambda doors: PhysicalVolumes(doors.lvm),
}
"""Kinds of storage units, under the names that the remote API gives them."""


def drivers(
    doors: Doors, templates: Iterable[Template] = tuple(DRIVERS)
) -> dict[Template, IVolumes]:
    """A driver for each of the templates; those that nothing serves are left out."""
    return {each: DRIVERS[each](doors) for each in templates if each in DRIVERS}


def units(doors: Doors) -> dict[str, IUnits]:
    """The storage units of this node, by kind."""
    return {kind: build(doors) for kind, build in UNITS.items()}
