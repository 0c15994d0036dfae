# SPDX-License-Identifier: BSD-2-Clause
"""Downloads to a file of this node, as transfers that are carried out by another program."""

from __future__ import annotations

import sys
from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from ganeti.errors import Code, Failed
from ganeti.system import download
from ganeti.system.interfaces import IFiles, IProcesses, ITransfer, TransferProgress
from ganeti.system.subprocess_modules import module_environment


async def fetch(
    processes: IProcesses, url: str, path: str, *options: str, announce: int | None = None
) -> None:
    """Download ``url`` to ``path``, and announce its size in bytes at a descriptor.

    :raises Failed: with the reason.
    """
    ended = await processes.run(
        [sys.executable, "-m", download.__name__, url, path, *options],
        env=module_environment(),
        files={} if announce is None else {3: announce},
    )
    if ended.code:
        said = (ended.out or ended.err).decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise Failed(f"{url.partition('?')[0]} cannot be downloaded: {said}", Code.ENVIRONMENT)


@implementer(ITransfer)
class Download:
    """A running download; what it has written so far is its progress."""

    def __init__(
        self, processes: IProcesses, files: IFiles, url: str, path: str, announce: int
    ) -> None:
        self._files, self._path = files, path
        self._over: Failed | bool = False
        self._waiting: list[Deferred[None]] = []
        self._work = Deferred.fromCoroutine(self._run(processes, url, announce))

    async def _run(self, processes: IProcesses, url: str, announce: int) -> None:
        try:
            await fetch(processes, url, self._path, announce=announce)
        except CancelledError:
            self._over = Failed("the transfer was canceled")
        except Failed as e:
            self._over = e
        else:
            self._over = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def progress(self) -> TransferProgress:
        found = self._files.stat(self._path)
        return TransferProgress(True, 0 if found is None else found.size)

    async def ended(self) -> None:
        if self._over is False:
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await waiting
        if isinstance(self._over, Failed):
            raise self._over

    def finish(self, *, well: bool) -> None:
        pass  # there is no peer to be told

    def stop(self) -> None:
        with suppress(CancelledError):
            self._work.cancel()
