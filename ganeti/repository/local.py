# SPDX-License-Identifier: BSD-2-Clause
"""Repositories that this host uses, and disks of this host, each used in a thread."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.backups import BackupSummary, RepositoryAccess, RestoreCheck, StoredDisk
from ganeti.repository.chunk_format import CHUNK_SIZE, ZERO, ChunkCodec, ContentDigest, Damaged
from ganeti.repository.disk_source import NbdExport, send_export, send_image
from ganeti.repository.disk_writer import DiskWriter, WrittenDisk
from ganeti.repository.extents import read_extents, read_head
from ganeti.repository.folder_store import translate_errors
from ganeti.repository.interfaces import (
    IDiskReader,
    IRepositories,
    RemovedData,
    RepositorySpace,
)
from ganeti.repository.manifest import BackupDescription, Manifest
from ganeti.repository.stored_repository import (
    StoredRepository,
    chunk_lengths,
    create_repository,
    read_marker,
)
from ganeti.repository.stores import OpenStore, open_store
from ganeti.repository.usage import RepositoryUsage
from ganeti.schema.records import replace
from ganeti.system.cancellation import CancelSwitch
from ganeti.system.stream_endpoints import PipeSink, PipeSource
from ganeti.system.work_threads import RunWork

MAX_AREAS = 5
"""Maximum number of areas that are named for a damaged chunk."""


@dataclass
class _Session:
    """A backup in progress: the manifest of its parent, and the disks that are stored."""

    usage: RepositoryUsage
    parent: Manifest | None = None
    disks: dict[int, WrittenDisk] = field(default_factory=dict)


@implementer(IRepositories)
class LocalRepositories:
    """Repositories that this host uses; ``run`` runs blocking work in a thread.

    ``store`` returns the store of a repository.
    """

    def __init__(self, run: RunWork, store: OpenStore = open_store) -> None:
        self._run = run
        self._store = store
        self._usages: defaultdict[str, RepositoryUsage] = defaultdict(RepositoryUsage)
        self._sessions: dict[str, _Session] = {}
        self._cleaned: set[str] = set()
        self._checks = Lock()
        """Held while what was found is added to what is known."""

    def _open(self, access: RepositoryAccess, switch: CancelSwitch) -> StoredRepository:
        store = self._store(access, switch)
        return StoredRepository(access.name, store, access.identity, _key(access))

    async def create_repository(self, access: RepositoryAccess) -> None:
        def create(switch: CancelSwitch) -> None:
            with closing(self._store(access, switch)) as store:
                create_repository(store, access.identity, _key(access))

        await self._run(create)

    async def identify_repository(self, access: RepositoryAccess) -> str:
        def identify(switch: CancelSwitch) -> str:
            failing = translate_errors(f"{access.path} cannot be read")
            with closing(self._store(access, switch)) as store, failing:
                marker = read_marker(store)
            return marker.identity if marker is not None else ""

        return await self._run(identify)

    async def measure_space(self, access: RepositoryAccess) -> RepositorySpace:
        def measure(switch: CancelSwitch) -> RepositorySpace:
            with self._open(access, switch) as repository:
                return RepositorySpace(repository.measure(), len(repository.list_backups()))

        return await self._run(measure)

    async def list_summaries(self, access: RepositoryAccess) -> list[BackupSummary]:
        def collect(switch: CancelSwitch) -> list[BackupSummary]:
            with self._open(access, switch) as repository:
                return _summaries(repository)

        return await self._run(collect)

    async def describe_backup(self, access: RepositoryAccess, backup: str) -> BackupDescription:
        def describe(switch: CancelSwitch) -> BackupDescription:
            with self._open(access, switch) as repository:
                return repository.read_description(backup)

        return await self._run(describe)

    # --- writing

    async def begin_writing(
        self, access: RepositoryAccess, backup: str, instance: str
    ) -> BackupSummary | None:
        usage = self._usages[access.identity]
        if backup in self._sessions:
            raise Refused(f"backup {backup} has begun already", Code.EXISTS)
        # Once, as a repository may have millions of files.
        first = access.identity not in self._cleaned and usage.idle

        def begin(switch: CancelSwitch) -> Manifest | None:
            with self._open(access, switch) as repository:
                if first:
                    repository.remove_unfinished()
                    self._cleaned.add(access.identity)
                known = [each for each in _summaries(repository) if each.uuid == instance]
                if not known:
                    return None
                with usage.pin_backups([known[-1].id]):
                    manifest = repository.read_manifest(known[-1].id)
                    digests = {each for chunks in manifest.disks for each in chunks}
                    usage.claim_chunks(backup, digests)
                # Otherwise this backup would be as incomplete as that one.
                return manifest if repository.has_chunks(digests) else None

        session = _Session(usage)
        usage.begin_claims(backup)
        self._sessions[backup] = session
        try:
            session.parent = await self._run(begin)
        except BaseException:
            self._end(backup)
            raise
        return session.parent.description.summary if session.parent else None

    async def store_disk(
        self, access: RepositoryAccess, backup: str, index: int, source: int
    ) -> None:
        session = self._session(backup)
        parent: tuple[Sequence[bytes], int] = ((), 0)
        if session.parent is not None and index < len(session.parent.disks):
            size = session.parent.description.summary.disks[index].size
            parent = session.parent.disks[index], size

        def store(switch: CancelSwitch) -> WrittenDisk:
            repository = self._open(access, switch)
            pipe = PipeSource(os.dup(source), switch)
            try:
                read = _exact_reader(pipe)
                head = read_head(read)
                claim: Callable[[bytes], None] = lambda digest: session.usage.claim_chunks(  # noqa: E731
                    backup, (digest,)
                )
                writer = DiskWriter(repository, head, claim, *parent)
                try:
                    for extent in read_extents(read, head.size):
                        writer.add_extent(extent)
                        switch.check()
                    return writer.finish_disk()
                finally:
                    writer.end_threads()
            finally:
                pipe.close()
                repository.store.close()

        session.disks[index] = await self._run(store)

    async def commit_backup(
        self, access: RepositoryAccess, backup: BackupDescription
    ) -> BackupSummary:
        name = backup.summary.id
        session = self._session(name)
        if sorted(session.disks) != list(range(len(backup.summary.disks))):
            raise Failed(f"not all disks of backup {name} were stored", Code.INTERNAL)
        written = [session.disks[index] for index in sorted(session.disks)]
        disks = tuple(
            StoredDisk(
                name=disk.name,
                size=found.size,
                read=found.read,
                written=found.written,
                incremental=found.changes,
                digest=_combine_names(found.chunks, _key(access)),
            )
            for disk, found in zip(backup.summary.disks, written, strict=True)
        )
        parent = ""
        if session.parent is not None and any(each.changes for each in written):
            parent = session.parent.description.summary.id
        summary = replace(backup.summary, disks=disks, parent=parent)
        manifest = Manifest(
            replace(backup, summary=summary), tuple(each.chunks for each in written)
        )

        def put(switch: CancelSwitch) -> None:
            with self._open(access, switch) as repository:
                repository.put_manifest(manifest)

        await self._run(put)
        self._end(name)
        return summary

    async def abandon_backup(self, access: RepositoryAccess, backup: str) -> None:
        self._end(backup)

    def is_writing(self, backup: str) -> bool:
        return backup in self._sessions

    def _session(self, backup: str) -> _Session:
        if backup not in self._sessions:
            raise Failed(
                f"backup {backup} is not known any more; the node daemon was restarted",
                Code.ENVIRONMENT,
            )
        return self._sessions[backup]

    def _end(self, backup: str) -> None:
        if session := self._sessions.pop(backup, None):
            session.usage.end_claims(backup)

    # --- reading

    async def restore_disk(
        self, access: RepositoryAccess, backup: str, index: int, sink: int
    ) -> None:
        usage = self._usages[access.identity]

        def restore(switch: CancelSwitch) -> None:
            pipe = PipeSink(os.dup(sink), switch)
            try:
                with self._open(access, switch) as repository, usage.pin_backups([backup]):
                    manifest = repository.read_manifest(backup)
                    _send_chunks(repository, manifest, index, pipe, switch)
            finally:
                pipe.close()

        await self._run(restore)

    async def verify_chunks(
        self, access: RepositoryAccess, backups: Sequence[str], part: int, parts: int
    ) -> list[str]:
        usage = self._usages[access.identity]

        def verify(switch: CancelSwitch) -> list[str]:
            with self._open(access, switch) as repository, usage.pin_backups(backups):
                return _verify(repository, usage, backups, part, parts, switch)

        return await self._run(verify)

    async def check_restored(self, access: RepositoryAccess, backup: str, at: int) -> str:
        usage = self._usages[access.identity]

        def check(switch: CancelSwitch) -> str:
            with self._open(access, switch) as repository, usage.pin_backups([backup]):
                problem = _find_difference(repository, backup, switch)
                with self._checks:
                    repository.record_check(backup, RestoreCheck(at=at, problem=problem))
                return problem

        return await self._run(check)

    # --- removal

    async def remove_backups(self, access: RepositoryAccess, backups: Sequence[str]) -> RemovedData:
        usage = self._usages[access.identity]

        def remove(switch: CancelSwitch) -> RemovedData:
            with self._open(access, switch) as repository:
                usage.remove_unused(backups, repository.remove_manifest)
                return _sweep(repository, usage, switch)

        return await self._run(remove)


def _key(access: RepositoryAccess) -> bytes:
    return bytes.fromhex(access.key)


def _summaries(repository: StoredRepository) -> list[BackupSummary]:
    checks = repository.read_checks()
    return [
        replace(_summary(repository, name), check=checks.get(name))
        for name in repository.list_backups()
    ]


def _summary(repository: StoredRepository, name: str) -> BackupSummary:
    try:
        return repository.read_description(name).summary
    except Damaged as e:
        # One that is damaged must not hide the others.
        return BackupSummary(id=name, instance="", uuid="", cluster="", created=0, problem=str(e))


def _exact_reader(pipe: PipeSource) -> Callable[[int], bytes]:
    """Return a function that reads exactly so many bytes, fewer only at the end."""

    def read(length: int) -> bytes:
        content = bytearray(length)
        with memoryview(content) as view:
            done = 0
            while done < length and (amount := pipe.read_into(view[done:])):
                done += amount
        return bytes(content[:done])

    return read


def _send_chunks(
    repository: StoredRepository,
    manifest: Manifest,
    index: int,
    pipe: PipeSink,
    switch: CancelSwitch,
) -> None:
    for data in _read_disk(repository, manifest, index):
        pipe.write_from(bytearray(data), len(data))
        switch.check()


def _read_disk(repository: StoredRepository, manifest: Manifest, index: int) -> Iterator[bytes]:
    """Yield the content of a disk in pieces.

    :raises Failed: a chunk is damaged; with its area.
    """
    if index >= len(manifest.disks):
        raise Refused(f"backup {manifest.description.summary.id} has no disk {index}", Code.INPUT)
    size = manifest.description.summary.disks[index].size
    for number, (digest, length) in enumerate(
        zip(manifest.disks[index], chunk_lengths(size), strict=True)
    ):
        try:
            data = repository.get_chunk(digest, length)
        except Damaged as e:
            area = _area(number, length)
            raise Failed(f"{area} of disk {index} cannot be restored: {e}", e.code) from None
        yield data


def _combine_names(chunks: Sequence[bytes], key: bytes) -> str:
    digest = ContentDigest(ChunkCodec(key))
    for name in chunks:
        digest.add_name(name)
    return digest.finish()


def _find_difference(repository: StoredRepository, backup: str, switch: CancelSwitch) -> str:
    """Return how what is restored differs from what was backed up; empty if it does not."""
    try:
        manifest = repository.read_manifest(backup)
        for index, disk in enumerate(manifest.description.summary.disks):
            digest, size = ContentDigest(repository.codec), 0
            for data in _read_disk(repository, manifest, index):
                digest.add_piece(data)
                size += len(data)
                switch.check()
            if size != disk.size or disk.digest not in ("", digest.finish()):
                return f"{disk.name} is restored with other data than it had"
    except Failed as e:
        return str(e)
    return ""


def _area(number: int, length: int) -> str:
    begin = number * CHUNK_SIZE
    return f"bytes {begin} to {begin + length - 1}"


def _verify(
    repository: StoredRepository,
    usage: RepositoryUsage,
    backups: Sequence[str],
    part: int,
    parts: int,
    switch: CancelSwitch,
) -> list[str]:
    damaged: list[str] = []
    lengths: dict[bytes, int] = {}
    manifests: dict[str, Manifest] = {}
    for name in backups:
        try:
            manifests[name] = repository.read_manifest(name)
        except Damaged as e:
            if part == 0:
                damaged.append(str(e))
    for manifest in manifests.values():
        for disk, chunks in zip(manifest.description.summary.disks, manifest.disks, strict=True):
            for digest, length in zip(chunks, chunk_lengths(disk.size), strict=True):
                if digest != ZERO and digest[0] % parts == part:
                    lengths[digest] = length
    for digest in sorted(lengths):
        switch.check()
        try:
            repository.get_chunk(digest, lengths[digest])
        except Damaged as e:
            # Reported all the same if it cannot be renamed; a backup in progress may rely on it.
            with suppress(Failed):
                usage.remove_unclaimed(digest, partial(repository.set_aside, digest))
            damaged.append(f"{e}; needed by {_users(digest, manifests)}")
    return damaged


def _users(digest: bytes, manifests: dict[str, Manifest]) -> str:
    """Return which areas of which backups need a chunk."""
    found = []
    for name, manifest in manifests.items():
        summary = manifest.description.summary
        for disk, chunks in zip(summary.disks, manifest.disks, strict=True):
            lengths = chunk_lengths(disk.size)
            areas = [
                _area(number, lengths[number])
                for number, each in enumerate(chunks)
                if each == digest
            ]
            if areas:
                more = f" and {len(areas) - MAX_AREAS} more" if len(areas) > MAX_AREAS else ""
                listed = ", ".join(areas[:MAX_AREAS])
                found.append(f"backup {name} of {summary.instance}, {disk.name}: {listed}{more}")
    return "; ".join(found)


def _sweep(
    repository: StoredRepository, usage: RepositoryUsage, switch: CancelSwitch
) -> RemovedData:
    """Remove the chunks that nothing needs."""
    chunks = freed = 0
    with usage.sweep_chunks() as remove_unclaimed:
        needed: set[bytes] = set()
        # A manifest that cannot be read ends the sweep: its chunks may be all that is left of it.
        for name in repository.list_backups():
            for listed in repository.read_manifest(name).disks:
                needed.update(listed)
        with repository.translate_errors("cannot be written"):
            for digest, name, size in repository.list_chunks():
                switch.check()
                if digest in needed:
                    continue
                if remove_unclaimed(digest, partial(repository.store.remove_object, name)):
                    chunks, freed = chunks + 1, freed + size
    return RemovedData(chunks, freed)


@implementer(IDiskReader)
class LocalDiskReader:
    """Reads disks of this host; ``run`` runs blocking work in a thread."""

    def __init__(self, run: RunWork) -> None:
        self._run = run

    async def send_image(self, path: str, size: int, sink: int) -> None:
        def send(switch: CancelSwitch) -> None:
            pipe = PipeSink(os.dup(sink), switch)
            try:
                with translate_errors(f"{path} cannot be read"):
                    send_image(path, size, _writer(pipe, switch))
            finally:
                pipe.close()

        await self._run(send)

    async def send_export(self, export: NbdExport, size: int, sink: int) -> None:
        def send(switch: CancelSwitch) -> None:
            pipe = PipeSink(os.dup(sink), switch)
            try:
                send_export(export, size, _writer(pipe, switch), switch)
            finally:
                pipe.close()

        await self._run(send)


def _writer(pipe: PipeSink, switch: CancelSwitch) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        pipe.write_from(bytearray(data), len(data))
        switch.check()

    return write
