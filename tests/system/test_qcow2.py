# SPDX-License-Identifier: BSD-2-Clause
"""Disks in qcow2 images, with the real ``qemu-img`` and the storage daemon of QEMU."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.node.raw_images import PROGRAM, RawImages
from ganeti.storage.file import MIB, FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import IVolumes
from ganeti.storage.qemu_img import QemuImg
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.interfaces import FileSystemSpace
from ganeti.system.processes import LocalProcesses
from ganeti.system.threads import InThread
from ganeti.testing.builders import a_disk
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.contracts.test_images import at_once
from tests.contracts.volumes import SnapshotsContract, VolumesContract
from tests.system.test_lvm import BlockingProcesses, call

_IMAGES = "/images"


class _SmallFileSystem(LocalImages):
    """A file system that says that it has 1 GiB."""

    async def space(self, folder: str) -> FileSystemSpace:
        return FileSystemSpace(1024 * MIB, 1024 * MIB)


class RealImagesTests(VolumesContract, SnapshotsContract, SynchronousTestCase):
    lists_sizes = False

    def make(self) -> IVolumes:
        if shutil.which("qemu-img") is None:
            raise SkipTest("qemu-img is not installed")
        self.root = tempfile.mkdtemp(prefix="ganeti-qcow2-")
        self.addCleanup(shutil.rmtree, self.root)
        os.mkdir(self.root + _IMAGES)
        folders = AllowedFolders(
            files=MemoryFiles(MemoryDisk()),
            resolve=os.path.realpath,
            listing="/nothing",
            defaults=(_IMAGES,),
            root=self.root,
        )
        images = _SmallFileSystem(at_once)
        return FileVolumes(images, folders, QemuImg(BlockingProcesses()))

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        # A comma separates options of qemu-img.
        path = f"{_IMAGES}/{name},a"
        return a_disk(name, size=size, logical_id=("loop", path), params={"format": "qcow2"})

    def write(self, disk: Disk, byte: int) -> None:
        path = self.done(self.volumes.attach(disk, primary=True))
        call("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} 1M 1M", path)

    def reads(self, disk: Disk, byte: int) -> bool:
        path = self.done(self.volumes.attach(disk, primary=True))
        said = call("qemu-io", "-f", "qcow2", "-c", f"read -P {byte} 1M 1M", path)
        return "verification failed" not in said

    def test_the_data_are_those_of_the_snapshot_after_the_way_back(self) -> None:
        disk = self.created()
        for byte in (1, 2):
            self.write(disk, byte)
            self.done(self.snapshots.create_snapshot(disk, f"gnt-{byte}"))
        self.write(disk, 3)
        for byte in (1, 2):
            self.done(self.snapshots.revert_to_snapshot(disk, f"gnt-{byte}"))
            self.assertTrue(self.reads(disk, byte))

    def test_an_image_over_another_file_is_refused(self) -> None:
        disk = self.created("one")
        other = f"{self.root}{_IMAGES}/two,a"
        below = f"{self.root}{_IMAGES}/one,a"
        call("qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", below, other)
        self.assertEqual(
            self.refusal(self.volumes.attach(self.disk("two"), primary=True)), Code.STATE
        )
        self.done(self.volumes.attach(disk, primary=True))


class RealRawImagesTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        if missing := [name for name in ("qemu-img", PROGRAM) if shutil.which(name) is None]:
            raise SkipTest(f"these programs are not installed: {', '.join(missing)}")
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
            raise SkipTest("FUSE needs root and /dev/fuse")
        self.folder = tempfile.mkdtemp(prefix="ganeti-raw-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.image = f"{self.folder}/disk0,a"
        call("qemu-img", "create", "-f", "qcow2", self.image, "16M")

    def images(self) -> RawImages:
        """What a node daemon has that starts now."""
        clock = cast(IReactorTime, reactor)
        processes = LocalProcesses(cast(IReactorFDSet, reactor), clock)
        files = LocalFiles(cast(InThread, deferToThread))
        return RawImages(processes, files, clock, f"{self.folder}/run")

    def left(self) -> list[str]:
        return os.listdir(f"{self.folder}/run")

    async def test_what_is_written_to_the_raw_file_is_in_the_image(self) -> None:
        images = self.images()
        async with images.open_image(self.image) as path, images.open_image(self.image) as again:
            self.assertEqual((path, os.stat(path).st_size), (again, 16 * MIB))
            call("qemu-io", "-f", "raw", "-c", "write -P 5 1M 1M", path)
        said = call("qemu-io", "-f", "qcow2", "-c", "read -P 5 1M 1M", self.image)
        self.assertNotIn("verification failed", said)
        self.assertEqual(self.left(), [])

    async def test_a_guest_gets_the_image_that_a_killed_node_daemon_had_open(self) -> None:
        earlier = self.images().open_image(self.image)
        path = await earlier.__aenter__()
        self.addCleanup(subprocess.run, ["umount", "-l", path], capture_output=True)
        with self.assertRaisesRegex(subprocess.CalledProcessError, "qemu-img"):
            call("qemu-img", "snapshot", "-c", "x", self.image)
        await self.images().give_image(self.image)
        call("qemu-img", "snapshot", "-c", "x", self.image)
        self.assertEqual(self.left(), [])

    async def test_an_image_that_is_being_copied_is_not_given_to_a_guest(self) -> None:
        images = self.images()
        async with images.open_image(self.image):
            with self.assertRaisesRegex(Refused, "is being copied"):
                await images.give_image(self.image)

    async def test_what_is_no_image_is_not_opened(self) -> None:
        call("truncate", "--size=0", self.image)
        call("truncate", "--size=1M", self.image)
        with self.assertRaisesRegex(Failed, "qcow2"):
            async with self.images().open_image(self.image):
                pass
