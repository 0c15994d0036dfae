# SPDX-License-Identifier: BSD-2-Clause
"""Lock acquisition for coroutines, which wait until the lock table grants their request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ganeti.locking.lock_table import LockRow, LockTable
from ganeti.locking.names import (
    CONFLICTS,
    LockMode,
    LockName,
    LockRequest,
    Owner,
    parents,
    widened,
)

MAX_RELEASES = 20_000
"""How many locks are remembered that were released."""


class LockWaiter:
    """Grants each owner all locks of its request at once, and lets other owners wait.

    ``releases`` is how often an owner has released its locks.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._table = LockTable()
        self._waiters: dict[Owner, Deferred[None]] = {}
        self.releases = 0
        # The number of the last release of each lock in each mode; the oldest first.
        self._released: dict[tuple[LockName, LockMode], int] = {}
        self._forgotten = 0

    @asynccontextmanager
    async def hold_locks(
        self, owner: Owner, wants: LockRequest, priority: int = 0
    ) -> AsyncIterator[None]:
        """Hold all locks of ``wants`` during the block; lower priorities are served first.

        Free locks are granted in the same reactor turn. A cancelled waiter leaves the queue. An
        owner has at most one request at a time.

        :raises AlreadyRequested: this owner holds or waits; nothing was changed.
        """
        request = widened(wants)
        granted = bool(self._table.request(owner, request, priority))
        try:
            if not granted:
                self._waiters[owner] = Deferred()
                await self._waiters[owner]
                granted = True
            yield
        finally:
            self._waiters.pop(owner, None)
            if granted:
                self._remember(request)
            self._wake(self._table.release(owner))

    def released_since(self, wants: LockRequest, mark: int) -> bool:
        """Return whether locks that conflict with a request were held when ``releases`` was
        ``mark``, or later, and were released meanwhile; true also if that is long ago."""
        if mark < self._forgotten:
            return True
        return any(
            self._released.get((name, other), 0) > mark
            for name, mode in widened(wants).items()
            for other in CONFLICTS[mode]
        )

    def _remember(self, request: LockRequest) -> None:
        self.releases += 1
        for each in request.items():
            # Removed first, so that it becomes the newest.
            self._released.pop(each, None)
            self._released[each] = self.releases
        while len(self._released) > MAX_RELEASES:
            self._forgotten = self._released.pop(next(iter(self._released)))

    def reprioritize(self, owner: Owner, priority: int) -> None:
        """Change the priority of a waiter; a holder is not affected."""
        self._wake(self._table.reprioritize(owner, priority))

    def in_use(self, name: LockName) -> bool:
        """Return whether a shared request for the lock would have to wait."""
        return self._table.in_use(name) or any(map(self._table.in_use, parents(name)))

    def rows(self) -> list[LockRow]:
        """Return every lock with holders or waiters, sorted by name."""
        return self._table.rows()

    def _wake(self, owners: Iterable[Owner]) -> None:
        for owner in owners:
            # In a later turn: waking a long queue recursively would overflow the stack.
            self._clock.callLater(0, self._resume, owner, self._waiters[owner])

    def _resume(self, owner: Owner, sleeper: Deferred[None]) -> None:
        # The waiter may have been cancelled after the grant, and its owner may wait for a new
        # request.
        if self._waiters.get(owner) is sleeper:
            del self._waiters[owner]
            sleeper.callback(None)
