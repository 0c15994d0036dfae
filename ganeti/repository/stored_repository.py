# SPDX-License-Identifier: BSD-2-Clause
"""The objects of a repository in a store; everything here blocks.

``ganeti-repository.json`` says which repository this is. It is looked for before anything is
written, so that nothing is written below the mount point of a file system that is not mounted.
``chunks/XX/NAME`` are the chunks, ``backups/ID`` the manifests, which are written after their
chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from ganeti.errors import Code, Failed, Refused
from ganeti.model.backups import RestoreCheck
from ganeti.repository import manifest as formats
from ganeti.repository.chunk_format import (
    CHUNK_SIZE,
    DIGEST_SIZE,
    ZERO,
    ChunkCodec,
    Damaged,
    fingerprint,
)
from ganeti.repository.folder_store import translate_errors
from ganeti.repository.interfaces import IObjectStore, StoreSpace
from ganeti.repository.manifest import BackupDescription, Manifest
from ganeti.schema.documents import UNREADABLE

T = TypeVar("T")

MARKER = "ganeti-repository.json"
CHECKS = "ganeti-checks"
"""The object with the results of verifications, encrypted if the repository has a key."""

VERSION = 1
_CHUNKS, _BACKUPS = "chunks", "backups"
_DAMAGED = ".damaged"


class Marker(msgspec.Struct):
    """The content of the marker; ``key`` is the fingerprint of the key, or empty."""

    version: int
    identity: str
    chunk_size: int
    key: str


class StoredRepository:
    """The repository in ``store`` with this identity and key; closes the store at the end.

    :raises Refused: there is none, or another one.
    """

    def __init__(self, name: str, store: IObjectStore, identity: str, key: bytes) -> None:
        self.name = name
        self.store = store
        self.codec = ChunkCodec(key)
        self._identity = identity
        self._key = key
        try:
            self.require_marker()
        except BaseException:
            store.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.store.close()

    def require_marker(self) -> None:
        """Check that the repository is there now.

        :raises Refused: it is not; the message says what to do.
        """
        place = self.store.place
        with self.translate_errors("cannot be read"):
            marker = read_marker(self.store)
        if marker is None:
            raise Refused(
                f"{place} is not repository {self.name}: it has no file {MARKER}; mount its"
                " file system on this node, or check the bucket",
            )
        if marker.identity != self._identity:
            raise Refused(
                f"{place} is another repository than {self.name}; mount the right file system,"
                " or add this one under another name"
            )
        if marker.key and not self._key:
            raise Refused(
                f"repository {self.name} is encrypted; add it with its key (--key-file)", Code.INPUT
            )
        if marker.key != fingerprint(self._key):
            raise Refused(f"repository {self.name} was encrypted with another key", Code.INPUT)

    # --- chunks

    def has_chunk(self, digest: bytes) -> bool:
        """Return whether this chunk is stored."""
        with self.translate_errors("cannot be read"):
            return self.store.has_object(_chunk_name(digest))

    def has_chunks(self, digests: Iterable[bytes]) -> bool:
        """Return whether all of these chunks are stored."""
        names = [_chunk_name(digest) for digest in digests if digest != ZERO]
        with self.translate_errors("cannot be read"):
            return self.store.has_objects(names)

    def put_chunk(self, digest: bytes, data: bytes) -> int:
        """Store a chunk; return how many bytes its object has."""
        content = self.codec.encode_chunk(digest, data)
        self._write(_chunk_name(digest), content)
        return len(content)

    def get_chunk(self, digest: bytes, length: int) -> bytes:
        """Return the content of a chunk, which is ``length`` bytes.

        :raises Damaged: it is missing or damaged.
        """
        if digest == ZERO:
            return bytes(length)
        name = _chunk_name(digest)
        path = f"{self.store.place}/{name}"
        try:
            with self.translate_errors("cannot be read"):
                content = self.store.read_object(name)
        except FileNotFoundError:
            self.require_marker()
            raise Damaged(f"chunk {digest.hex()} of repository {self.name} is missing") from None
        try:
            data = self.codec.decode_chunk(digest, content)
        except Damaged as e:
            raise Damaged(f"{path} is damaged: {e}") from None
        if len(data) != length:
            raise Damaged(f"{path} is damaged: it has {len(data)} bytes instead of {length}")
        return data

    def set_aside(self, digest: bytes) -> None:
        """Rename a damaged chunk, so that the chunk is stored again if it is found."""
        name = _chunk_name(digest)
        with self.translate_errors("cannot be written"):
            self.store.rename_object(name, name + _DAMAGED)

    def list_chunks(self) -> Iterator[tuple[bytes, str, int]]:
        """Yield the digest, name and size of the object of each chunk, and remove damaged ones."""
        for name, size in self.store.list_objects(_CHUNKS):
            if name.endswith(_DAMAGED):
                self.store.remove_object(name)
            with suppress(ValueError):
                digest = bytes.fromhex(name.rpartition("/")[2])
                if len(digest) == DIGEST_SIZE:
                    yield digest, name, size

    # --- manifests

    def list_backups(self) -> list[str]:
        """Return the IDs of all backups, the oldest first."""
        with self.translate_errors("cannot be read"):
            found = [name.rpartition("/")[2] for name, _ in self.store.list_objects(_BACKUPS)]
        return sorted(found)

    def read_description(self, backup: str) -> BackupDescription:
        """Return what a manifest says, without its chunks.

        :raises Refused: there is no such backup.
        :raises Damaged: its object is damaged.
        """
        content = self._read_manifest(backup, formats.MAX_HEAD)
        needed = self._checked(backup, lambda: formats.head_size(content))
        if needed > len(content):
            content = self._read_manifest(backup, needed)
        return self._checked(backup, lambda: formats.read_description(backup, content, self.codec))

    def read_manifest(self, backup: str) -> Manifest:
        """Return a manifest; raises as ``read_description``."""
        content = self._read_manifest(backup)
        return self._checked(backup, lambda: formats.decode(backup, content, self.codec))

    def put_manifest(self, manifest: Manifest) -> None:
        """Store a manifest, which makes its backup exist."""
        self.require_marker()
        name = _manifest_name(manifest.description.summary.id)
        with self.translate_errors("cannot be written"):
            if self.store.has_object(name):
                raise Refused(f"repository {self.name} has this backup already", Code.EXISTS)
            # Names of chunks first, also those that others have written and not synced yet.
            self.store.sync_folder(_CHUNKS)
        self._write(name, formats.encode(manifest, self.codec))
        with self.translate_errors("cannot be written"):
            self.store.sync_folder(_BACKUPS)

    def remove_manifest(self, backup: str) -> None:
        """Remove a manifest, durably; succeed if there is none."""
        with self.translate_errors("cannot be written"):
            self.store.remove_object(_manifest_name(backup))
            self.store.sync_folder(_BACKUPS)

    def _read_manifest(self, backup: str, length: int | None = None) -> bytes:
        try:
            with self.translate_errors("cannot be read"):
                return self.store.read_object(_manifest_name(backup), length)
        except FileNotFoundError:
            self.require_marker()
            raise Refused(
                f"repository {self.name} has no backup {backup}; see gnt-backup list-backups"
                f" {self.name}",
                Code.UNKNOWN,
            ) from None

    def _checked(self, backup: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except Damaged as e:
            path = f"{self.store.place}/{_manifest_name(backup)}"
            raise Damaged(f"backup {backup} cannot be read, {path} is damaged: {e}") from None

    # --- checks

    def read_checks(self) -> dict[str, RestoreCheck]:
        """Return what verifications by restoring have found, by backup; nothing if it is lost."""
        try:
            with self.translate_errors("cannot be read"):
                content = self.store.read_object(CHECKS)
            return msgspec.json.decode(
                self.codec.unseal_part(content, CHECKS.encode()), type=dict[str, RestoreCheck]
            )
        except (FileNotFoundError, Damaged, *UNREADABLE):
            return {}

    def record_check(self, backup: str, check: RestoreCheck) -> None:
        """Record a verification, and forget those of backups that are removed."""
        known = {**self.read_checks(), backup: check}
        kept = {name: known[name] for name in self.list_backups() if name in known}
        content = self.codec.seal_part(msgspec.json.encode(kept), CHECKS.encode())
        self._write(CHECKS, content)

    # --- all of it

    def measure(self) -> StoreSpace | None:
        """Return the space of the store; None if it has no limit that is known."""
        with self.translate_errors("cannot be read"):
            return self.store.measure_store()

    def remove_unfinished(self) -> None:
        """Remove what earlier daemons have not completed; nothing must be writing now."""
        with self.translate_errors("cannot be written"):
            self.store.remove_unfinished()

    def _write(self, name: str, content: bytes) -> None:
        try:
            with self.translate_errors("cannot be written"):
                self.store.write_object(name, content)
        except FileNotFoundError as e:
            # Without the marker, nothing is mounted here.
            self.require_marker()
            raise Failed(f"repository {self.name} is incomplete: {e}", Code.ENVIRONMENT) from None

    def translate_errors(self, what: str) -> AbstractContextManager[None]:
        """Translate errors of the store, but for missing objects."""
        return translate_errors(f"repository {self.name} {what}")


def create_repository(store: IObjectStore, identity: str, key: bytes) -> None:
    """Make an empty store a repository.

    :raises Refused: it does not exist, or is not empty.
    """
    with translate_errors(f"{store.place} cannot become a repository"):
        if read_marker(store) is not None:
            raise Refused(
                f"{store.place} is a repository already; use --existing to add it with its backups",
                Code.EXISTS,
            )
        store.prepare((_CHUNKS, _BACKUPS))
        marker = Marker(
            version=VERSION, identity=identity, chunk_size=CHUNK_SIZE, key=fingerprint(key)
        )
        # Last: without it, there is no repository.
        store.write_object(MARKER, msgspec.json.encode(marker) + b"\n")
        store.sync_folder("")


def read_marker(store: IObjectStore) -> Marker | None:
    """Return what a store says it is; None if it is no repository.

    :raises Failed: the marker is damaged, or of a later version.
    """
    try:
        content = store.read_object(MARKER, 4096)
    except FileNotFoundError:
        return None
    try:
        marker = msgspec.json.decode(content, type=Marker)
    except UNREADABLE as e:
        raise Damaged(f"{store.place}/{MARKER} is damaged: {e}") from None
    if marker.version != VERSION or marker.chunk_size != CHUNK_SIZE:
        raise Failed(
            f"{store.place} has the format of a later release; upgrade this node", Code.STATE
        )
    return marker


def _chunk_name(digest: bytes) -> str:
    name = digest.hex()
    return f"{_CHUNKS}/{name[:2]}/{name}"


def _manifest_name(backup: str) -> str:
    if "/" in backup or backup.startswith("."):
        raise Refused(f"{backup!r} is not the ID of a backup", Code.INPUT)
    return f"{_BACKUPS}/{backup}"


def chunk_lengths(size: int) -> Sequence[int]:
    """Return the lengths of the chunks of a disk of ``size`` bytes."""
    whole, rest = divmod(size, CHUNK_SIZE)
    return [CHUNK_SIZE] * whole + ([rest] if rest else [])
