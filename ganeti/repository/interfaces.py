# SPDX-License-Identifier: BSD-2-Clause
"""The interfaces of repositories and of the reading of disks, on a node.

Every method that fails because of a repository raises ``Failed`` or ``Refused`` with its name. A
canceled method has ended when its ``Deferred`` fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from zope.interface import Attribute, Interface

from ganeti.model.backups import BackupSummary, RepositoryAccess
from ganeti.repository.disk_source import NbdExport
from ganeti.repository.manifest import BackupDescription


@dataclass(frozen=True)
class StoreSpace:
    """The space of a store in bytes."""

    size: int
    free: int


class IObjectStore(Interface):
    """Objects by name, such as ``chunks/ab/abcd``; its methods block, in several threads at once.

    They raise ``OSError`` with the reason if the store fails, ``FileNotFoundError`` for an object
    that does not exist. After a write that failed, nothing is there, or all of it.
    """

    place: str = Attribute("Where the store is, for messages: a path or an address.")
    threads: int = Attribute("How many objects of one disk should be written at once.")

    def prepare(folders: Iterable[str]) -> None:
        """Check that nothing is here, and prepare for objects in folders.

        :raises Refused: the place does not exist, or is not empty.
        """

    def has_object(name: str) -> bool:
        """Return whether an object exists."""

    def has_objects(names: Sequence[str]) -> bool:
        """Return whether all of these objects exist."""

    def read_object(name: str, length: int | None = None) -> bytes:
        """Return the content of an object, or so many bytes from its begin."""

    def write_object(name: str, content: bytes) -> None:
        """Create or replace an object; its content is durable, its name after ``sync_folder``."""

    def rename_object(name: str, new: str) -> None:
        """Rename an object; succeed if it does not exist."""

    def remove_object(name: str) -> None:
        """Remove an object; succeed if it does not exist."""

    def list_objects(folder: str) -> Iterator[tuple[str, int]]:
        """Yield the names and sizes in bytes of all objects below a folder."""

    def sync_folder(folder: str) -> None:
        """Make the names below a folder durable."""

    def remove_unfinished() -> None:
        """Remove what interrupted writes have left."""

    def measure_store() -> StoreSpace | None:
        """Return the space of the store; None if it is not known."""

    def close() -> None:
        """Close what is open; the store is not used any more."""


@dataclass(frozen=True)
class RepositorySpace:
    """The space of a repository in bytes, if it is known, and the number of its backups."""

    space: StoreSpace | None
    backups: int


@dataclass(frozen=True)
class RemovedData:
    """What a removal has freed: chunks, and bytes."""

    chunks: int
    bytes: int


class IRepositories(Interface):
    """The repositories that this node uses.

    A backup is written by ``begin_writing``, ``store_disk`` for each disk, and ``commit_backup`` or
    ``abandon_backup``; it exists from ``commit_backup`` on.
    """

    async def create_repository(access: RepositoryAccess) -> None:
        """Make the empty place at ``access.path`` a repository with this identity and key.

        :raises Refused: it does not exist, or is not empty.
        """

    async def identify_repository(access: RepositoryAccess) -> str:
        """Return the identity of the repository that is there; empty if there is none."""

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

    async def check_restored(access: RepositoryAccess, backup: str, at: int) -> str:
        """Read a backup as a restore does, and compare it with what was backed up.

        Return the problem, or an empty text; it is recorded with the time ``at``, and shown by
        ``list_summaries``.
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
