# SPDX-License-Identifier: BSD-2-Clause
"""Files of uploads of images, some of which are incomplete."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from contextlib import suppress
from io import FileIO

from ganeti.errors import Code, Refused
from ganeti.rapi.image_uploads import UploadFolder, UploadPart
from ganeti.system.threads import InThread

MAX_AGE = 86400.0
"""Seconds after which an upload that no client has gone on with is removed, complete or not."""

_PART = ".part"


class LocalUploadPart(UploadPart):
    """An incomplete upload, locked as long as it is open."""

    def __init__(self, file: FileIO, path: str, in_thread: InThread) -> None:
        # A file object: if the caller is gone before it gets this, it is closed nevertheless.
        self._file = file
        self._path = path
        self._in_thread = in_thread

    async def append_data(self, data: bytes) -> None:
        await self._in_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        with memoryview(data) as view:
            done = 0
            while done < len(data):
                done += self._file.write(view[done:])

    async def complete_part(self) -> str:
        return await self._in_thread(self._complete)

    def _complete(self) -> str:
        name = secrets.token_hex(16)
        os.fsync(self._file.fileno())
        os.rename(self._path, f"{os.path.dirname(self._path)}/{name}")
        self._file.close()
        return name

    async def close_part(self) -> None:
        await self._in_thread(self._file.close)


class LocalUploads(UploadFolder):
    """The uploads in a folder of this host."""

    def __init__(self, folder: str, in_thread: InThread) -> None:
        self._folder = folder
        self._in_thread = in_thread

    def part_size(self, name: str) -> int:
        try:
            return os.lstat(self._part(name)).st_size
        except FileNotFoundError:
            return 0

    def free_space(self) -> int:
        folder = self._folder
        while not os.path.isdir(folder):  # it is created with the first upload
            folder = os.path.dirname(folder)
        room = os.statvfs(folder)
        return room.f_bavail * room.f_frsize

    async def open_part(self, name: str, size: int) -> LocalUploadPart:
        return await self._in_thread(self._open, name, size)

    def _open(self, name: str, size: int) -> LocalUploadPart:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._remove_old()
        path = self._part(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        file = FileIO(os.open(path, flags, 0o600), "wb")
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Refused(
                f"another client is uploading image {name}; try again when it has ended", Code.STATE
            ) from None
        os.ftruncate(file.fileno(), size)
        return LocalUploadPart(file, path, self._in_thread)

    def _remove_old(self) -> None:
        oldest = time.time() - MAX_AGE
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another server removes it
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)

    async def discard_part(self, name: str) -> None:
        await self._in_thread(self._discard, name)

    def _discard(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._part(name))

    def _part(self, name: str) -> str:
        return f"{self._folder}/{name}{_PART}"
