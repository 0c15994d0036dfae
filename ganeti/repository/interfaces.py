# SPDX-License-Identifier: BSD-2-Clause
"""The interfaces of repositories and of the reading of disks, on a node.

Every method that fails because of a repository raises ``Failed`` or ``Refused`` with its name. A
canceled method has ended when its ``Deferred`` fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zope.interface import Interface

from ganeti.model.backups import BackupSummary, RepositoryAccess
from ganeti.repository.disk_source import NbdExport
from ganeti.repository.manifest import BackupDescription


@dataclass(frozen=True)
class RepositorySpace:
    """The space of a repository's file system in bytes, and the number of its backups."""

    size: int
    free: int
    backups: int


@dataclass(frozen=True)
class RemovedData:
    """What a removal has freed: chunks, and bytes."""

    chunks: int
    bytes: int


class IRepositories(Interface):
    """The repositories in folders of this node.

    A backup is written by ``begin_writing``, ``store_disk`` for each disk, and ``commit_backup`` or
    ``abandon_backup``; it exists from ``commit_backup`` on.
    """

    async def create_repository(access: RepositoryAccess) -> None:
        """Make the empty folder at ``access.path`` a repository with this identity and key.

        :raises Refused: it does not exist, or is not empty.
        """

    async def identify_repository(path: str) -> str:
        """Return the identity of the repository in a folder; empty if it is none."""

    async def measure_space(access: RepositoryAccess) -> RepositorySpace:
        """Return the space of a repository."""

    async def list_summaries(access: RepositoryAccess) -> list[BackupSummary]:
        """Return all backups, the oldest first; damaged ones with their problem."""

    async def describe_backup(access: RepositoryAccess, backup: str) -> BackupDescription:
        """Return what the manifest of a backup says.

        :raises Refused: there is no such backup.
        """

    async def begin_writing(
        access: RepositoryAccess, backup: str, instance: str
    ) -> BackupSummary | None:
        """Begin a backup; return the newest one of the instance with this UUID, if there is one.

        Until the new one has ended, the chunks of that one are kept.
        """

    async def store_disk(access: RepositoryAccess, backup: str, index: int, source: int) -> None:
        """Store a disk from a stream of areas, which is read from a descriptor to its end."""

    async def commit_backup(access: RepositoryAccess, backup: BackupDescription) -> BackupSummary:
        """Complete a backup, all of whose disks are stored; return it with their sizes."""

    async def abandon_backup(access: RepositoryAccess, backup: str) -> None:
        """Give up a backup; succeed if it does not exist or has ended."""

    async def restore_disk(access: RepositoryAccess, backup: str, index: int, sink: int) -> None:
        """Write a disk of a backup to a descriptor, from its begin to its end.

        :raises Failed: a chunk is damaged; with the area of the disk.
        """

    async def verify_chunks(
        access: RepositoryAccess, backups: Sequence[str], part: int, parts: int
    ) -> list[str]:
        """Read one of several parts of the chunks of backups; return what is damaged.

        Each line names a chunk, and the areas of disks and backups that need it.
        """

    async def remove_backups(access: RepositoryAccess, backups: Sequence[str]) -> RemovedData:
        """Remove backups, and the chunks that no other backup needs.

        :raises Refused: one of them is being read.
        """

    def is_writing(backup: str) -> bool:
        """Return whether a backup has begun here, and has not ended."""


class IDiskReader(Interface):
    """Reads disks of this node for backups."""

    async def send_image(path: str, size: int, sink: int) -> None:
        """Write the stream of areas of a file or device to a descriptor."""

    async def send_export(export: NbdExport, size: int, sink: int) -> None:
        """Write the stream of areas of an export of QEMU, or of its changes, to a descriptor."""
