# SPDX-License-Identifier: BSD-2-Clause
"""Further processes of a daemon that holds no state, accepting from the same listening socket.

A worker inherits the socket and a leash: the end of a pipe, which closes when its keeper is gone.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory, IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.system.subprocess_modules import finding_modules

LISTENING = 3
"""The file descriptor under which a worker finds the listening socket."""

LEASH = 0

RESTART_SECONDS = 1.0
"""How long to wait before a worker that ended is replaced."""


class Workers(Service):
    """Keeps ``count`` processes of the module ``module`` running until it is stopped.

    Each gets ``arguments`` and, after ``--worker``, its number.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, module: str, arguments: Sequence[str], listening: int, count: int
    ) -> None:
        self._reactor = reactor
        self._command = [sys.executable, "-m", module, *arguments]
        self._listening = listening
        self._count = count
        self._workers: dict[int, _Worker] = {}

    def startService(self) -> None:
        super().startService()
        for number in range(1, self._count + 1):
            self._start(number)

    def _start(self, number: int) -> None:
        if not self.running:
            return
        worker = _Worker(lambda reason: self._ended(number, reason))
        try:
            worker.process = self._reactor.spawnProcess(
                worker,
                self._command[0],
                [*self._command, "--worker", str(number)],
                env={**os.environ, **finding_modules()},
                childFDs={LEASH: "w", 1: 1, 2: 2, LISTENING: self._listening},
            )
        except OSError as e:  # such as no descriptors for its pipes, or no memory
            self._log.error("worker {n} cannot be started yet: {why}", n=number, why=str(e))
            self._reactor.callLater(RESTART_SECONDS, self._start, number)
            return
        self._workers[number] = worker

    def _ended(self, number: int, reason: Failure) -> None:
        del self._workers[number]
        if self.running:
            self._log.error("worker {n} ended: {why}", n=number, why=reason.getErrorMessage())
            self._reactor.callLater(RESTART_SECONDS, self._start, number)

    def stopService(self) -> Deferred[None]:
        """End all of them; done when they have ended."""
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        for worker in list(self._workers.values()):
            worker.process.closeStdin()
            await worker.gone

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers.values()]


class _Worker(ProcessProtocol):
    process: Any

    def __init__(self, ended: Callable[[Failure], None]) -> None:
        self.gone: Deferred[None] = Deferred()
        self._ended = ended

    def processEnded(self, reason: Failure) -> None:
        self._ended(reason)
        self.gone.callback(None)


@implementer(IReadDescriptor)
class _Leash:
    """Stops the reactor when the other end of the pipe closes."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def fileno(self) -> int:
        return LEASH

    def doRead(self) -> None:
        """Nobody pulls at it; a pipe that closes is a lost connection."""
        if not os.read(LEASH, 1):
            self._reactor.removeReader(self)
            self._reactor.stop()

    def connectionLost(self, reason: Failure) -> None:
        self._reactor.stop()

    def logPrefix(self) -> str:
        return "leash"


def accept_as_worker(reactor: Any, factory: IProtocolFactory) -> Any:
    """Accept connections from the inherited socket for as long as the keeper lives."""
    reactor.addReader(_Leash(reactor))
    with socket.socket(fileno=os.dup(LISTENING)) as listening:
        family = listening.family
    return reactor.adoptStreamPort(LISTENING, family, factory)
