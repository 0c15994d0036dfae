# SPDX-License-Identifier: BSD-2-Clause
"""The folder of a repository; everything here blocks.

``ganeti-repository.json`` says which repository this is. It is looked for before anything is
written, so that nothing is written below the mount point of a file system that is not mounted.
``chunks/XX/NAME`` are the chunks, ``backups/ID`` the manifests. Files appear complete or not at
all: they are written under a temporary name, synced and renamed, a manifest after its chunks.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeVar

import msgspec

from ganeti.errors import Code, Failed, Refused
from ganeti.repository import manifest as formats
from ganeti.repository.chunk_format import (
    CHUNK_SIZE,
    DIGEST_SIZE,
    ZERO,
    ChunkCodec,
    Damaged,
    fingerprint,
)
from ganeti.repository.manifest import BackupDescription, Manifest
from ganeti.schema.documents import UNREADABLE

T = TypeVar("T")

MARKER = "ganeti-repository.json"
VERSION = 1
_CHUNKS, _BACKUPS = "chunks", "backups"
_UNFINISHED = ".tmp"
_DAMAGED = ".damaged"
_IGNORED = frozenset(("lost+found",))
"""What an empty file system may contain."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Marker(msgspec.Struct):
    """The content of the marker file; ``key`` is the fingerprint of the key, or empty."""

    version: int
    identity: str
    chunk_size: int
    key: str


class RepositoryFolder:
    """A repository at ``path`` with this identity and key.

    :raises Refused: there is none, or another one.
    """

    def __init__(self, name: str, path: str, identity: str, key: bytes) -> None:
        self.name = name
        self.path = path
        self.codec = ChunkCodec(key)
        self._identity = identity
        self._key = key
        self.require_marker()

    def require_marker(self) -> None:
        """Check that the repository is there now.

        :raises Refused: it is not; the message says what to do.
        """
        with self.translate_errors("cannot be read"):
            marker = read_marker(self.path)
        if marker is None:
            raise Refused(
                f"{self.path} is not repository {self.name}: it has no file {MARKER}; mount its"
                " file system on this node",
            )
        if marker.identity != self._identity:
            raise Refused(
                f"{self.path} is another repository than {self.name}; mount the right file system,"
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
        """Return whether there is a file for this chunk."""
        with self.translate_errors("cannot be read"):
            return os.path.exists(self._chunk_path(digest))

    def put_chunk(self, digest: bytes, data: bytes) -> int:
        """Store a chunk; return how many bytes its file has."""
        content = self.codec.encode_chunk(digest, data)
        with self.translate_errors("cannot be written"):
            self._write(self._chunk_path(digest), content)
        return len(content)

    def get_chunk(self, digest: bytes, length: int) -> bytes:
        """Return the content of a chunk, which is ``length`` bytes.

        :raises Damaged: it is missing or damaged.
        """
        if digest == ZERO:
            return bytes(length)
        path = self._chunk_path(digest)
        try:
            with self.translate_errors("cannot be read"), open(path, "rb") as file:
                content = file.read()
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
        """Rename the file of a damaged chunk, so that the chunk is stored again if it is found."""
        path = self._chunk_path(digest)
        with self.translate_errors("cannot be written"), suppress(FileNotFoundError):
            os.rename(path, path + _DAMAGED)

    def list_chunk_files(self) -> Iterator[tuple[bytes, str]]:
        """Yield the digest and path of the file of each chunk, and remove damaged ones."""
        top = f"{self.path}/{_CHUNKS}"
        for folder in sorted(os.listdir(top)):
            for name in sorted(os.listdir(f"{top}/{folder}")):
                path = f"{top}/{folder}/{name}"
                if name.endswith(_DAMAGED):
                    os.unlink(path)
                with suppress(ValueError):
                    digest = bytes.fromhex(name)
                    if len(digest) == DIGEST_SIZE:
                        yield digest, path

    def _chunk_path(self, digest: bytes) -> str:
        name = digest.hex()
        return f"{self.path}/{_CHUNKS}/{name[:2]}/{name}"

    # --- manifests

    def list_backups(self) -> list[str]:
        """Return the IDs of all backups, the oldest first."""
        with self.translate_errors("cannot be read"):
            names = os.listdir(f"{self.path}/{_BACKUPS}")
        return sorted(name for name in names if not name.endswith(_UNFINISHED))

    def read_description(self, backup: str) -> BackupDescription:
        """Return what a manifest says, without its chunks.

        :raises Refused: there is no such backup.
        :raises Damaged: its file is damaged.
        """
        with self._opened(backup) as file:
            content = file.read(formats.MAX_HEAD)
            needed = self._checked(backup, lambda: formats.head_size(content))
            if needed > len(content):
                content += file.read(needed - len(content))
        return self._checked(backup, lambda: formats.read_description(backup, content, self.codec))

    def read_manifest(self, backup: str) -> Manifest:
        """Return a manifest; raises as ``read_description``."""
        with self._opened(backup) as file:
            content = file.read()
        return self._checked(backup, lambda: formats.decode(backup, content, self.codec))

    def put_manifest(self, manifest: Manifest) -> None:
        """Store a manifest, which makes its backup exist."""
        self.require_marker()
        path = self._manifest_path(manifest.description.summary.id)
        with self.translate_errors("cannot be written"):
            if os.path.exists(path):
                raise Refused(f"repository {self.name} has this backup already", Code.EXISTS)
            # Names of chunks first, also those that others have written and not synced yet.
            for name in os.listdir(f"{self.path}/{_CHUNKS}"):
                sync_folder(f"{self.path}/{_CHUNKS}/{name}")
            sync_folder(f"{self.path}/{_CHUNKS}")
            self._write(path, formats.encode(manifest, self.codec))
            sync_folder(os.path.dirname(path))

    def remove_manifest(self, backup: str) -> None:
        """Remove a manifest, durably; succeed if there is none."""
        path = self._manifest_path(backup)
        with self.translate_errors("cannot be written"):
            with suppress(FileNotFoundError):
                os.unlink(path)
            sync_folder(os.path.dirname(path))

    def _manifest_path(self, backup: str) -> str:
        if "/" in backup or backup.startswith("."):
            raise Refused(f"{backup!r} is not the ID of a backup", Code.INPUT)
        return f"{self.path}/{_BACKUPS}/{backup}"

    @contextmanager
    def _opened(self, backup: str) -> Iterator[BinaryIO]:
        path = self._manifest_path(backup)
        try:
            with self.translate_errors("cannot be read"), open(path, "rb") as file:
                yield file
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
            path = self._manifest_path(backup)
            raise Damaged(f"backup {backup} cannot be read, {path} is damaged: {e}") from None

    # --- files

    def remove_unfinished(self) -> None:
        """Remove what earlier daemons have not completed; nothing must be writing now."""
        with self.translate_errors("cannot be written"):
            for folder, _, names in os.walk(self.path):
                for name in names:
                    if name.endswith(_UNFINISHED):
                        os.unlink(f"{folder}/{name}")

    def _write(self, path: str, content: bytes) -> None:
        folder = os.path.dirname(path)
        temporary = f"{path}.{os.urandom(4).hex()}{_UNFINISHED}"
        try:
            self._write_file(temporary, content)
        except FileNotFoundError:
            # The first chunk of its folder; without the marker, nothing is mounted here.
            self.require_marker()
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._write_file(temporary, content)
        os.rename(temporary, path)

    def _write_file(self, path: str, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) or 0 :]
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise

    @contextmanager
    def translate_errors(self, what: str) -> Iterator[None]:
        """Translate errors of the operating system, but for missing files."""
        with translate_errors(f"repository {self.name} {what}"):
            yield


