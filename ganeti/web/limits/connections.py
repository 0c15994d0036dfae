# SPDX-License-Identifier: BSD-2-Clause
"""A limit on the number of connections, which evicts idle ones in favor of new ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ganeti.web.rate_limited_log import RateLimitedLog


class Evictable(Protocol):
    """A connection that can be closed at once."""

    @property
    def idle(self) -> bool:
        """Whether closing it loses no request and no answer."""

    def abort(self) -> None: ...


class ConnectionLimit:
    """Admits up to ``limit`` connections; beyond that, a new one replaces the oldest idle one.

    If none is idle, the new connection is closed.
    """

    def __init__(self, limit: int, warn: RateLimitedLog) -> None:
        self._limit = limit
        self._warn = warn
        self._admitted: dict[Evictable, None] = {}

    def __iter__(self) -> Iterator[Evictable]:
        return iter(list(self._admitted))

    def __len__(self) -> int:
        return len(self._admitted)

    def admit(self, connection: Evictable) -> None:
        """Count a connection; close one if there are too many."""
        if len(self._admitted) >= self._limit:
            idle = next((each for each in self._admitted if each.idle), None)
            self._warn(
                "{n} connections: closing an idle one" if idle else "{n} connections: full",
                n=self._limit,
            )
            if idle is None:
                connection.abort()
                return
            # Release it now: its connectionLost() is called in a later reactor iteration.
            self.release(idle)
            idle.abort()
        self._admitted[connection] = None

    def release(self, connection: Evictable) -> None:
        """Stop counting a connection."""
        self._admitted.pop(connection, None)
