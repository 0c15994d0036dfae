# SPDX-License-Identifier: BSD-2-Clause
"""Repositories of a node, and guests whose backup nobody ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    IHypervisor,
    ILiveBackups,
    LiveDisk,
    LivePoint,
)
from ganeti.model.backups import BackupSummary, RepositoryAccess, StoredDisk
from ganeti.model.guest import Guest
from ganeti.node.backup_service import BACKUP_TIMEOUT, GUEST_TIMEOUT, Backups
from ganeti.rpc import backup_calls as calls
from ganeti.storage.folders import AllowedFolders
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.memory_repositories import MemoryDiskReader, MemoryRepositories

ID = "20260131T235959Z-0a1b2c"
VAULT = RepositoryAccess(name="vault", path="/srv/ganeti/backup/vault", identity="i1")


@implementer(IHypervisor, ILiveBackups)
class LiveHypervisor(MemoryHypervisor):
    """Shows disks of guests, and records what was begun and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[object, ...]] = []
        self.problem: Failed | None = None

    async def begin_backup(
        self, guest: Guest, disks: Sequence[AttachedDisk], repository: str, backup: str, parent: str
    ) -> LivePoint:
        self.calls.append(("begin", backup, parent))
        return LivePoint("/run/web1.nbd", tuple(LiveDisk(each.disk.uuid) for each in disks))

    async def end_backup(
        self, guest: Guest, repository: str, backup: str, *, complete: bool
    ) -> None:
        self.calls.append(("end", backup, complete))

    async def end_interrupted_backups(self) -> None:
        self.calls.append(("end interrupted",))
        if self.problem is not None:
            raise self.problem


class BackupsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.disk = Clock(), MemoryDisk()
        self.repositories, self.reader = MemoryRepositories(), MemoryDiskReader()
        self.live = LiveHypervisor()
        files = MemoryFiles(self.disk)
        folders = AllowedFolders(
            files=files,
            resolve=lambda path: path,
            listing="/etc/ganeti/backup-paths",
            defaults=("/srv/ganeti/backup",),
            contents="repositories of backups",
        )
        self.backups = Backups(
            self.repositories,
            self.reader,
            folders,
            self.find_paths,
            self.find_raw_paths,
            {"kvm": self.live, "fake": MemoryHypervisor()},
            files,
            "/scratch",
            self.clock,
        )
        self.guest = a_guest("web1", hypervisor="kvm", disks=[a_disk("web1/0", size=64)])

    async def find_paths(self, guest: Guest) -> Sequence[str]:
        return [f"/dev/{disk.uuid}" for disk in guest.disks]

    @asynccontextmanager
    async def find_raw_paths(self, guest: Guest) -> AsyncIterator[Sequence[str]]:
        yield await self.find_paths(guest)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def show(self, **over: Any) -> Any:
        fields = {"guest": self.guest, "repository": "i1", "backup": ID, **over}
        return self.backups.show_guest_disks(calls.BeginGuestBackup(**fields))

    def hide(self, *, complete: bool) -> None:
        call = calls.EndGuestBackup(guest=self.guest, repository="i1", backup=ID, complete=complete)
        self.done(self.backups.hide_guest_disks(call))

    def test_a_repository_is_made_once_and_only_where_the_node_allows_it(self) -> None:
        for _ in range(2):
            self.done(self.backups.make_repository(calls.CreateRepository(repository=VAULT)))
        self.assertEqual(list(self.repositories.found), [VAULT.path])
        other = RepositoryAccess(name="v", path="/home/vault", identity="i2")
        work = self.backups.make_repository(calls.CreateRepository(repository=other))
        failure = self.failureResultOf(Deferred.fromCoroutine(work), Refused)
        self.assertIn("add its directory to /etc/ganeti/backup-paths", str(failure.value))

    def test_a_repeated_commit_returns_the_same_backup(self) -> None:
        self.done(self.backups.make_repository(calls.CreateRepository(repository=VAULT)))
        begin = calls.BeginBackup(repository=VAULT, backup=ID, instance="u1")
        self.assertIsNone(self.done(self.backups.start_backup(begin)))
        sink = calls.BackupSink(repository=VAULT, backup=ID, index=0)
        self.done(self.backups.store_areas(sink, 7))
        disks = (StoredDisk(name="disk/0", size=0),)
        summary = BackupSummary(
            id=ID, instance="web1", uuid="u1", cluster="c", created=1, disks=disks
        )
        details = calls.BackupDetails(summary=summary, description="")
        commit = calls.CommitBackup(repository=VAULT, backup=details)
        first = self.done(self.backups.complete_backup(commit))
        self.assertEqual(self.done(self.backups.complete_backup(commit)), first)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_unfinished_backup_that_nobody_asks_about_is_given_up(self) -> None:
        self.done(self.backups.make_repository(calls.CreateRepository(repository=VAULT)))
        begin = calls.BeginBackup(repository=VAULT, backup=ID, instance="u1")
        self.done(self.backups.start_backup(begin))
        self.clock.advance(BACKUP_TIMEOUT - 1)
        self.backups.keep_backup(calls.BackupSink(repository=VAULT, backup=ID, index=0))
        self.clock.advance(BACKUP_TIMEOUT - 1)
        self.assertTrue(self.repositories.is_writing(ID))
        self.clock.advance(1)
        self.assertFalse(self.repositories.is_writing(ID))

    def test_disks_are_read_from_devices_or_exports(self) -> None:
        source = calls.BackupSource(guest=self.guest, index=0, backup=ID)
        self.done(self.backups.send_areas(source, 7))
        export = calls.LiveExport(socket="/run/web1.nbd", name="d", bitmap="b")
        source = calls.BackupSource(guest=self.guest, index=0, backup=ID, export=export)
        self.done(self.backups.send_areas(source, 7))
        device = f"/dev/{self.guest.disks[0].uuid}"
        self.assertEqual(self.reader.sent, [device, "/run/web1.nbd/d?b"])

    def test_a_guest_is_shown_until_its_backup_ends(self) -> None:
        found = self.done(self.show(parent=""))
        uuid = self.guest.disks[0].uuid
        self.assertEqual(found.exports, (calls.LiveExport(socket="/run/web1.nbd", name=uuid),))
        self.hide(complete=True)
        self.assertEqual(self.live.calls, [("begin", ID, ""), ("end", ID, True)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_backup_that_nobody_asks_about_is_given_up(self) -> None:
        self.done(self.show())
        self.clock.advance(GUEST_TIMEOUT - 1)
        self.backups.keep_guest(calls.BackupSource(guest=self.guest, index=0, backup=ID))
        self.clock.advance(GUEST_TIMEOUT - 1)
        self.assertEqual(len(self.live.calls), 1)
        self.clock.advance(1)
        self.assertEqual(self.live.calls[1:], [("end", ID, False)])

    def test_a_hypervisor_that_cannot_show_disks_is_refused(self) -> None:
        guest = a_guest("web1", hypervisor="fake", disks=[a_disk("web1/0")])
        failure = self.failureResultOf(Deferred.fromCoroutine(self.show(guest=guest)), Refused)
        self.assertIn("cannot back up guests while they run", str(failure.value))

    def test_what_was_interrupted_is_ended_at_the_start(self) -> None:
        self.done(self.backups.end_interrupted())
        self.assertEqual(self.live.calls, [])
        self.disk.add_folder("/scratch/web1", 0o700)
        self.live.problem = Failed("QEMU hangs")
        self.done(self.backups.end_interrupted())
        self.assertEqual(self.live.calls, [("end interrupted",)])
