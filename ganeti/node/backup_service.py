# SPDX-License-Identifier: BSD-2-Clause
"""Handlers of the calls about repositories, and the ends of transfers of backups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.errors import GanetiError, Refused
from ganeti.hypervisor.interfaces import AttachedDisk, IHypervisor, ILiveBackups
from ganeti.model.backups import BackupSummary, RepositoryAccess
from ganeti.model.guest import Guest
from ganeti.repository.disk_source import NbdExport
from ganeti.repository.interfaces import IDiskReader, IRepositories
from ganeti.repository.manifest import BackupDescription
from ganeti.rpc import backup_calls as calls
from ganeti.schema import records
from ganeti.storage.folders import AllowedFolders
from ganeti.system.interfaces import IFiles

MIB = 1 << 20


GUEST_TIMEOUT = 300.0
"""Seconds without a query about its transfers after which the backup of a guest is given up.

Meanwhile, everything that the guest overwrites is copied first.
"""


BACKUP_TIMEOUT = 600.0
"""Seconds without such a query after which an unfinished backup in a repository is given up."""


class Backups:
    """The repositories of this node below ``folders``, and backups of its disks.

    ``paths`` attaches the disks of a guest and returns their paths, ``raw_paths`` those of files
    with the raw data of a guest that is stopped. ``scratch`` is where hypervisors keep what guests
    overwrite meanwhile.
    """

    _log = Logger()

    def __init__(
        self,
        repositories: IRepositories,
        reader: IDiskReader,
        folders: AllowedFolders,
        paths: Callable[[Guest], Awaitable[Sequence[str]]],
        raw_paths: Callable[[Guest], AbstractAsyncContextManager[Sequence[str]]],
        hypervisors: Mapping[str, IHypervisor],
        files: IFiles,
        scratch: str,
        clock: IReactorTime,
    ) -> None:
        self._repositories = repositories
        self._reader = reader
        self._folders = folders
        self._paths = paths
        self._raw_paths = raw_paths
        self._hypervisors = hypervisors
        self._files = files
        self._scratch = scratch
        self._clock = clock
        self._guests: dict[str, IDelayedCall] = {}
        self._unfinished: dict[str, IDelayedCall] = {}

    # --- repositories

    async def make_repository(self, call: calls.CreateRepository) -> None:
        access = self._resolve(call.repository)
        if await self._repositories.identify_repository(access) != access.identity:
            await self._repositories.create_repository(access)

    async def read_identity(self, call: calls.IdentifyRepository) -> str:
        access = RepositoryAccess(name="", path=call.path, identity="", s3=call.s3)
        return await self._repositories.identify_repository(self._resolve(access))

    async def report_status(self, call: calls.DescribeRepository) -> calls.RepositoryStatus:
        found = await self._repositories.measure_space(self._resolve(call.repository))
        if found.space is None:
            return calls.RepositoryStatus(backups=found.backups)
        size, free = found.space.size, found.space.free
        return calls.RepositoryStatus(backups=found.backups, size=size, free=free)

    async def report_backups(self, call: calls.ListBackups) -> list[BackupSummary]:
        return await self._repositories.list_summaries(self._resolve(call.repository))

    async def report_backup(self, call: calls.DescribeBackup) -> calls.BackupDetails:
        access = self._resolve(call.repository)
        found = await self._repositories.describe_backup(access, call.backup)
        return calls.BackupDetails(
            summary=found.summary, description=found.description, state_files=found.state_files
        )

    async def start_backup(self, call: calls.BeginBackup) -> BackupSummary | None:
        access = self._resolve(call.repository)
        newest = await self._repositories.begin_writing(access, call.backup, call.instance)
        self._unfinished[call.backup] = self._clock.callLater(
            BACKUP_TIMEOUT, self._forget_backup, access, call.backup
        )
        return newest

    async def complete_backup(self, call: calls.CommitBackup) -> BackupSummary:
        """Complete a backup; return it also if an earlier call, whose answer was lost, has."""
        access, name = self._resolve(call.repository), call.backup.summary.id
        if not self._repositories.is_writing(name):
            return (await self._repositories.describe_backup(access, name)).summary
        description = BackupDescription(
            summary=call.backup.summary,
            description=call.backup.description,
            state_files=call.backup.state_files,
        )
        stored = await self._repositories.commit_backup(access, description)
        self._stop_watching(name)
        return stored

    async def give_up_backup(self, call: calls.AbandonBackup) -> None:
        self._stop_watching(call.backup)
        await self._repositories.abandon_backup(call.repository, call.backup)

    def keep_backup(self, sink: calls.BackupSink) -> None:
        """Note that the master still asks about a transfer into a repository."""
        watch = self._unfinished.get(sink.backup)
        if watch is not None and watch.active():
            watch.reset(BACKUP_TIMEOUT)

    def _stop_watching(self, backup: str) -> None:
        watch = self._unfinished.pop(backup, None)
        if watch is not None and watch.active():
            watch.cancel()

    def _forget_backup(self, access: RepositoryAccess, backup: str) -> None:
        """Give up a backup whose master has ended, so that its chunks can be removed."""
        self._log.warn("backup {backup} was abandoned", backup=backup)
        call = calls.AbandonBackup(repository=access, backup=backup)
        work = Deferred.fromCoroutine(self.give_up_backup(call))
        work.addErrback(
            lambda failure: self._log.failure("an abandoned backup could not be removed", failure)
        )

    async def check_data(self, call: calls.VerifyBackupData) -> list[str]:
        access = self._resolve(call.repository)
        return await self._repositories.verify_chunks(access, call.backups, call.part, call.parts)

    async def check_restored(self, call: calls.CheckRestored) -> str:
        access = self._resolve(call.repository)
        return await self._repositories.check_restored(access, call.backup, call.at)

    async def delete_backups(self, call: calls.RemoveBackupData) -> calls.RemovedBackups:
        removed = await self._repositories.remove_backups(
            self._resolve(call.repository), call.backups
        )
        return calls.RemovedBackups(chunks=removed.chunks, bytes=removed.bytes)

    def _resolve(self, access: RepositoryAccess) -> RepositoryAccess:
        """Return the access with the real path of its folder, if it is one.

        :raises Refused: it is not below a folder that this node allows.
        """
        if access.s3 is not None:
            return access
        return records.replace(access, path=self._folders.folder(access.path))

    # --- guests

    async def show_guest_disks(self, call: calls.BeginGuestBackup) -> calls.LiveBackup:
        guest = call.guest
        paths = await self._paths(guest)
        disks = [AttachedDisk(*each) for each in zip(guest.disks, paths, strict=True)]
        live = self._find_live(guest)
        self._watch(call)
        found = await live.begin_backup(guest, disks, call.repository, call.backup, call.parent)
        exports = tuple(
            calls.LiveExport(socket=found.socket, name=each.name, bitmap=each.bitmap)
            for each in found.disks
        )
        return calls.LiveBackup(exports=exports, full=found.full, frozen=found.frozen)

    async def hide_guest_disks(self, call: calls.EndGuestBackup) -> None:
        live = self._find_live(call.guest)
        watch = self._guests.pop(call.guest.name, None)
        if watch is not None and watch.active():
            watch.cancel()
        await live.end_backup(call.guest, call.repository, call.backup, complete=call.complete)

    def keep_guest(self, source: calls.BackupSource) -> None:
        """Note that the master still asks about a transfer of a guest's disk."""
        watch = self._guests.get(source.guest.name)
        if watch is not None and watch.active():
            watch.reset(GUEST_TIMEOUT)

    def _watch(self, call: calls.BeginGuestBackup) -> None:
        name = call.guest.name
        if name in self._guests and self._guests[name].active():
            self._guests[name].cancel()
        self._guests[name] = self._clock.callLater(GUEST_TIMEOUT, self._give_up, call)

    def _give_up(self, call: calls.BeginGuestBackup) -> None:
        self._log.warn("the backup of guest {name} was abandoned", name=call.guest.name)
        end = calls.EndGuestBackup(
            guest=call.guest, repository=call.repository, backup=call.backup, complete=False
        )
        work = Deferred.fromCoroutine(self.hide_guest_disks(end))
        work.addErrback(
            lambda failure: self._log.failure("an abandoned backup could not be ended", failure)
        )

    async def end_interrupted(self) -> None:
        """End the exports of guests that an earlier daemon has left; failures are logged."""
        # Without such files, no hypervisor needs to be loaded.
        if not self._files.names(self._scratch):
            return
        for name in self._hypervisors:
            live = ILiveBackups(self._hypervisors[name], None)
            if live is not None:
                try:
                    await live.end_interrupted_backups()
                except GanetiError as e:
                    self._log.error("an interrupted backup cannot be ended: {why}", why=str(e))
                except Exception:
                    # The daemon starts all the same, as guests depend on it.
                    self._log.failure("internal error: an interrupted backup is not ended")

    def _find_live(self, guest: Guest) -> ILiveBackups:
        live = ILiveBackups(self._hypervisors.get(guest.hypervisor), None)
        if live is None:
            raise Refused(f"hypervisor {guest.hypervisor} cannot back up guests while they run")
        return live

    # --- ends of transfers

    async def send_areas(self, source: calls.BackupSource, sink: int) -> None:
        """Write the areas of a guest's disk to a descriptor."""
        size = source.guest.disks[source.index].size * MIB
        if source.export is None:
            async with self._raw_paths(source.guest) as paths:
                await self._reader.send_image(paths[source.index], size, sink)
            return
        export = source.export
        nbd = NbdExport(export.socket, export.name, export.bitmap)
        await self._reader.send_export(nbd, size, sink)

    async def store_areas(self, sink: calls.BackupSink, source: int) -> None:
        """Store the areas that are read from a descriptor."""
        access = self._resolve(sink.repository)
        await self._repositories.store_disk(access, sink.backup, sink.index, source)

    async def send_backup(self, source: calls.BackupData, sink: int) -> None:
        """Write a disk of a backup to a descriptor."""
        access = self._resolve(source.repository)
        await self._repositories.restore_disk(access, source.backup, source.index, sink)
