# SPDX-License-Identifier: BSD-2-Clause
"""Calls about disks reach the driver of the disk's template."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import Guest
from ganeti.node.disks import MIB, Disks
from ganeti.node.raw_images import RawImages
from ganeti.rpc import disks as calls
from ganeti.storage.diskless import NoVolumes
from ganeti.storage.interfaces import IVolumes, VolumeStatus
from ganeti.testing.builders import a_disk
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.processes import MemoryProcesses
from ganeti.testing.storage import Held, MemoryVolumes

T = TypeVar("T")


class Counting(MemoryVolumes):
    """Volumes that remember how often they were asked what is there."""

    asked = 0

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        self.asked += 1
        return await super().describe(disks)


def a_guest(*disks: Disk) -> Guest:
    fields: dict[str, Any] = {key: {} for key in ("hvparams", "beparams", "osparams")}
    return Guest(
        name="web1",
        uuid="u1",
        hypervisor="fake",
        os="noop",
        primary="n1",
        secondaries=(),
        nics=(),
        disks=disks,
        ctime=0,
        mtime=0,
        **fields,
    )


class DisksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.plain, self.file, self.images = Counting(), Counting(), MemoryImages()
        self.disk, self.processes = MemoryDisk(), MemoryProcesses(Clock(), {})
        self.raw_images = RawImages(
            self.processes, MemoryFiles(self.disk), Clock(), "/run/raw-images"
        )
        drivers: dict[Template, IVolumes] = {
            Template.PLAIN: self.plain,
            Template.FILE: self.file,
            Template.DISKLESS: NoVolumes(),
        }
        self.disks = Disks(drivers, self.images, self.raw_images)

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refusal(self, work: Coroutine[Any, Any, object]) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(work), Refused).value)

    def created(self, name: str, template: Template = Template.FILE) -> Disk:
        disk = a_disk(name, template, size=64)
        self.done(self.disks.create(calls.CreateDisk(disk=disk, owner="web1")))
        return disk

    def test_a_disk_is_made_by_the_driver_of_its_template(self) -> None:
        self.created("one", Template.PLAIN)
        self.assertEqual(list(self.plain.held.values()), [Held(64, "web1")])
        self.assertEqual(self.file.held, {})

    def test_a_template_without_a_driver_is_refused_with_those_there_are(self) -> None:
        call = calls.CreateDisk(disk=a_disk("one", Template.RBD), owner="web1")
        self.assertIn("diskless, file, plain", self.refusal(self.disks.create(call)))

    def test_disks_of_several_templates_are_described_with_one_question_each(self) -> None:
        disks = tuple(
            self.created(name, template)
            for name, template in zip("abcd", [Template.PLAIN, Template.FILE] * 2, strict=True)
        )
        missing = a_disk("none", Template.FILE)
        found = self.done(self.disks.describe(calls.DescribeDisks(disks=(missing, *disks))))
        self.assertEqual(found, [None] + [calls.DiskStatus(path="", size=64)] * 4)
        self.assertEqual((self.plain.asked, self.file.asked), (1, 1))

    def test_a_guest_gets_the_paths_of_its_disks_in_their_order(self) -> None:
        two, one = self.created("two"), self.created("one", Template.PLAIN)
        paths = self.done(self.disks.paths(a_guest(two, one)))
        self.assertEqual([path.startswith("/memory/") for path in paths], [True, True])
        held = [*self.file.held.values(), *self.plain.held.values()]
        self.assertEqual([each.attached for each in held], [True, True])

    def test_a_part_of_a_disk_is_wiped_in_bytes(self) -> None:
        disk = self.created("one")
        path = self.done(self.disks.paths(a_guest(disk)))[0]
        self.images.sizes[path] = 64 * MIB
        self.done(self.disks.wipe(calls.WipeDisk(disk=disk, offset=8, size=16)))
        self.assertEqual(self.images.zeroed, [(path, 8 * MIB, 16 * MIB)])

    def test_what_storage_cannot_do_is_refused(self) -> None:
        disk = a_disk("one", Template.DISKLESS)
        snapshot = self.disks.snapshot(calls.SnapshotDisk(disk=disk, name="s"))
        self.assertIn("do not support snapshots", self.refusal(snapshot))
        self.assertIn(
            "not mirrored", self.refusal(self.disks.promote(calls.PromoteDisk(disk=disk)))
        )

    def test_growing_and_removing_can_be_repeated(self) -> None:
        disk = self.created("one")
        for _ in range(2):
            self.done(self.disks.grow(calls.GrowDiskCall(disk=disk, amount=8)))
        self.assertEqual([each.size for each in self.file.held.values()], [72])
        for _ in range(2):
            self.done(self.disks.remove(calls.RemoveDisk(disk=disk)))
        self.assertEqual(self.file.held, {})

    def test_renaming_can_be_repeated(self) -> None:
        old, new = self.created("old"), a_disk("new", Template.FILE)
        for _ in range(2):
            self.done(self.disks.rename(calls.RenameDisk(disk=old, to=new)))
        self.assertEqual(self.done(self.disks.describe(calls.DescribeDisks(disks=(old,)))), [None])
        self.assertIsNotNone(self.done(self.disks.describe(calls.DescribeDisks(disks=(new,))))[0])

    def test_what_is_not_there_cannot_be_renamed(self) -> None:
        call = calls.RenameDisk(disk=a_disk("old", Template.FILE), to=a_disk("new", Template.FILE))
        self.refusal(self.disks.rename(call))
