# SPDX-License-Identifier: BSD-2-Clause
"""A disk in memory that knows what was synced, and can fail, fill up or crash at any write."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ganeti.system.interfaces import IFiles, IFolderLock, ILog, Stat
from ganeti.testing.clocks import ProcessClock

SECTOR = 512
"""What a disk writes as a whole, in bytes."""


class Crashed(OSError):
    """The host of this disk has lost its power; code that sees this does not run any more."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the host of this disk has crashed")


@dataclass
class _File:
    """What readers see, and how much of it a crash leaves for certain."""

    content: bytearray
    mode: int
    mtime: float
    synced: int


ROOT = (0, 0)


class MemoryDisk:
    """Files and folders, and what became durable of them.

    Whatever changes something is a write and has a number, from 1. A replacement, rename or
    removal is atomic: when the disk crashes at it, it has happened or not, as chance decides. Of
    bytes that were appended but not yet synced, a crash leaves a part from their beginning, in
    which sectors may be missing, that is read as zeros. What is not in ``owners``, which has
    user and group by path, belongs to root.
    """

    def __init__(self, random: Random | None = None) -> None:
        self.writes = 0
        self.stall = 0.0
        self.crashed = False
        self._random = random or Random(0)
        self._files: dict[str, _File] = {}
        self._folders: dict[str, int] = {"/": 0o755}
        self.owners: dict[str, tuple[int, int]] = {}
        self._failing: dict[int, int] = {}
        self._crash_at: int | None = None
        self._error: int | None = None
        self.locks: dict[str, MemoryFolderLock] = {}

    # --- faults and limits

    def fail(self, at: int, error: int = errno.ENOSPC) -> None:
        """Let the write with this number fail; with EIO, it is the sync that fails."""
        self._failing[at] = error

    def break_down(self, error: int = errno.ENOSPC) -> None:
        """Let every write fail from now on, until ``heal``."""
        self._error = error

    def heal(self) -> None:
        """Let writes succeed again, and be as quick as usual."""
        self._error = self._crash_at = None
        self.stall = 0.0
        self._failing.clear()

    def crash(self, at: int | None = None) -> None:
        """Lose power at the write with this number, or now."""
        if at is None:
            self.crashed = True
        self._crash_at = at

    def after_crash(self) -> MemoryDisk:
        """The disk as it is found when its host is started again; this one stays crashed."""
        # Another object: what is left of the dead processes still has the old one, and must not
        # write.
        self.crashed = True
        found = MemoryDisk(self._random)
        found._folders = dict(self._folders)
        found.owners = dict(self.owners)
        for path, file in self._files.items():
            found.put(path, self._remains(file.content, file.synced), file.mode, file.mtime)
        return found

    def snapshot(self) -> MemoryDisk:
        """Return a copy of the disk as readers see it now."""
        copy = MemoryDisk(self._random)
        copy._folders = dict(self._folders)
        copy.owners = dict(self.owners)
        for path, file in self._files.items():
            copy.put(path, bytes(file.content), file.mode, file.mtime)
        return copy

    def restore(self, old: MemoryDisk, folder: str = "/") -> None:
        """Make everything below a folder as it was on an old disk; nothing may use it now."""
        if folder == "/":
            self._files, self._folders = {}, {}
        else:
            self.take_folder(folder)
        inside = folder.rstrip("/") + "/"
        for path, mode in old._folders.items():
            if f"{path}/".startswith(inside):
                self._folders[path] = mode
        for path, file in old._files.items():
            if path.startswith(inside):
                self.put(path, bytes(file.content), file.mode, file.mtime)

    def _remains(self, content: bytearray, synced: int) -> bytes:
        left = content[:]
        if self._random.random() < 0.5:
            # Else the file has its size already, as file systems may write that first.
            left = content[: self._random.randint(synced, len(content))]
        for start in range(synced - synced % SECTOR, len(left), SECTOR):
            first, last = max(start, synced), min(start + SECTOR, len(left))
            if self._random.random() < 0.1:
                left[first:last] = bytes(last - first)
        return bytes(left)

    # --- what its files do

    def contents(self) -> dict[str, bytes]:
        """Every file as readers see it now, by path."""
        return {path: bytes(file.content) for path, file in sorted(self._files.items())}

    def overwrite(self, path: str, content: bytes) -> None:
        """Change a file without a trace, as a failing disk or another program would."""
        file = self._files[path]
        self.put(path, content, file.mode, file.mtime)

    def alive(self) -> None:
        """:raises Crashed: it is not."""
        if self.crashed:
            raise Crashed

    def count_write(self) -> int | None:
        """Count a write: None if it goes well, or else the error number that ends it.

        :raises Crashed: none of it was done.
        """
        self.alive()
        self.writes += 1
        if self.writes == self._crash_at:
            self.crashed = True
        return self._failing.get(self.writes, self._error)

    def lucky(self) -> bool:
        """Whether an atomic change was still made by a host that crashes at it."""
        return self._random.random() < 0.5

    def written_part(self, size: int) -> int:
        """How much of ``size`` was done before trouble came."""
        return self._random.randint(0, size)

    def file(self, path: str) -> _File:
        """The file at ``path``.

        :raises OSError: there is none.
        """
        if path in self._folders:
            raise _error(errno.EISDIR, path)
        if path not in self._files:
            raise _error(errno.ENOENT, path)
        return self._files[path]

    def put(self, path: str, content: bytes, mode: int, now: float) -> None:
        """A whole and durable file."""
        self._files[path] = _File(bytearray(content), mode, now, len(content))

    def pop_file(self, path: str) -> _File | None:
        """Remove a file and give it back."""
        return self._files.pop(path, None)

    def needs_folder(self, path: str) -> None:
        """:raises OSError: there is no folder for ``path`` to be in."""
        if posixpath.dirname(path) not in self._folders:
            raise _error(errno.ENOENT, path)

    def add_folder(self, path: str, mode: int) -> None:
        """A folder and its parents."""
        while path not in self._folders:
            self._folders[path] = mode
            path = posixpath.dirname(path)

    def take_folder(self, path: str) -> None:
        """Remove a folder with all that is in it."""
        inside = path + "/"
        self._folders = {
            each: mode
            for each, mode in self._folders.items()
            if each != path and not each.startswith(inside)
        }
        for each in [each for each in self._files if each.startswith(inside)]:
            del self._files[each]

    def move_folder(self, old: str, new: str) -> None:
        """Give a folder with all that is in it another name.

        :raises OSError: there is one of that name, and something is in it.
        """
        if self.names(new):
            raise _error(errno.ENOTEMPTY, new)

        def moved(path: str) -> str:
            return new + path[len(old) :] if f"{path}/".startswith(f"{old}/") else path

        self._folders = {moved(path): mode for path, mode in self._folders.items()}
        self._files = {moved(path): file for path, file in self._files.items()}

    def folder_mode(self, path: str) -> int | None:
        """The mode of a folder; None if there is none."""
        return self._folders.get(path)

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted."""
        inside = (posixpath.split(path) for path in (*self._files, *self._folders) if path != "/")
        return sorted(name for where, name in inside if where == folder)


@implementer(ILog)
class MemoryLog:
    """A file of a memory disk that only grows at its end."""

    def __init__(self, files: MemoryFiles, path: str) -> None:
        self._files = files
        self._path = path
        self._doubtful = False

    async def write(self, data: bytes) -> None:
        if self._doubtful:
            raise AssertionError(f"{self._path} was not truncated after a write failed")
        self._doubtful = True
        disk, file = self._files.disk, self._files.disk.file(self._path)
        trouble = disk.count_write()
        taken = disk.written_part(len(data)) if trouble == errno.ENOSPC else len(data)
        file.content += data[:taken]
        file.mtime = self._files.now()
        await self._files.turn()
        if trouble is not None:
            raise _error(trouble, self._path)
        file.synced = len(file.content)
        self._doubtful = False

    async def truncate(self, size: int) -> None:
        disk, file = self._files.disk, self._files.disk.file(self._path)
        trouble = disk.count_write()
        await self._files.turn(or_else=disk.lucky())
        if trouble is not None:
            raise _error(trouble, self._path)
        del file.content[size:]
        file.synced = len(file.content)
        self._doubtful = False
        # A caller on a crashed host does not learn that its change was made.
        disk.alive()

    async def close(self) -> None:
        self._files.disk.alive()


@implementer(IFolderLock)
class MemoryFolderLock:
    """The lock of a folder of a memory disk, by the process with this ``clock``."""

    def __init__(self, disk: MemoryDisk, path: str, clock: IReactorTime | None) -> None:
        self._disk = disk
        self._path = path
        self._clock = clock
        disk.locks[path] = self

    @property
    def held(self) -> bool:
        """Whether the process lives, as its locks end with it."""
        return not (isinstance(self._clock, ProcessClock) and self._clock.dead)

    def unlock(self) -> None:
        if self._disk.locks.get(self._path) is self:
            del self._disk.locks[self._path]


@implementer(IFiles)
class MemoryFiles:
    """The files of a memory disk.

    What is async ends ``latency`` seconds of ``clock`` later, or without a clock at once.
    """

    def __init__(
        self, disk: MemoryDisk, clock: IReactorTime | None = None, *, latency: float = 0.0
    ) -> None:
        self.disk = disk
        self._clock = clock
        self._latency = latency

    def now(self) -> float:
        """Seconds on the clock; 0 without one."""
        return self._clock.seconds() if self._clock is not None else 0.0

    async def turn(self, *, or_else: bool = False) -> None:
        """Let the time pass that a write takes.

        :raises Crashed: the disk crashed meanwhile, and not ``or_else`` the write was done before.
        """
        if self._clock is not None:
            await deferLater(self._clock, self._latency + self.disk.stall)
        if not or_else:
            self.disk.alive()

    def read(self, path: str) -> bytes:
        self.disk.alive()
        return bytes(self.disk.file(path).content)

    def names(self, folder: str) -> list[str]:
        self.disk.alive()
        return self.disk.names(folder)

    def stat(self, path: str) -> Stat | None:
        self.disk.alive()
        owner, group = self.disk.owners.get(path, ROOT)
        if (mode := self.disk.folder_mode(path)) is not None:
            return Stat(size=0, mtime=0.0, mode=mode, folder=True, owner=owner, group=group)
        try:
            file = self.disk.file(path)
        except OSError:
            return None
        return Stat(
            size=len(file.content),
            mtime=file.mtime,
            mode=file.mode,
            folder=False,
            owner=owner,
            group=group,
        )

    def lock_folder(self, path: str) -> IFolderLock | None:
        self.disk.alive()
        if self.disk.folder_mode(path) is None:
            raise _error(errno.ENOENT, path)
        held = self.disk.locks.get(path)
        if held is not None and held.held:
            return None
        return MemoryFolderLock(self.disk, path, self._clock)

    async def replace(self, path: str, content: bytes, *, mode: int = 0o640) -> None:
        await self.replace_all({path: content}, mode=mode)

    async def replace_all(self, contents: Mapping[str, bytes], *, mode: int = 0o640) -> None:
        for path, content in contents.items():
            await self._change(path)
            self.disk.needs_folder(path)
            self.disk.put(path, content, mode, self.now())
            self.disk.alive()

    async def rename(self, old: str, new: str) -> None:
        await self._change(old)
        self.disk.needs_folder(new)
        if self.disk.folder_mode(old) is not None:
            self.disk.move_folder(old, new)
            self.disk.alive()
            return
        file = self.disk.file(old)
        self.disk.pop_file(old)
        self.disk.put(new, bytes(file.content), file.mode, file.mtime)
        self.disk.alive()

    async def remove(self, path: str) -> None:
        await self._change(path)
        self.disk.pop_file(path)
        self.disk.alive()

    async def remove_folder(self, path: str) -> None:
        await self._change(path)
        self.disk.take_folder(path)
        self.disk.alive()

    async def make_folder(self, path: str, *, mode: int = 0o750) -> None:
        if self.disk.folder_mode(path) is None:
            await self._change(path)
            self.disk.add_folder(path, mode)
            self.disk.alive()

    async def open_log(self, path: str, *, mode: int = 0o640) -> ILog:
        self.disk.alive()
        self.disk.needs_folder(path)
        if self.stat(path) is None:
            await self._change(path)
            self.disk.put(path, b"", mode, self.now())
            self.disk.alive()
        file = self.disk.file(path)
        # As the real one: what is read from now on must survive the next crash.
        if file.synced < len(file.content):
            await self.turn()
            file.synced = len(file.content)
        return MemoryLog(self, path)

    async def sync_folder(self, path: str) -> None:
        await self.turn()

    async def _change(self, path: str) -> None:
        """A write that happens as a whole or not at all: it happens if this returns."""
        trouble = self.disk.count_write()
        crashing = self.disk.crashed
        await self.turn(or_else=crashing and self.disk.lucky())
        if trouble is not None:
            raise _error(trouble, path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
