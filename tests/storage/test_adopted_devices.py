# SPDX-License-Identifier: BSD-2-Clause
"""Adopted devices keep the contract of attachment, and their data whatever is asked."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk, Template, is_adoptable
from ganeti.schema.records import replace
from ganeti.storage.adopted_devices import AdoptedDevices
from ganeti.storage.interfaces import IVolumes
from ganeti.system.interfaces import BlockDevice
from ganeti.testing.builders import a_disk
from ganeti.testing.images import MemoryImages
from tests.contracts.volumes import AttachmentContract

MIB = 1 << 20


class MemoryDevicesTests(AttachmentContract, SynchronousTestCase):
    template = Template.BLOCKDEV

    def make(self) -> IVolumes:
        self.images = MemoryImages()
        return AdoptedDevices(self.images)

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        path = f"/dev/disk/by-id/{name}"
        return a_disk(name, self.template, size=size, logical_id=("manual", path))

    def created(self, name: str = "one", size: int = 64) -> Disk:
        disk = self.disk(name, size)
        path = f"/dev/sd{name}"
        self.images.links[str(disk.logical_id[1])] = path
        self.images.devices[path] = BlockDevice(path, size * MIB + 512)
        return disk

    def test_removing_a_disk_leaves_the_device(self) -> None:
        disk = self.created()
        self.done(self.volumes.remove(disk))
        self.assertEqual(self.size(disk), 64)

    def test_devices_are_neither_made_nor_resized_nor_renamed(self) -> None:
        disk = self.created()
        for work in (
            self.volumes.create(disk, owner="web1", primary=True),
            self.volumes.grow(disk, 32),
            self.volumes.rename(disk, self.disk("two")),
        ):
            self.assertEqual(self.refusal(work), Code.INPUT)

    def test_a_missing_device_is_named_with_what_to_do(self) -> None:
        using = Deferred.fromCoroutine(self.volumes.attach(self.disk(), primary=True))
        error = self.failureResultOf(using, Refused).value
        self.assertIn("no block device /dev/disk/by-id/one; connect it", str(error))

    def test_a_device_that_has_become_smaller_is_not_used(self) -> None:
        larger = replace(self.created(size=64), size=65)
        using = Deferred.fromCoroutine(self.volumes.attach(larger, primary=True))
        self.assertIn("another device", str(self.failureResultOf(using, Refused).value))
        path = self.done(self.volumes.attach(larger, primary=True, ignore_size=True))
        self.assertEqual(path, "/dev/disk/by-id/one")

    def test_a_path_elsewhere_is_refused_even_if_it_is_a_device(self) -> None:
        self.images.devices["/dev/sda"] = BlockDevice("/dev/sda", 64 * MIB)
        for path in ("/dev/sda", "/dev/disk/../sda"):
            disk = replace(self.disk(), logical_id=("manual", path))
            self.assertEqual(self.refusal(self.volumes.attach(disk, primary=True)), Code.INPUT)

    def test_a_device_that_cannot_be_opened_is_an_error_and_not_missing(self) -> None:
        class Broken(MemoryImages):
            async def describe_device(self, path: str) -> BlockDevice | None:
                raise OSError(5, "Input/output error")

        volumes = AdoptedDevices(Broken())
        asking = Deferred.fromCoroutine(volumes.describe([self.disk()]))
        self.assertIn("Input/output error", str(self.failureResultOf(asking, Failed).value))


class AdoptableTests(SynchronousTestCase):
    def test_only_paths_below_the_folder_can_be_adopted(self) -> None:
        paths = ("/dev/disk/by-id/x", "/dev/disk/", "/dev/sda", "/dev/disk/../sda", "by-id/x", "")
        self.assertEqual([is_adoptable(path) for path in paths], [True] + [False] * 5)
