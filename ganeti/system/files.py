# SPDX-License-Identifier: BSD-2-Clause
"""The files of this host; blocking operations run in a thread, one call each."""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress

from zope.interface import implementer

from ganeti.system.interfaces import IFiles, IFolderLock, ILog, Stat
from ganeti.system.threads import InThread

_MAX_OPEN_TOGETHER = 64
"""How many files are open at once when many are replaced."""

_serial = itertools.count()


@implementer(ILog)
class LocalLog:
    """A file of this host that is only appended to."""

    def __init__(self, descriptor: int, in_thread: InThread) -> None:
        self._descriptor = descriptor
        self._in_thread = in_thread

    async def write(self, data: bytes) -> None:
        await self._in_thread(_append, self._descriptor, data)

    async def truncate(self, size: int) -> None:
        await self._in_thread(_truncate, self._descriptor, size)

    async def close(self) -> None:
        await self._in_thread(os.close, self._descriptor)


@implementer(IFolderLock)
class FolderLock:
    """An open directory that is locked by flock(2)."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def unlock(self) -> None:
        os.close(self._descriptor)


@implementer(IFiles)
class LocalFiles:
    """The files of this host.

    A file is replaced by a temporary one named ``.NAME.PID.N.tmp`` in the same directory; leftovers
    of a crash may be removed at any time.
    """

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    def read(self, path: str) -> bytes:
        # Unbuffered, which halves the cost of a small file: a master reads thousands at its start.
        with open(path, "rb", buffering=0) as file:
            return file.readall()

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []

    def stat(self, path: str) -> Stat | None:
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stat(
            size=found.st_size,
            mtime=found.st_mtime,
            mode=stat.S_IMODE(found.st_mode),
            folder=stat.S_ISDIR(found.st_mode),
            owner=found.st_uid,
            group=found.st_gid,
            device=stat.S_ISBLK(found.st_mode),
        )

    def lock_folder(self, path: str) -> IFolderLock | None:
        # The directory itself: a file would need an owner that all daemons can open it as.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return FolderLock(descriptor)

    async def replace(self, path: str, content: bytes, *, mode: int = 0o640) -> None:
        await self._in_thread(_replace_all, {path: content}, mode)

    async def replace_all(self, contents: Mapping[str, bytes], *, mode: int = 0o640) -> None:
        await self._in_thread(_replace_all, dict(contents), mode)

    async def rename(self, old: str, new: str) -> None:
        await self._in_thread(_rename, old, new)

    async def remove(self, path: str) -> None:
        await self._in_thread(_remove, path)

    async def remove_folder(self, path: str) -> None:
        await self._in_thread(_remove_folder, path)

    async def make_folder(self, path: str, *, mode: int = 0o750) -> None:
        await self._in_thread(_make_folder, path, mode)

    async def open_log(self, path: str, *, mode: int = 0o640) -> ILog:
        return LocalLog(await self._in_thread(_open_log, path, mode), self._in_thread)

    async def sync_folder(self, path: str) -> None:
        await self._in_thread(_sync_folder, path)


def _write_all(descriptor: int, data: bytes) -> None:
    # write(2) may write less than requested, for example on a disk that is nearly full; the next
    # call then returns the error.
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _append(descriptor: int, data: bytes) -> None:
    _write_all(descriptor, data)
    # Unlike fsync, without the times of the file; its size, which a reader needs, is written too.
    os.fdatasync(descriptor)


def _truncate(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)


def _replace_all(contents: Mapping[str, bytes], mode: int) -> None:
    paths = list(contents)
    for start in range(0, len(paths), _MAX_OPEN_TOGETHER):
        _replace_some(
            {path: contents[path] for path in paths[start : start + _MAX_OPEN_TOGETHER]}, mode
        )
    # Once for all files, after the renames: these are what it makes durable.
    _sync_folders(paths)


def _keep_owner(path: str, descriptor: int) -> None:
    """Give a file that replaces another to the same user and group, if this process may."""
    try:
        before = os.lstat(path)
    except FileNotFoundError:
        return
    now = os.fstat(descriptor)
    user = before.st_uid if before.st_uid != now.st_uid and os.geteuid() == 0 else -1
    group = before.st_gid if before.st_gid != now.st_gid else -1
    if (user, group) != (-1, -1):
        with suppress(PermissionError):  # a group that this process is not a member of
            os.fchown(descriptor, user, group)


def _open_new(path: str, mode: int) -> int:
    """Create a file that only this process writes, and return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, mode)
    except FileExistsError:
        # The leftover of a process with the same number, which crashed.
        os.unlink(path)
        return os.open(path, flags, mode)


def _replace_some(contents: Mapping[str, bytes], mode: int) -> None:
    made: list[tuple[str, str, int]] = []
    try:
        # Write all before syncing the first, so that the disk can combine the writes.
        for path, content in contents.items():
            folder, name = os.path.split(path)
            new = os.path.join(folder, f".{name}.{os.getpid()}.{next(_serial)}.tmp")
            descriptor = _open_new(new, mode)
            made.append((new, path, descriptor))
            _keep_owner(path, descriptor)
            # The mode of open(2) is limited by the umask.
            os.fchmod(descriptor, mode)
            _write_all(descriptor, content)
        # Before the rename: after a power failure, the new name could otherwise have an empty file.
        for _, _, descriptor in made:
            os.fsync(descriptor)
        for new, path, _ in made:
            os.rename(new, path)
    except OSError:
        # Only files that were not renamed yet still have their temporary name.
        for new, _, _ in made:
            with suppress(OSError):
                os.unlink(new)
        raise
    finally:
        for _, _, descriptor in made:
            os.close(descriptor)


def _rename(old: str, new: str) -> None:
    os.rename(old, new)
    # The new directory first: after a power failure, the file may have both names, but never none.
    _sync_folders((new, old))


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
        _sync_folders((path,))


def _remove_folder(path: str) -> None:
    import shutil  # here, as it imports all compression modules for this rare call

    with suppress(FileNotFoundError):
        shutil.rmtree(path)
        _sync_folders((path,))


def _make_folder(path: str, mode: int) -> None:
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, mode)
            # The mode of mkdir(2) is limited by the umask.
            os.chmod(folder, mode)
        except FileExistsError:  # created concurrently, which is fine if it is a directory
            if not os.path.isdir(folder):
                raise
        _sync_folders((folder,))


def _open_log(path: str, mode: int) -> int:
    there = os.path.exists(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        if not there:
            # Only a new file: an administrator may have changed the mode of the existing one.
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        _sync_folders((path,))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sync_folders(paths: Iterable[str]) -> None:
    """Make the names of ``paths`` durable in their directories."""
    for folder in dict.fromkeys(map(os.path.dirname, paths)):
        _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
