# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors of files on a disk in memory."""

from __future__ import annotations

import errno
import os
from itertools import count

from zope.interface import implementer

from ganeti.system.interfaces import FileAccess, IDescriptors
from ganeti.testing.disk import MemoryDisk


@implementer(IDescriptors)
class MemoryDescriptors:
    """Descriptors by number, with what each was ``opened`` for; ``still_open`` are not closed.

    Tap devices are folders in ``/sys/class/net``.
    """

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._numbers = count(1000)
        self.opened: dict[int, tuple[str, FileAccess | None]] = {}
        self.still_open: set[int] = set()

    async def open_file(self, path: str, access: FileAccess) -> int:
        if access is FileAccess.EMPTY:
            self._disk.put(path, b"", 0o600, 0.0)
        if access is not FileAccess.READ or self._disk.folder_mode(path) is None:
            self._disk.file(path)
        return self._add(path, access)

    async def listen_unix(self, path: str) -> int:
        if path in self._disk.contents():
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self._disk.put(path, b"", 0o600, 0.0)
        return self._add(path, FileAccess.READ_WRITE)

    async def open_tap(self, name: str, *, multi_queue: bool, vnet_hdr: bool) -> int:
        folder = f"/sys/class/net/{name}"
        if self._disk.folder_mode(folder) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        queues = "several queues" if multi_queue else "one queue"
        bare = "" if vnet_hdr else ", without headers"
        return self._add(f"{name} ({queues}{bare})", None)

    def _add(self, what: str, access: FileAccess | None) -> int:
        number = next(self._numbers)
        self.opened[number] = what, access
        self.still_open.add(number)
        return number

    def close(self, descriptor: int) -> None:
        if descriptor not in self.still_open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.still_open.remove(descriptor)
