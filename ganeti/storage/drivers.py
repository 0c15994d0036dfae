# SPDX-License-Identifier: BSD-2-Clause
"""The driver of each disk template; a new driver is a module and a line in a table here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ganeti.model.disk import Template
from ganeti.storage.adopted_devices import AdoptedDevices
from ganeti.storage.diskless import NoVolumes
from ganeti.storage.drbd.volumes import DrbdVolumes
from ganeti.storage.ext.attachments import AttachmentRecords
from ganeti.storage.ext.provider_scripts import ProviderScripts
from ganeti.storage.ext.providers import Providers
from ganeti.storage.ext.volumes import ExtVolumes
from ganeti.storage.file import FileFolders, FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IStorageUnits, IVolumes
from ganeti.storage.lvm.lvm_commands import Lvm
from ganeti.storage.lvm.volume_groups import PhysicalVolumes, VolumeGroups
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.storage.pretend.devices import Devices, PretendDevices, PretendGroups
from ganeti.storage.pretend.mirror import PretendMirror
from ganeti.storage.pretend.volumes import PretendVolumes
from ganeti.storage.qemu_img import QemuImg
from ganeti.system.interfaces import IFiles, IImages, IProcesses


@dataclass(frozen=True)
class ProviderFolders:
    """The folders of external storage: providers, logs of their scripts, and attachments."""

    search_path: tuple[str, ...]
    logs: str
    attachments: str


@dataclass(frozen=True)
class StorageDependencies:
    """What drivers are built from: access to the operating system, and the allowed directories.

    ``node`` is the name of this node; ``seconds`` returns the time since the epoch. ``pretend`` is
    the directory of the simulated storage; empty if none is simulated.
    """

    files: IFiles
    images: IImages
    processes: IProcesses
    folders: AllowedFolders
    node: str
    external: ProviderFolders
    seconds: Callable[[], float]
    pretend: str = ""

    @cached_property
    def devices(self) -> Devices:
        """The simulated devices of this node."""
        return Devices(self.files, self.images, f"{self.pretend}/{self.node}")

    @cached_property
    def providers(self) -> Providers:
        """The external storage providers of this node."""
        return Providers(self.files, self.external.search_path)

    @cached_property
    def lvm(self) -> Lvm:
        """One object for all drivers, so that they share its reports."""
        return Lvm(self.processes)


def _make_ext_volumes(dependencies: StorageDependencies) -> ExtVolumes:
    files, external = dependencies.files, dependencies.external
    scripts = ProviderScripts(
        dependencies.processes,
        files,
        logs=external.logs,
        seconds=dependencies.seconds,
    )
    return ExtVolumes(
        dependencies.providers,
        scripts,
        AttachmentRecords(files, external.attachments),
        files,
        dependencies.images,
    )


def _make_file_volumes(dependencies: StorageDependencies) -> FileVolumes:
    return FileVolumes(dependencies.images, dependencies.folders, QemuImg(dependencies.processes))


DRIVERS: Mapping[Template, Callable[[StorageDependencies], IVolumes]] = {
    Template.DISKLESS: lambda dependencies: NoVolumes(),
    Template.FILE: _make_file_volumes,
    Template.SHAREDFILE: _make_file_volumes,
    Template.PLAIN: lambda dependencies: LogicalVolumes(dependencies.lvm, dependencies.images),
    Template.DRBD: lambda dependencies: DrbdVolumes(
        dependencies.processes,
        dependencies.files,
        LogicalVolumes(dependencies.lvm, dependencies.images),
        dependencies.node,
    ),
    Template.EXT: _make_ext_volumes,
    Template.BLOCKDEV: lambda dependencies: AdoptedDevices(dependencies.images),
}

PRETENDED_DRIVERS: Mapping[Template, Callable[[StorageDependencies], IVolumes]] = {
    Template.PLAIN: lambda dependencies: PretendVolumes(dependencies.devices),
    Template.DRBD: lambda dependencies: PretendMirror(
        dependencies.pretend, dependencies.node, PretendVolumes(dependencies.devices)
    ),
}
"""Drivers that replace others on a host with simulated storage."""

UNITS: Mapping[str, Callable[[StorageDependencies], IStorageUnits]] = {
    "file": lambda dependencies: FileFolders(dependencies.images, dependencies.folders),
    "sharedfile": lambda dependencies: FileFolders(dependencies.images, dependencies.folders),
    "lvm-vg": lambda dependencies: VolumeGroups(dependencies.lvm),
    "lvm-pv": lambda dependencies: PhysicalVolumes(dependencies.lvm),
}
"""The types of storage units, by their names in the remote API."""

PRETENDED_UNITS: Mapping[str, Callable[[StorageDependencies], IStorageUnits]] = {
    "lvm-vg": lambda dependencies: PretendGroups(dependencies.devices),
    "lvm-pv": lambda dependencies: PretendDevices(dependencies.devices),
}


def drivers(
    dependencies: StorageDependencies, templates: Iterable[Template] = tuple(DRIVERS)
) -> dict[Template, IVolumes]:
    """Create the drivers of the templates that are supported."""
    known = {**DRIVERS, **(PRETENDED_DRIVERS if dependencies.pretend else {})}
    return {each: known[each](dependencies) for each in templates if each in known}


def units(dependencies: StorageDependencies) -> dict[str, IStorageUnits]:
    """Create the storage units of this node, by type."""
    known = {**UNITS, **(PRETENDED_UNITS if dependencies.pretend else {})}
    return {kind: build(dependencies) for kind, build in known.items()}
