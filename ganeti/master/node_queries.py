# SPDX-License-Identifier: BSD-2-Clause
"""Questions to all nodes, of which there is one at a time however many clients ask it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import DeferredLock

R = TypeVar("R")


class SharedQuery(Generic[R]):
    """Asks again for each client, but once for all that wait while it is asked.

    An answer is only given to clients that came before it was asked for, so that each sees what
    was done before it came.
    """

    def __init__(self, ask: Callable[[], Awaitable[R]]) -> None:
        self._ask = ask
        self._turn = DeferredLock()
        self._begun = 0
        self._answer: tuple[int, R] | None = None

    async def answer(self) -> R:
        """Return an answer that was asked for after this was called."""
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
