# SPDX-License-Identifier: BSD-2-Clause
"""Getting the journal to work again after it could not keep a commit."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import NotKept, NotMaster
from ganeti.journal.interfaces import IJournal

_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts; the last one is repeated."""


class JournalRecovery:
    """Tries again and again to reopen a journal that broke, and lets others wait for that."""

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
        """Whether the journal is thought to keep what it is given."""
        return not self._broken

    def broke(self) -> None:
        """The journal could not keep something; see to it."""
        if not self._broken:
            self._broken = True
            if not self._stopped:
                self._work = Deferred.fromCoroutine(self._mend())
                self._work.addErrback(self._gave_up)

    async def mended(self) -> None:
        """Return when the journal works; at once if it does.

        :raises CancelledError: it will not be tried any more.
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
        """Give up; whoever waits is cancelled."""
        self._stopped = True
        if self._work is not None:
            self._work.cancel()
        for waiting in tuple(self._waiting):
            waiting.cancel()

    def _gave_up(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.failure("nobody mends the journal any more", failure)

    async def _mend(self) -> None:
        attempt = 0
        while True:
            await deferLater(self._clock, _PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1
            try:
                await self._journal.reopen()
            except NotKept as e:
                self._log.warn("the job queue stands still: {why}", why=str(e))
            except NotMaster as e:
                self._log.error("the job queue stands still for good: {why}", why=str(e))
                self._work = None
                self.stop()
                return
            else:
                break
        self._log.info("the job queue goes on, the journal works again")
        self._broken, self._work = False, None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._clock.callLater(0, _wake, each)
        self._works_again()


def _wake(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
