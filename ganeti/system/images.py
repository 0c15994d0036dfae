# SPDX-License-Identifier: BSD-2-Clause
"""Disk images as files of this host."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from zope.interface import implementer

from ganeti.system.interfaces import BlockDevice, FileSystemSpace, IImages
from ganeti.system.threads import InThread

_CHUNK = bytes(1 << 20)


@implementer(IImages)
class LocalImages:
    """Sparse files; a symbolic link in the last component of a path is not followed."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    def resolve(self, path: str) -> str:
        return os.path.realpath(path)

    def size(self, path: str) -> int | None:
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read_start(self, path: str, size: int) -> bytes:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.pread(handle, size, 0)
        finally:
            os.close(handle)

    async def describe_device(self, path: str) -> BlockDevice | None:
        return await self._in_thread(_describe_device, path)

    async def create(self, path: str, size: int) -> None:
        await self._in_thread(_create, path, size)

    async def resize(self, path: str, size: int) -> None:
        await self._in_thread(_resize, path, size)

    async def rename(self, old: str, new: str) -> None:
        await self._in_thread(_rename, old, new)

    async def remove(self, path: str, *, within: str) -> None:
        await self._in_thread(_remove, path, within)

    async def zero(self, path: str, offset: int, size: int) -> None:
        await self._in_thread(_zero, path, offset, size)

    async def copy_differences(self, source: str, target: str) -> None:
        await self._in_thread(_copy_differences, source, target)

    async def below(self, folder: str) -> dict[str, int]:
        return await self._in_thread(_list_files, folder)

    async def space(self, folder: str) -> FileSystemSpace:
        return await self._in_thread(_get_space, folder)


def _describe_device(path: str) -> BlockDevice | None:
    try:
        if not stat.S_ISBLK(os.stat(path).st_mode):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(handle, 0, os.SEEK_END)
    finally:
        os.close(handle)
    return BlockDevice(os.path.realpath(path), size, claimed=_is_claimed(path))


def _is_claimed(path: str) -> bool:
    """Return whether the kernel refuses an exclusive use of a device (open(2), O_EXCL)."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as e:
        if e.errno != errno.EBUSY:
            raise
        return True
    return False


def _create(path: str, size: int) -> None:
    _make_folder(os.path.dirname(path))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        try:
            os.ftruncate(handle, size)
            os.fsync(handle)
        finally:
            os.close(handle)
        _sync_folder(os.path.dirname(path))
    except OSError:
        # A file of this name would make the next attempt fail.
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def _resize(path: str, size: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Never smaller: a repetition may come after the disk has grown further.
        os.ftruncate(handle, max(size, os.fstat(handle).st_size))
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename(old: str, new: str) -> None:
    # rename(2) would replace it without an error.
    if os.path.lexists(new):
        raise FileExistsError(f"{new} exists already")
    _make_folder(os.path.dirname(new))
    os.rename(old, new)
    _sync_folder(os.path.dirname(new))
    _sync_folder(os.path.dirname(old))


def _remove(path: str, within: str) -> None:
    folder = os.path.dirname(path)
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        # An earlier attempt may have removed it, so that this is no error.
        return
    _sync_folder(folder)
    while folder.startswith(within + "/"):
        try:
            os.rmdir(folder)
        except OSError:  # not empty: it contains other files
            return
        folder = os.path.dirname(folder)
        _sync_folder(folder)


def _zero(path: str, offset: int, size: int) -> None:
    # Links are followed here: the path of a volume of LVM is one.
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        end = offset + size
        while offset < end:
            offset += os.pwrite(handle, _CHUNK[: end - offset], offset)
        os.fdatasync(handle)
    finally:
        os.close(handle)


def _copy_differences(source: str, target: str) -> None:
    with open(source, "rb", buffering=0) as origin, open(target, "r+b", buffering=0) as copy:
        offset = 0
        while wanted := os.pread(origin.fileno(), len(_CHUNK), offset):
            if os.pread(copy.fileno(), len(wanted), offset) != wanted:
                os.pwrite(copy.fileno(), wanted, offset)
            offset += len(wanted)
        os.fdatasync(copy.fileno())


def _list_files(folder: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(FileNotFoundError):  # removed since the directory was read
                if not os.path.islink(path):
                    found[path] = os.stat(path).st_size
    return found


def _get_space(folder: str) -> FileSystemSpace:
    while not os.path.isdir(folder):  # it is created with the first image
        folder = os.path.dirname(folder)
    room = os.statvfs(folder)
    # f_bavail: without what the file system reserves for root.
    return FileSystemSpace(room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize)


def _make_folder(folder: str) -> None:
    """Create a directory and its parents durably."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    _make_folder(parent)
    # Another disk may have needed the same directory at the same time.
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o750)
    _sync_folder(parent)


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