def create_repository(path: str, identity: str, key: bytes) -> None:
    """Make an empty folder a repository.

    :raises Refused: it does not exist, or is not empty.
    """
    with translate_errors(f"{path} cannot become a repository"):
        try:
            present = [name for name in os.listdir(path) if name not in _IGNORED]
        except FileNotFoundError:
            raise Refused(
                f"{path} does not exist on this node; create it, or mount its file system",
                Code.INPUT,
            ) from None
        if MARKER in present:
            raise Refused(
                f"{path} is a repository already; use --existing to add it with its backups",
                Code.EXISTS,
            )
        if present:
            raise Refused(f"{path} is not empty; choose an empty directory", Code.INPUT)
        for name in (_CHUNKS, _BACKUPS):
            os.mkdir(f"{path}/{name}", 0o700)
        marker = Marker(
            version=VERSION, identity=identity, chunk_size=CHUNK_SIZE, key=fingerprint(key)
        )
        temporary = f"{path}/{MARKER}{_UNFINISHED}"
        with open(temporary, "wb") as file:
            file.write(msgspec.json.encode(marker) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # Last: without it, the folder is not a repository.
        os.rename(temporary, f"{path}/{MARKER}")
        sync_folder(path)


def read_marker(path: str) -> Marker | None:
    """Return what a folder says it is; None if it is no repository.

    :raises Failed: the marker is damaged, or of a later version.
    """
    try:
        with open(f"{path}/{MARKER}", "rb") as file:
            content = file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        marker = msgspec.json.decode(content, type=Marker)
    except UNREADABLE as e:
        raise Damaged(f"{path}/{MARKER} is damaged: {e}") from None
    if marker.version != VERSION or marker.chunk_size != CHUNK_SIZE:
        raise Failed(f"{path} has the format of a later release; upgrade this node", Code.STATE)
    return marker


def sync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Translate errors of the operating system, but for missing files."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as e:
        why = f"{what}: {e.strerror or e}"
        if e.errno in _NO_ROOM:
            raise Failed(
                f"{why}; remove backups (gnt-backup prune), or enlarge its file system",
                Code.RESOURCES,
            ) from None
        raise Failed(why, Code.ENVIRONMENT) from None


def chunk_lengths(size: int) -> Sequence[int]:
    """Return the lengths of the chunks of a disk of ``size`` bytes."""
    whole, rest = divmod(size, CHUNK_SIZE)
    return [CHUNK_SIZE] * whole + ([rest] if rest else [])
