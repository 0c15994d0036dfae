# SPDX-License-Identifier: BSD-2-Clause
"""Worker processes of a stateless daemon, which accept connections from its listening socket.

A worker inherits the socket and the end of a pipe, which is closed when the parent process ends.
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

from ganeti.daemon.process.reactor import Reactor
from ganeti.system.subprocess_modules import module_environment

LISTENING_DESCRIPTOR = 3
"""The file descriptor of the listening socket in a worker."""

PARENT_DESCRIPTOR = 0

RESTART_DELAY = 1.0
"""Delay before a worker that ended is restarted, in seconds."""


class WorkerProcesses(Service):
    """Keeps ``count`` processes of ``module`` running while the service runs.

    Each gets ``arguments`` and ``--worker`` with its number.
    """

    _log = Logger()

    def __init__(
        self, reactor: Reactor, module: str, arguments: Sequence[str], listening: int, count: int
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
                env={**os.environ, **module_environment()},
                childFDs={
                    PARENT_DESCRIPTOR: "w",
                    1: 1,
                    2: 2,
                    LISTENING_DESCRIPTOR: self._listening,
                },
            )
        except OSError as e:  # for example no file descriptors or no memory
            self._log.error("worker {n} cannot be started; retrying: {why}", n=number, why=str(e))
            self._reactor.callLater(RESTART_DELAY, self._start, number)
            return
        self._workers[number] = worker

    def _ended(self, number: int, reason: Failure) -> None:
        del self._workers[number]
        if self.running:
            self._log.error("worker {n} ended: {why}", n=number, why=reason.getErrorMessage())
            self._reactor.callLater(RESTART_DELAY, self._start, number)

    def stopService(self) -> Deferred[None]:
        """Stop all workers; the Deferred fires when they have ended."""
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        workers = list(self._workers.values())
        for worker in workers:
            worker.process.closeStdin()
        for worker in workers:
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
class _ParentMonitor:
    """Stops the reactor when the parent's end of the pipe is closed."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def fileno(self) -> int:
        return PARENT_DESCRIPTOR

    def doRead(self) -> None:
        """Handle the end of the pipe; nothing is ever written to it."""
        if not os.read(PARENT_DESCRIPTOR, 1):
            # The reactor would report the end of the pipe in every turn.
            self._reactor.removeReader(self)
            self._reactor.stop()

    def connectionLost(self, reason: Failure) -> None:
        self._reactor.stop()

    def logPrefix(self) -> str:
        return "parent process"


def accept_as_worker(reactor: Reactor, factory: IProtocolFactory) -> Any:
    """Accept connections from the inherited socket until the parent process ends."""
    reactor.addReader(_ParentMonitor(reactor))
    # A duplicate: the socket closes its descriptor, and the port needs the original.
    with socket.socket(fileno=os.dup(LISTENING_DESCRIPTOR)) as listening:
        family = listening.family
    return reactor.adoptStreamPort(LISTENING_DESCRIPTOR, family, factory)
