# SPDX-License-Identifier: BSD-2-Clause
"""Disks of a real guest that writes are backed up: as they were at one moment, and what changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorFDSet, IReactorThreads
from twisted.trial.unittest import SkipTest

from ganeti.hypervisor.interfaces import AttachedDisk, LivePoint
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.model.backups import BackupSummary, RepositoryAccess, StoredDisk
from ganeti.model.guest import Guest
from ganeti.repository.disk_source import NbdExport
from ganeti.repository.local import LocalDiskReader, LocalRepositories
from ganeti.repository.manifest import BackupDescription
from ganeti.schema.records import replace
from ganeti.system.processes import LocalProcesses
from ganeti.system.work_threads import WorkThreads
from ganeti.testing.builders import a_disk
from tests.system.kvm_guests import KvmCase, Terminal

MIB = 1 << 20
SIZE = 32
"""MiB of the second disk."""

REPOSITORY = "5a6f2d4e-0000-4000-8000-000000000001"


class KvmBackupTests(KvmCase):
    user_pool = ((61980, 61980),)
    security_model = "none"

    async def prepare(self) -> Terminal:
        """Start a guest with a second disk of random data, and create an empty repository."""
        self.second = Path(self.folder, "disk1")
        self.second.write_bytes(os.urandom(SIZE * MIB))
        self.node = self.hypervisor()
        work = WorkThreads(cast(IReactorThreads, reactor))
        self.repositories, self.reader = LocalRepositories(work), LocalDiskReader(work)
        folder = f"{self.folder}/vault"
        os.mkdir(folder)
        self.access = RepositoryAccess(name="vault", path=folder, identity=REPOSITORY)
        await self.repositories.create_repository(self.access)
        await self.node.start(self.guest(), self.attached())
        terminal = await self.terminal()
        await terminal.see(b"mini: up as web1")
        await terminal.wait_until("-b /dev/vdb")
        return terminal

    def guest(self, **more: str) -> Guest:
        found = super().guest(kernel_args="quiet", security_model=self.security_model, **more)
        return replace(found, disks=(*found.disks, a_disk("b", size=SIZE)))

    def attached(self) -> list[AttachedDisk]:
        paths = (str(self.disk), str(self.second))
        return [AttachedDisk(*each) for each in zip(self.guest().disks, paths, strict=True)]

    async def begin(self, node: KvmHypervisor, backup: str) -> LivePoint:
        newest = await self.repositories.begin_writing(self.access, backup, "uuid1")
        parent = newest.id if newest else ""
        return await node.begin_backup(self.guest(), self.attached(), REPOSITORY, backup, parent)

    async def store(self, backup: str, point: LivePoint, *, complete: bool = True) -> BackupSummary:
        """Store the disks as they were at a moment."""
        sizes = (MIB, SIZE * MIB)
        for index, (disk, size) in enumerate(zip(point.disks, sizes, strict=True)):
            source, sink = os.pipe()
            export = NbdExport(point.socket, disk.name, disk.bitmap)
            storing = self.repositories.store_disk(self.access, backup, index, source)
            both = [self.send(export, size, sink), storing]
            await gatherResults(map(Deferred.fromCoroutine, both), consumeErrors=True)
            os.close(source)
        summary = BackupSummary(
            id=backup,
            instance="web1",
            uuid="uuid1",
            cluster="cluster",
            created=1,
            disks=tuple(StoredDisk(name=each.name, size=0) for each in point.disks),
        )
        described = BackupDescription(summary=summary, description="")
        found = await self.repositories.commit_backup(self.access, described)
        await self.node.end_backup(self.guest(), REPOSITORY, backup, complete=complete)
        return found

    async def send(self, export: NbdExport, size: int, sink: int) -> None:
        """Send an export, and close the pipe."""
        try:
            await self.reader.send_export(export, size, sink)
        finally:
            os.close(sink)

    async def restored(self, backup: str) -> bytes:
        """The second disk in a backup."""
        path = f"{self.folder}/restored"
        sink = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        await self.repositories.restore_disk(self.access, backup, 1, sink)
        os.close(sink)
        with open(path, "rb") as file:  # noqa: ASYNC230  # a file of this test
            return file.read()

    async def write(self, terminal: Terminal, seek: int, count: int, mark: int) -> None:
        """Let the guest write 64 KiB ``count`` times, and wait until its disk has them."""
        await terminal.run(
            f"dd if=/dev/urandom of=/dev/vdb bs=64k seek={seek} count={count} conv=notrunc,fsync"
            f" 2>/dev/null; echo written-$(({mark} + 1000))",
            f"written-{mark + 1000}".encode(),
        )

    async def test_a_guest_that_writes_is_backed_up_as_it_was_and_then_its_changes(self) -> None:
        if os.geteuid() == 0:
            # QEMU can open neither the disks nor the scratch files.
            self.security_model = "pool"
        terminal = await self.prepare()
        before = self.second.read_bytes()
        point = await self.begin(self.node, "b1")
        # While it is backed up, and before it is read.
        await self.write(terminal, 0, 64, 1)
        full = await self.store("b1", point)
        self.assertNotEqual(self.second.read_bytes(), before)
        self.assertEqual(await self.restored("b1"), before)
        self.assertEqual(full.disks[1].read, SIZE * MIB)
        await self.repositories.remove_backups(self.access, ["b1"])
        second = await self.store("b2", await self.begin(self.node, "b2"))
        self.assertFalse(second.disks[1].incremental)

        # About one percent, in the middle.
        await self.write(terminal, 500, 5, 2)
        then = self.second.read_bytes()
        changes = await self.store("b3", await self.begin(self.node, "b3"))
        self.assertTrue(changes.disks[1].incremental)
        self.assertEqual(changes.parent, "b2")
        self.assertEqual(changes.disks[1].read, 320 << 10)
        self.assertLess(changes.disks[1].written, 3 * MIB)
        self.assertEqual(await self.restored("b3"), then)
        self.assertEqual(os.listdir(f"{self.folder}/node1/scratch"), [])

    async def test_what_was_written_during_a_backup_that_failed_is_in_the_next_one(self) -> None:
        terminal = await self.prepare()
        await self.store("b1", await self.begin(self.node, "b1"))
        await self.write(terminal, 100, 2, 1)
        await self.begin(self.node, "b2")
        await self.write(terminal, 300, 2, 2)
        # The node daemon ends here, and is started again.
        await self.repositories.abandon_backup(self.access, "b2")
        self.node = self.hypervisor()
        await self.node.end_interrupted_backups()
        self.assertEqual(os.listdir(f"{self.folder}/node1/scratch"), [])
        await self.write(terminal, 500, 2, 3)
        found = await self.store("b3", await self.begin(self.node, "b3"))
        self.assertEqual(await self.restored("b3"), self.second.read_bytes())
        self.assertEqual((found.parent, found.disks[1].read), ("b1", 6 * 65536))

    async def test_a_guest_goes_on_if_its_scratch_file_cannot_grow(self) -> None:
        run = LocalProcesses(cast(IReactorFDSet, reactor), self.clock).run
        scratch = f"{self.folder}/node1/scratch"
        os.makedirs(scratch)
        small = await run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", scratch])
        if small.code:
            raise SkipTest(f"no file system can be mounted: {small.err.decode().strip()}")
        self.addCleanup(run, ["umount", "--lazy", scratch])
        terminal = await self.prepare()
        point = await self.begin(self.node, "b1")
        await self.write(terminal, 0, 32, 1)
        with self.assertRaises(FirstError) as caught:
            await self.store("b1", point)
        self.assertIn("export of the disk cannot be read", str(caught.exception.subFailure.value))
        await self.node.end_backup(self.guest(), REPOSITORY, "b1", complete=False)
        await self.write(terminal, 40, 2, 2)
        self.assertFalse(self.node.running()["web1"].paused)
        # Before the file system that it has files on.
        await self.node.stop("web1", hard=True)
