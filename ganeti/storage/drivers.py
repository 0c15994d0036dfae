# SPDX-License-Identifier: BSD-2-Clause
"""Which driver serves which disk template: a new driver is its module and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ganeti.model.disk import Template
from ganeti.storage.diskless import NoVolumes
from ganeti.storage.file import FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IVolumes
from ganeti.system.interfaces import IFiles, IImages, IProcesses


@dataclass(frozen=True)
class Doors:
    """What drivers are made of: the ways to the operating system, and where files may be."""

    files: IFiles
    images: IImages
    processes: IProcesses
    folders: AllowedFolders


DRIVERS: Mapping[Template, Callable[[Doors], IVolumes]] = {
    Template.DISKLESS: lambda doors: NoVolumes(),
    Template.FILE: lambda doors: FileVolumes(doors.images, doors.folders),
    Template.SHAREDFILE: lambda doors: FileVolumes(doors.images, doors.folders),
}


def drivers(
    doors: Doors, templates: Iterable[Template] = tuple(DRIVERS)
) -> dict[Template, IVolumes]:
    """A driver for each of the templates; those that nothing serves are left out."""
    return {each: DRIVERS[each](doors) for each in templates if each in DRIVERS}
