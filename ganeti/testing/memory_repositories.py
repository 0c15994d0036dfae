# SPDX-License-Identifier: BSD-2-Clause
"""Repositories in memory, and a reader of disks that reads nothing."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.backups import BackupSummary, RepositoryAccess, RestoreCheck, StoredDisk
from ganeti.repository.disk_source import NbdExport
from ganeti.repository.interfaces import (
    IDiskReader,
    IRepositories,
    RemovedData,
    RepositorySpace,
    StoreSpace,
)
from ganeti.repository.manifest import BackupDescription
from ganeti.schema.records import replace


@implementer(IRepositories)
class MemoryRepositories:
    """Repositories by path, which outlive the daemon; it forgets by ``forget_unfinished``.

    Each disk that is stored has ``size`` bytes. ``damaged`` are lines for ``verify``; with
    ``full``, nothing can be stored.
    """

    def __init__(self) -> None:
        self.found: dict[str, RepositoryAccess] = {}
        self.backups: dict[str, list[BackupDescription]] = {}
        self.begun: dict[str, set[int]] = {}
        self.read: list[tuple[str, int]] = []
        self.damaged: list[str] = []
        self.size = 64 << 20
        self.full = False

    def forget_unfinished(self) -> None:
        self.begun.clear()

    async def create_repository(self, access: RepositoryAccess) -> None:
        if access.path in self.found:
            raise Refused(f"{access.path} is a repository already", Code.EXISTS)
        self.found[access.path] = access
        self.backups[access.identity] = []

    async def identify_repository(self, access: RepositoryAccess) -> str:
        found = self.found.get(access.path)
        return found.identity if found is not None else ""

    async def measure_space(self, access: RepositoryAccess) -> RepositorySpace:
        return RepositorySpace(StoreSpace(1 << 40, 1 << 39), len(self._require(access)))

    async def list_summaries(self, access: RepositoryAccess) -> list[BackupSummary]:
        return sorted(
            (each.summary for each in self._require(access)), key=lambda each: str(each.id)
        )

    async def describe_backup(self, access: RepositoryAccess, backup: str) -> BackupDescription:
        for each in self._require(access):
            if each.summary.id == backup:
                return each
        raise Refused(f"repository {access.name} has no backup {backup}", Code.UNKNOWN)

    async def begin_writing(
        self, access: RepositoryAccess, backup: str, instance: str
    ) -> BackupSummary | None:
        known = [each for each in await self.list_summaries(access) if each.uuid == instance]
        self.begun[backup] = set()
        return known[-1] if known else None

    async def store_disk(
        self, access: RepositoryAccess, backup: str, index: int, source: int
    ) -> None:
        self._require(access)
        if self.full:
            raise Failed(f"repository {access.name}: no space left on device", Code.RESOURCES)
        self.begun[backup].add(index)

    async def commit_backup(
        self, access: RepositoryAccess, backup: BackupDescription
    ) -> BackupSummary:
        disks = tuple(
            StoredDisk(name=each.name, size=self.size, read=self.size, written=self.size)
            for each in backup.summary.disks
        )
        if self.begun.pop(backup.summary.id) != set(range(len(disks))):
            raise Failed("not all disks were stored", Code.INTERNAL)
        summary = replace(backup.summary, disks=disks)
        self._require(access).append(replace(backup, summary=summary))
        return summary

    async def abandon_backup(self, access: RepositoryAccess, backup: str) -> None:
        self.begun.pop(backup, None)

    async def restore_disk(
        self, access: RepositoryAccess, backup: str, index: int, sink: int
    ) -> None:
        await self.describe_backup(access, backup)
        self.read.append((backup, index))

    async def verify_chunks(
        self, access: RepositoryAccess, backups: Sequence[str], part: int, parts: int
    ) -> list[str]:
        for each in backups:
            await self.describe_backup(access, each)
        return self.damaged if part == 0 else []

    async def check_restored(self, access: RepositoryAccess, backup: str, at: int) -> str:
        found = await self.describe_backup(access, backup)
        problem = self.damaged[0] if self.damaged else ""
        check = RestoreCheck(at=at, problem=problem)
        known = self._require(access)
        known[known.index(found)] = replace(found, summary=replace(found.summary, check=check))
        return problem

    async def remove_backups(self, access: RepositoryAccess, backups: Sequence[str]) -> RemovedData:
        kept = [each for each in self._require(access) if each.summary.id not in backups]
        removed = len(self._require(access)) - len(kept)
        self.backups[access.identity] = kept
        return RemovedData(removed, removed * self.size)

    def is_writing(self, backup: str) -> bool:
        return backup in self.begun

    def _require(self, access: RepositoryAccess) -> list[BackupDescription]:
        if self.found.get(access.path) != access:
            raise Refused(f"{access.path} is not repository {access.name}")
        return self.backups[access.identity]


@implementer(IDiskReader)
class MemoryDiskReader:
    """Records which disks it was asked for."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send_image(self, path: str, size: int, sink: int) -> None:
        self.sent.append(path)

    async def send_export(self, export: NbdExport, size: int, sink: int) -> None:
        self.sent.append(f"{export.socket}/{export.name}?{export.bitmap}")
