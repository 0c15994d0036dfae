# SPDX-License-Identifier: BSD-2-Clause
"""Periodic tasks of daemons, which survive a lack of file descriptors, memory or disk space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

TRANSIENT_ERRORS: tuple[type[Exception], ...] = (OSError, MemoryError)
"""Errors that may be gone at the next attempt."""


class PeriodicTask(Service):
    """Calls ``work`` every ``seconds`` while the service runs; it may return a Deferred or be a
    coroutine function.

    Errors of the types ``passing`` are logged, equal ones only once, and the work is tried again at
    the next interval. Any other error stops the service and is passed to ``broken``.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        seconds: float,
        work: Callable[[], object],
        clock: IReactorTime,
        broken: Callable[[Failure], None],
        *,
        passing: tuple[type[Exception], ...] = TRANSIENT_ERRORS,
    ) -> None:
        self.setName(name)
        self._seconds = seconds
        self._work = work
        self._passing = passing
        self._trouble: str | None = None
        self._loop = LoopingCall(self._run_once)
        self._loop.clock = clock
        self._broken = broken

    def startService(self) -> None:
        super().startService()
        self._loop.start(self._seconds, now=False).addErrback(self._broken)

    def stopService(self) -> None:
        """Stop the calls; one that is in progress is not canceled."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def _run_once(self) -> Deferred[Any]:
        return maybeDeferred(self._work).addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, _: object) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._log.info("{name} works again", name=self.name)

    def _failed(self, failure: Failure) -> None:
        failure.trap(*self._passing)
        trouble = str(failure.value) or type(failure.value).__name__
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.error("{name} failed; retrying: {why}", name=self.name, why=trouble)
