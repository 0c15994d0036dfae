# SPDX-License-Identifier: BSD-2-Clause
"""A real guest gets back the data that it had on all its disks when a snapshot was made."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import Guest
from ganeti.model.running import apply_running_config
from ganeti.node.disks import Disks
from ganeti.node.guest_snapshots import GuestSnapshots
from ganeti.node.raw_images import RawImages
from ganeti.rpc import snapshots as calls
from ganeti.schema.records import replace
from ganeti.storage.file import FileVolumes
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.qemu_img import QemuImg
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.processes import LocalProcesses
from ganeti.system.threads import InThread
from ganeti.testing.builders import a_disk
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.system.kvm_guests import KvmCase, Terminal

_IMAGES = "/images"


@asynccontextmanager
async def _no_lock(name: str) -> AsyncIterator[None]:
    """Nothing else works on the guest."""
    yield


class KvmSnapshotTests(KvmCase):
    def setUp(self) -> None:
        super().setUp()
        if shutil.which("qemu-img") is None:
            raise SkipTest("qemu-img is not installed")
        os.mkdir(self.folder + _IMAGES)
        in_thread = cast(InThread, deferToThread)
        processes = LocalProcesses(cast(IReactorFDSet, reactor), self.clock)
        folders = AllowedFolders(
            files=MemoryFiles(MemoryDisk()),
            resolve=os.path.realpath,
            listing="/nothing",
            defaults=(_IMAGES,),
            root=self.folder,
        )
        images = LocalImages(in_thread)
        self.volumes = FileVolumes(images, folders, QemuImg(processes))
        raw = RawImages(processes, LocalFiles(in_thread), self.clock, f"{self.folder}/raw")
        self.disks = Disks({Template.FILE: self.volumes}, images, raw)

    def guest(self, **more: str) -> Guest:
        return replace(super().guest(**more), disks=tuple(map(self.image_disk, ("a", "b"))))

    def image_disk(self, name: str) -> Disk:
        logical_id = ("loop", f"{_IMAGES}/{name}")
        return a_disk(name, size=8, logical_id=logical_id, params={"format": "qcow2"})

    def snapshots(self) -> GuestSnapshots:
        """The snapshots as a node daemon has them that starts now."""
        return GuestSnapshots({"kvm": self.hypervisor()}, self.disks, _no_lock)

    async def start(self) -> Terminal:
        guest = self.guest()
        paths = await self.disks.paths(guest)
        disks = [AttachedDisk(*each) for each in zip(guest.disks, paths, strict=True)]
        await self.hypervisor().start(guest, disks)
        terminal = await self.terminal()
        await terminal.see(b"tick 1")
        await terminal.wait_until("-b /dev/vdb")
        return terminal

    async def write(self, terminal: Terminal, text: str) -> None:
        for disk in ("vda", "vdb"):
            copy = f"dd of=/dev/{disk} bs=4096 seek=1 conv=notrunc 2>/dev/null"
            await terminal.run(
                f"echo {text}-{disk} | {copy}; sync; echo wrote-$((6*7))", b"wrote-42"
            )

    async def reads(self, terminal: Terminal, text: str) -> None:
        for disk in ("vda", "vdb"):
            read = f"dd if=/dev/{disk} bs=4096 skip=1 count=1 2>/dev/null"
            await terminal.run(f"{read} | head -n 1", f"{text}-{disk}".encode())

    async def test_a_guest_goes_on_from_its_memory(self) -> None:
        for disk in self.guest().disks:
            await self.volumes.create(disk, owner="web1", primary=True)
        terminal = await self.start()
        await self.write(terminal, "before")
        await terminal.run("mark=4242; echo set-$((6*7))", b"set-42")
        snapshots = self.snapshots()
        create = calls.CreateGuestSnapshot(guest=self.guest(), name="gnt-1", memory=True)
        report = await snapshots.create(create)
        assert report.memory is not None
        await self.write(terminal, "after")
        await terminal.run("mark=none; echo set-$((6*7))", b"set-42")
        await self.hypervisor().stop("web1", hard=True)
        check = calls.CheckSavedMemory(guest=self.guest(), memory=report.memory)
        self.assertEqual(await self.snapshots().check_memory(check), "")
        await self.snapshots().revert(calls.RevertGuest(guest=self.guest(), name="gnt-1"))
        guest = apply_running_config(self.guest(), report.memory.running)
        paths = await self.disks.paths(guest)
        disks = [AttachedDisk(*each) for each in zip(guest.disks, paths, strict=True)]
        await self.hypervisor().start(guest, disks, paused=True)
        load = calls.LoadSavedMemory(guest=guest, name="gnt-1", memory=report.memory)
        await self.snapshots().load_memory(load)
        terminal = await self.terminal()
        # The shell still has its variable: it was not started again.
        await terminal.run("echo mark-is-$mark", b"mark-is-4242")
        await self.reads(terminal, "before")
        removal = calls.RemoveGuestSnapshot(guest=self.guest(), name="gnt-1")
        await self.snapshots().remove(removal)
        asked = calls.ListDiskSnapshots(disks=self.guest().disks)
        self.assertEqual(set(map(tuple, (await snapshots.list_names(asked)).values())), {()})

    async def test_the_data_of_all_disks_are_those_before(self) -> None:
        for disk in self.guest().disks:
            await self.volumes.create(disk, owner="web1", primary=True)
        terminal = await self.start()
        await self.write(terminal, "before")
        snapshots = self.snapshots()
        call = calls.CreateGuestSnapshot(guest=self.guest(), name="gnt-1")
        report = await snapshots.create(call)
        self.assertEqual(report, calls.SnapshotReport(running=True))
        # As while snapshots of volumes are made.
        async with self.hypervisor().hold_writes(self.guest()):
            terminal.shown = b""
            await deferLater(self.clock, 1.5)
            self.assertNotIn(b"tick", terminal.shown)
        await self.write(terminal, "after")
        await self.reads(terminal, "after")
        second = calls.CreateGuestSnapshot(guest=self.guest(), name="gnt-2")
        await snapshots.create(second)
        asked = calls.ListDiskSnapshots(disks=self.guest().disks)
        expected = {each.uuid: ["gnt-1", "gnt-2"] for each in self.guest().disks}
        self.assertEqual(await snapshots.list_names(asked), expected)
        await self.hypervisor().stop("web1", hard=True)
        await self.snapshots().revert(calls.RevertGuest(guest=self.guest(), name="gnt-1"))
        terminal = await self.start()
        await self.reads(terminal, "before")
        removal = calls.RemoveGuestSnapshot(guest=self.guest(), name="gnt-1")
        for _ in range(2):
            await self.snapshots().remove(removal)
        await self.reads(terminal, "before")
        expected = {each.uuid: ["gnt-2"] for each in self.guest().disks}
        self.assertEqual(await snapshots.list_names(asked), expected)
