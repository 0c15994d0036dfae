# SPDX-License-Identifier: BSD-2-Clause
"""Disk images in memory, with a file system that can be full."""

from __future__ import annotations

import errno
import os

from zope.interface import implementer

from ganeti.system.interfaces import BlockDevice, FileSystemSpace, IImages


@implementer(IImages)
class MemoryImages:
    """Files that have a size and, if a program writes one, a ``head``: their first bytes.

    ``devices`` are block devices by path; ``links`` are symbolic links of folders and devices;
    ``room`` bounds the bytes of all files together; ``breaks_at`` is what fails here: *create*,
    *rename*, *remove* or *copy*.
    """

    def __init__(self, *, room: int = 1 << 50) -> None:
        self.sizes: dict[str, int] = {}
        self.heads: dict[str, bytes] = {}
        self.devices: dict[str, BlockDevice] = {}
        self.links: dict[str, str] = {}
        self.copied: list[tuple[str, str]] = []
        self.zeroed: list[tuple[str, int, int]] = []
        self.room = room
        self.breaks_at: str | None = None

    def resolve(self, path: str) -> str:
        for link, target in self.links.items():
            if path == link or path.startswith(link + "/"):
                return target + path[len(link) :]
        return path

    def size(self, path: str) -> int | None:
        return self.sizes.get(path)

    def read_start(self, path: str, size: int) -> bytes:
        self._there(path)
        return self.heads.get(path, bytes(min(size, self.sizes[path])))[:size]

    async def describe_device(self, path: str) -> BlockDevice | None:
        return self.devices.get(self.resolve(path))

    async def create(self, path: str, size: int) -> None:
        self._works("create", path)
        self._free(path)
        self._take(path, size)

    async def resize(self, path: str, size: int) -> None:
        self._there(path)
        self._take(path, max(size, self.sizes[path]))

    async def rename(self, old: str, new: str) -> None:
        self._works("rename", old)
        self._there(old)
        self._free(new)
        self.sizes[new] = self.sizes.pop(old)
        if old in self.heads:
            self.heads[new] = self.heads.pop(old)

    async def remove(self, path: str, *, within: str) -> None:
        self._works("remove", path)
        self.sizes.pop(path, None)
        self.heads.pop(path, None)

    async def zero(self, path: str, offset: int, size: int) -> None:
        if self.resolve(path) not in self.devices:
            self._there(path)
        self.zeroed.append((path, offset, size))

    async def copy_differences(self, source: str, target: str) -> None:
        self._works("copy", target)
        self.copied.append((source, target))

    async def below(self, folder: str) -> dict[str, int]:
        return {path: size for path, size in self.sizes.items() if path.startswith(folder + "/")}

    async def space(self, folder: str) -> FileSystemSpace:
        return FileSystemSpace(self.room, self.room - sum(self.sizes.values()))

    def _works(self, what: str, path: str) -> None:
        if self.breaks_at == what:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def _take(self, path: str, size: int) -> None:
        others = sum(each for other, each in self.sizes.items() if other != path)
        if others + size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self.sizes[path] = size

    def _there(self, path: str) -> None:
        if path not in self.sizes:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _free(self, path: str) -> None:
        if path in self.sizes:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
