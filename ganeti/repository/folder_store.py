# SPDX-License-Identifier: BSD-2-Clause
"""Objects as files below a folder; everything here blocks.

Files appear complete or not at all: they are written under a temporary name, synced and renamed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.repository.interfaces import IObjectStore, StoreSpace

_UNFINISHED = ".tmp"
_IGNORED = frozenset(("lost+found",))
"""What an empty file system may contain."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@implementer(IObjectStore)
class FolderStore:
    """The files below the folder ``path``."""

    threads = 3
    """As libraries compress, encrypt and sync without Python's lock."""

    def __init__(self, path: str) -> None:
        self.place = path

    def prepare(self, folders: Iterable[str]) -> None:
        try:
            present = [name for name in os.listdir(self.place) if name not in _IGNORED]
        except FileNotFoundError:
            raise Refused(
                f"{self.place} does not exist on this node; create it, or mount its file system",
                Code.INPUT,
            ) from None
        if present:
            raise Refused(f"{self.place} is not empty; choose an empty directory", Code.INPUT)
        for name in folders:
            os.mkdir(f"{self.place}/{name}", 0o700)

    def has_object(self, name: str) -> bool:
        return os.path.exists(self._path(name))

    def has_objects(self, names: Iterable[str]) -> bool:
        return all(map(self.has_object, names))

    def read_object(self, name: str, length: int | None = None) -> bytes:
        try:
            with open(self._path(name), "rb") as file:
                return file.read(-1 if length is None else length)
        except NotADirectoryError as e:
            raise FileNotFoundError(*e.args) from None

    def write_object(self, name: str, content: bytes) -> None:
        path = self._path(name)
        temporary = f"{path}.{os.urandom(4).hex()}{_UNFINISHED}"
        try:
            _write_file(temporary, content)
        except FileNotFoundError:
            # The first object of its folder. The one above is never made here, as it would be
            # below the mount point of a file system that is not mounted.
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(path), mode=0o700)
            _write_file(temporary, content)
        os.rename(temporary, path)

    def rename_object(self, name: str, new: str) -> None:
        with suppress(FileNotFoundError):
            os.rename(self._path(name), self._path(new))

    def remove_object(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path(name))

    def list_objects(self, folder: str) -> Iterator[tuple[str, int]]:
        with os.scandir(self._path(folder)) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir():
                yield from self.list_objects(f"{folder}/{entry.name}")
            elif not entry.name.endswith(_UNFINISHED):
                yield f"{folder}/{entry.name}", entry.stat().st_size

    def sync_folder(self, folder: str) -> None:
        for path, _, _ in os.walk(self._path(folder)):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove_unfinished(self) -> None:
        for folder, _, names in os.walk(self.place):
            for name in names:
                if name.endswith(_UNFINISHED):
                    os.unlink(f"{folder}/{name}")

    def measure_store(self) -> StoreSpace | None:
        found = os.statvfs(self.place)
        return StoreSpace(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    def close(self) -> None:
        """Nothing is open between two operations."""

    def _path(self, name: str) -> str:
        return f"{self.place}/{name}"


def _write_file(path: str, content: bytes) -> None:
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
def translate_errors(what: str) -> Iterator[None]:
    """Translate errors of the operating system and of stores, but for missing objects."""
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
