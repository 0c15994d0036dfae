# SPDX-License-Identifier: BSD-2-Clause
"""Restricted commands: programs of this node's administrator that whoever asks the master may run.

They take no arguments and get no environment. Whoever tries names learns nothing from it, and
slowly; the log of the node has the reason.
"""

from __future__ import annotations

import re
import stat

from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.node import RunRestrictedCommandCall
from ganeti.system.interfaces import IFiles, IProcesses, Stat

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_ROOT = 0

PENALTY = 10.0
"""Seconds after which a name is refused."""
TIMEOUT = 8.0
"""Seconds for which a command waits until the one before has ended."""


class RestrictedCommands:
    """The programs in ``folder``, of which one runs at a time."""

    _log = Logger()

    def __init__(
        self, files: IFiles, processes: IProcesses, clock: IReactorTime, folder: str
    ) -> None:
        self._files = files
        self._processes = processes
        self._clock = clock
        self._folder = folder
        self._turn = defer.DeferredLock()

    async def run(self, call: RunRestrictedCommandCall) -> str:
        """What the command writes.

        :raises Refused: it is none that may be run, or another one runs.
        :raises Failed: it did not succeed; with its words.
        """
        if (reason := self._against(call.cmd)) is not None:
            self._log.warn("refused {command!r}: {reason}", command=call.cmd, reason=reason)
            await deferLater(self._clock, PENALTY)
            raise Refused(f"{call.cmd} is no restricted command here; the node's log says more")
        try:
            await self._turn.acquire().addTimeout(TIMEOUT, self._clock)
        except defer.TimeoutError:
            raise Refused(
                "another restricted command runs; try again when it has ended", Code.TEMPORARY
            ) from None
        try:
            ended = await self._processes.run([f"{self._folder}/{call.cmd}"], env={})
        finally:
            self._turn.release()
        said = (ended.out + ended.err).decode("utf-8", "replace")
        if ended.code:
            raise Failed(f"{call.cmd} ended with {ended.code}: {said.strip()}", Code.ENVIRONMENT)
        return said

    def _against(self, name: str) -> str | None:
        """Why the command of this name is not run; None if it is."""
        if not _NAME.fullmatch(name):
            return "that cannot be a name"
        folder = self._files.stat(self._folder)
        if folder is None or not folder.folder:
            return f"there is no folder {self._folder}"
        if _foreign(folder):
            return f"{self._folder} can be changed by others than root"
        program = self._files.stat(f"{self._folder}/{name}")
        if program is None or program.folder:
            return "there is no such program"
        if _foreign(program):
            return "the program can be changed by others than root"
        if not program.mode & stat.S_IXUSR:
            return "the program cannot be executed"
        return None


def _foreign(found: Stat) -> bool:
    """Whether somebody else than root can change what has been found."""
    others = found.mode & (stat.S_IWGRP | stat.S_IWOTH)
    return (found.owner, found.group) != (_ROOT, _ROOT) or bool(others)
