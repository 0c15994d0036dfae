# SPDX-License-Identifier: BSD-2-Clause
"""The lock of the data folder, which the master daemon and the node daemon of a host share.

The node daemon holds it while it writes the copy of the state, and the master daemon as long as it
runs. That a master daemon runs is not enough to keep them apart: a write that the node daemon has
begun before, on a slow disk, would end behind those of the master.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Code, Failed
from ganeti.system.interfaces import IFiles, IFolderLock

TIMEOUT = 60.0
"""Seconds for which a master daemon waits for writes of the node daemon."""

RETRY = 0.02
"""Seconds between two attempts to lock the folder."""


async def wait_for_lock(files: IFiles, folder: str, clock: IReactorTime) -> IFolderLock:
    """Lock ``folder`` when the node daemon has written there what it is writing.

    It begins nothing new while it sees the pid file of a master daemon, which the caller must have.

    :raises Failed: it does not end; nothing was changed.
    """
    begun = clock.seconds()
    while (lock := files.lock_folder(folder)) is None:
        if clock.seconds() - begun > TIMEOUT:
            raise Failed(
                f"the node daemon of this host has not finished to write in {folder} within"
                f" {TIMEOUT:.0f} seconds; check the disk, and that ganeti-noded is not stopped",
                Code.ENVIRONMENT,
            )
        await deferLater(clock, RETRY)
    return lock


class SharedLock:
    """The lock of a folder, for several calls of one process at a time."""

    def __init__(self, files: IFiles, folder: str) -> None:
        self._files = files
        self._folder = folder
        self._lock: IFolderLock | None = None
        self._users = 0

    @asynccontextmanager
    async def hold_lock(self) -> AsyncIterator[bool]:
        """Hold the lock, and make the folder if it is missing; yield whether the lock was free."""
        if self._files.stat(self._folder) is None:
            await self._files.make_folder(self._folder)
        if self._lock is None:
            self._lock = self._files.lock_folder(self._folder)
        if self._lock is None:
            yield False
            return
        self._users += 1
        try:
            yield True
        finally:
            self._users -= 1
            if not self._users:
                self._lock.unlock()
                self._lock = None
