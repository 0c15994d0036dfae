# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for locks: coroutines sleep here until the table grants what they want."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ganeti.locking.names import LockName, LockRequest, Owner, parents, widened
from ganeti.locking.table import LockRow, LockTable


class LockWaiter:
    """Gives each owner all the locks it wants at once, and keeps the others waiting."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._table = LockTable()
        self._sleeping: dict[Owner, Deferred[None]] = {}

    @asynccontextmanager
    async def hold(
        self, owner: Owner, wants: LockRequest, priority: int = 0
    ) -> AsyncIterator[None]:
        """Hold all of ``wants`` for as long as the block runs; lower priorities are served first.

        Locks that are free are held at once, in the same turn. A waiter that is cancelled leaves
        the queue. An owner may hold or wait only once at a time.

        :raises AlreadyAsked: this owner holds or waits; nothing has changed.
        """
        granted = self._table.request(owner, widened(wants), priority)
        try:
            if not granted:
                self._sleeping[owner] = Deferred()
                await self._sleeping[owner]
            yield
        finally:
            self._sleeping.pop(owner, None)
            self._wake(self._table.release(owner))

    def reprioritize(self, owner: Owner, priority: int) -> None:
        """Move a waiting owner among the others; for one that holds, nothing changes."""
        self._wake(self._table.reprioritize(owner, priority))

    def in_use(self, name: LockName) -> bool:
        """Return whether somebody who wants the lock together with others would have to wait."""
        return self._table.in_use(name) or any(map(self._table.in_use, parents(name)))

    def rows(self) -> list[LockRow]:
        """Every lock that somebody holds or waits for, by name."""
        return self._table.rows()

    def _wake(self, owners: Iterable[Owner]) -> None:
        for owner in owners:
            # In a later turn: waking a long queue from inside itself would overflow the stack.
            self._clock.callLater(0, self._rouse, owner, self._sleeping[owner])

    def _rouse(self, owner: Owner, sleeper: Deferred[None]) -> None:
        # It may have been cancelled since it was granted, and even sleep for something else now.
        if self._sleeping.get(owner) is sleeper:
            del self._sleeping[owner]
            sleeper.callback(None)
