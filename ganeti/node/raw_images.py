# SPDX-License-Identifier: BSD-2-Clause
"""Qcow2 images as raw files, for what reads or writes the data of a disk besides its guest.

The scripts of OS definitions, exports, imports and copies know raw disks only. QEMU's storage
daemon shows the data of an image as a file that is as large as the disk, by FUSE.
"""

from __future__ import annotations

import hashlib
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Code, Failed, Refused
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses

PROGRAM = "qemu-storage-daemon"
TIMEOUT = 60.0
"""Seconds that it may take to open an image, or to write what it has in memory and end."""
_POLL_INTERVAL = 0.02


class RawImages:
    """The images that are open here; the files of the daemons are in ``folder``.

    A daemon outlives this process if that is killed, and holds the lock of its image, until the
    image is used again.
    """

    def __init__(
        self, processes: IProcesses, files: IFiles, clock: IReactorTime, folder: str
    ) -> None:
        self._processes = processes
        self._files = files
        self._clock = clock
        self._folder = folder
        self._users: Counter[str] = Counter()
        self._lock = DeferredLock()

    @asynccontextmanager
    async def open_image(self, path: str) -> AsyncIterator[str]:
        """Return the path of a raw file with the data of an image, until the block ends.

        All who open an image at a time get the same file.

        :raises Failed: the image cannot be opened, or there is no FUSE.
        """
        async with self._locked():
            if not self._users[path]:
                await self._end_daemon(path)
                await self._start_daemon(path)
            self._users[path] += 1
        try:
            yield self._stem(path) + ".raw"
        finally:
            async with self._locked():
                self._users[path] -= 1
                if not self._users[path]:
                    del self._users[path]
                    await self._end_daemon(path)

    async def give_image(self, path: str) -> None:
        """Let a guest use an image that an earlier node daemon, which was killed, had open.

        :raises Refused: it is in use now.
        """
        async with self._locked():
            if self._users[path]:
                raise Refused(f"{path} is being copied; try again when that has ended")
            await self._end_daemon(path)

    async def _start_daemon(self, path: str) -> None:
        stem = self._stem(path)
        if self._files.stat(self._folder) is None:
            await self._files.make_folder(self._folder, mode=0o700)
        await self._files.replace(f"{stem}.raw", b"", mode=0o600)
        node = {
            "driver": "qcow2",
            "node-name": "disk",
            # The header of the image has been checked, but a backing file is never opened.
            "backing": None,
            "discard": "unmap",
            # A copy of a raw disk would otherwise take all of its size.
            "detect-zeroes": "unmap",
            "file": {"driver": "file", "filename": path},
        }
        ended = await self._processes.run(
            [
                *(PROGRAM, "--daemonize", "--pidfile", f"{stem}.pid"),
                *("--blockdev", msgspec.json.encode(node).decode()),
                *("--export", f"fuse,id=raw,node-name=disk,writable=on,mountpoint={stem}.raw"),
            ],
            env={"PATH": MINIMAL_PATH, "LC_ALL": "C"},
            timeout=TIMEOUT,
        )
        if ended.code:
            said = ended.err.decode("utf-8", "replace").strip()
            raise Failed(
                f"the image {path} cannot be opened as a raw file: {said}; this needs"
                f" {PROGRAM} and the kernel module fuse",
                Code.ENVIRONMENT,
            )

    async def _end_daemon(self, path: str) -> None:
        """End the daemon of an image, if there is one; it writes what it has in memory."""
        stem = self._stem(path)
        if self._files.stat(f"{stem}.pid") is None:
            return
        text = self._files.read(f"{stem}.pid").strip()
        pid = int(text) if text.isdigit() else 0
        deadline = self._clock.seconds() + TIMEOUT
        # The number may be that of another process by now.
        while pid and f"{stem}.pid" in self._processes.arguments(pid):
            if self._clock.seconds() >= deadline:
                raise Failed(
                    f"{PROGRAM} (pid {pid}) does not end, and holds the image {path}; see the"
                    " kernel's log for errors of the storage",
                    Code.ENVIRONMENT,
                )
            self._processes.kill(pid, signal.SIGTERM)
            await deferLater(self._clock, _POLL_INTERVAL)
        # A daemon that was killed leaves its mount; otherwise there is none, and this fails.
        await self._processes.run(["umount", "-l", f"{stem}.raw"], timeout=TIMEOUT)
        await self._files.remove(f"{stem}.raw")
        await self._files.remove(f"{stem}.pid")

    def _stem(self, path: str) -> str:
        return f"{self._folder}/{hashlib.sha256(path.encode()).hexdigest()[:16]}"

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        await self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()
