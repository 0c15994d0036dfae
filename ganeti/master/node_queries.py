# SPDX-License-Identifier: BSD-2-Clause
"""Queries to all nodes that concurrent clients share: at most one runs at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import DeferredLock

R = TypeVar("R")


class SharedQuery(Generic[R]):
    """A query that runs once for all clients that wait for its start.

    A client only gets an answer whose query started after its request, so that it sees all earlier
    changes.
    """

    def __init__(self, ask: Callable[[], Awaitable[R]]) -> None:
        self._ask = ask
        self._turn = DeferredLock()
        self._begun = 0
        self._answer: tuple[int, R] | None = None

    async def fresh_answer(self) -> R:
        """Return an answer whose query started after this call."""
        wanted = self._begun + 1
        await self._turn.acquire()
        try:
            if self._answer is None or self._answer[0] < wanted:
                self._begun += 1
                number = self._begun
                self._answer = number, await self._ask()
            return self._answer[1]
        finally:
            self._turn.release()
