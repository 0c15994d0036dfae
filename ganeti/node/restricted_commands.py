# SPDX-License-Identifier: BSD-2-Clause
"""Restricted commands: programs of the node's administrator that cluster users may run.

The programs get no arguments and no environment. A client that guesses names gets no details, and
only after a delay; the log of the node has the reason of a refusal.
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

REFUSAL_DELAY = 10.0
"""Seconds before a refusal is answered; slows down guessing."""
TIMEOUT = 8.0
"""Seconds for which a command waits until the previous one has ended."""


class RestrictedCommands:
    """The programs in ``folder``; one runs at a time."""

    _log = Logger()

    def __init__(
        self, files: IFiles, processes: IProcesses, clock: IReactorTime, folder: str
    ) -> None:
        self._files = files
        self._processes = processes
        self._clock = clock
        self._folder = folder
        self._lock = defer.DeferredLock()

    async def run(self, call: RunRestrictedCommandCall) -> str:
        """Run a command and return its output.

        :raises Refused: the command is not allowed, or another one is running.
        :raises Failed: the command failed; the message has its output.
        """
        if (reason := self._find_objection(call.cmd)) is not None:
            self._log.warn(
                "refused restricted command {command!r}: {reason}", command=call.cmd, reason=reason
            )
            await deferLater(self._clock, REFUSAL_DELAY)
            raise Refused(
                f"{call.cmd} is not a restricted command of this node; its log has the reason"
            )
        try:
            await self._lock.acquire().addTimeout(TIMEOUT, self._clock)
        except defer.TimeoutError:
            raise Refused(
                "another restricted command is running; try again later", Code.TEMPORARY
            ) from None
        try:
            ended = await self._processes.run([f"{self._folder}/{call.cmd}"], env={})
        finally:
            self._lock.release()
        output = (ended.out + ended.err).decode("utf-8", "replace")
        if ended.code:
            raise Failed(
                f"{call.cmd} exited with code {ended.code}: {output.strip()}", Code.ENVIRONMENT
            )
        return output

    def _find_objection(self, name: str) -> str | None:
        """Return why the command is not run; None if it is allowed."""
        if not _NAME.fullmatch(name):
            return "the name is not valid"
        folder = self._files.stat(self._folder)
        if folder is None or not folder.folder:
            return f"folder {self._folder} does not exist"
        # With access to the folder, another user could replace a program in it.
        if _is_untrusted(folder):
            return f"{self._folder} is writable by other users than root"
        program = self._files.stat(f"{self._folder}/{name}")
        if program is None or program.folder:
            return "the program does not exist"
        if _is_untrusted(program):
            return "the program is writable by other users than root"
        if not program.mode & stat.S_IXUSR:
            return "the program is not executable"
        return None


def _is_untrusted(found: Stat) -> bool:
    """Return whether other users than root can change a file."""
    others = found.mode & (stat.S_IWGRP | stat.S_IWOTH)
    return (found.owner, found.group) != (_ROOT, _ROOT) or bool(others)
