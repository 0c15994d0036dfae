# SPDX-License-Identifier: BSD-2-Clause
"""Recovery of the journal after a failed commit."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import CommitFailed, NotMaster
from ganeti.journal.interfaces import IJournal

_RETRY_DELAYS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts; the last delay repeats."""


class JournalRecovery:
    """Reopens a failed journal, with retries, and lets callers wait for success."""

    _log = Logger()

    def __init__(
        self, journal: IJournal, clock: IReactorTime, works_again: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._works_again = works_again
        self._broken = False
        self._work: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._stopped = False

    @property
    def works(self) -> bool:
        """Whether no commit has failed since the last successful reopen."""
        return not self._broken

    def report_failure(self) -> None:
        """Start recovery because a commit has failed; do nothing if recovery already runs."""
        if not self._broken:
            self._broken = True
            if not self._stopped:
                self._work = Deferred.fromCoroutine(self._recover())
                self._work.addErrback(self._log_failure)

    async def wait_until_working(self) -> None:
        """Return when the journal works; at once if it does.

        :raises CancelledError: recovery was stopped.
        """
        if self._broken and self._stopped:
            raise CancelledError()
        if self._broken:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            try:
                await waiting
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)

    def stop(self) -> None:
        """Stop recovery and cancel all waiters."""
        self._stopped = True
        if self._work is not None:
            self._work.cancel()
        for waiting in tuple(self._waiting):
            waiting.cancel()

    def _log_failure(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.failure("journal recovery failed; restart the master daemon", failure)

    async def _recover(self) -> None:
        attempt = 0
        while True:
            await deferLater(self._clock, _RETRY_DELAYS[min(attempt, len(_RETRY_DELAYS) - 1)])
            attempt += 1
            try:
                await self._journal.reopen()
            except CommitFailed as e:
                self._log.warn("job queue halted: {why}; retrying", why=str(e))
            except NotMaster as e:
                self._log.error("job queue halted: {why}", why=str(e))
                # This coroutine is that work, and must not cancel itself.
                self._work = None
                self.stop()
                return
            else:
                break
        self._log.info("job queue resumed: the journal works again")
        self._broken, self._work = False, None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._clock.callLater(0, _wake, each)
        self._works_again()


def _wake(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
