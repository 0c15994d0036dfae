# SPDX-License-Identifier: BSD-2-Clause
"""Each disk template and each type of storage unit has its driver, also on simulated storage."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.model.disk import Template
from ganeti.storage.adopted_devices import AdoptedDevices
from ganeti.storage.diskless import NoVolumes
from ganeti.storage.drbd.volumes import DrbdVolumes
from ganeti.storage.drivers import (
    DRIVERS,
    UNITS,
    ProviderFolders,
    StorageDependencies,
    drivers,
    units,
)
from ganeti.storage.ext.volumes import ExtVolumes
from ganeti.storage.file import FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IStorageUnits, IVolumes
from ganeti.storage.lvm.volumes import LogicalVolumes
from ganeti.storage.pretend.mirror import PretendMirror
from ganeti.storage.pretend.volumes import PretendVolumes
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.processes import MemoryProcesses


def dependencies(pretend: str = "") -> StorageDependencies:
    files, images = MemoryFiles(MemoryDisk()), MemoryImages()
    return StorageDependencies(
        files=files,
        images=images,
        processes=MemoryProcesses(Clock(), {}),
        folders=AllowedFolders(
            files=files, resolve=images.resolve, listing="/etc/file-storage-paths", defaults=()
        ),
        node="node1",
        external=ProviderFolders(("/srv/extstorage",), "/var/log/extstorage", "/run/extstorage"),
        seconds=Clock().seconds,
        pretend=pretend,
    )


class DriverTests(SynchronousTestCase):
    def test_every_template_has_the_driver_of_its_storage(self) -> None:
        kinds = {template: type(each) for template, each in drivers(dependencies()).items()}
        expected = {
            Template.DISKLESS: NoVolumes,
            Template.FILE: FileVolumes,
            Template.SHAREDFILE: FileVolumes,
            Template.PLAIN: LogicalVolumes,
            Template.DRBD: DrbdVolumes,
            Template.EXT: ExtVolumes,
            Template.BLOCKDEV: AdoptedDevices,
        }
        self.assertEqual(kinds, expected)

    def test_simulated_storage_replaces_what_needs_devices(self) -> None:
        found = drivers(dependencies("/var/lib/ganeti/pretend"))
        self.assertEqual(set(found), set(DRIVERS))
        self.assertIsInstance(found[Template.PLAIN], PretendVolumes)
        self.assertIsInstance(found[Template.DRBD], PretendMirror)
        self.assertIsInstance(found[Template.FILE], FileVolumes)

    def test_only_the_templates_that_are_asked_for_are_made(self) -> None:
        asked = (Template.FILE, Template.RBD)  # for which there is no driver
        self.assertEqual(set(drivers(dependencies(), asked)), {Template.FILE})
        self.assertEqual(drivers(dependencies(), ()), {})

    def test_each_is_what_it_stands_for(self) -> None:
        for pretend in ("", "/pretend"):
            for volumes in drivers(dependencies(pretend)).values():
                verifyObject(IVolumes, volumes)
            for each in units(dependencies(pretend)).values():
                verifyObject(IStorageUnits, each)

    def test_the_types_of_units_are_the_same_on_simulated_storage(self) -> None:
        self.assertEqual(set(units(dependencies())), set(UNITS))
        self.assertEqual(set(units(dependencies("/pretend"))), set(UNITS))

    def test_drivers_of_one_node_share_the_reports_of_lvm(self) -> None:
        node = dependencies("/pretend")
        self.assertIs(node.lvm, node.lvm)
        self.assertIs(node.devices, node.devices)
