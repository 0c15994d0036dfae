# SPDX-License-Identifier: BSD-2-Clause
"""A bound on the sum of what clients hold: bytes of memory, or places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Quota(Generic[T]):
    """Bound what all holders have together; the one that has held its share longest gives way.

    A single holder is never evicted: what one may hold has bounds of its own.
    """

    def __init__(self, limit: int, evict: Callable[[T], None]) -> None:
        self._limit = limit
        self._evict = evict
        self._held: dict[T, int] = {}
        self.total = 0

    def hold(self, holder: T, amount: int) -> None:
        """Count that ``holder`` now has ``amount`` in all."""
        self.total += amount - self._held.get(holder, 0)
        self._held[holder] = amount
        while self.total > self._limit and len(self._held) > 1:
            oldest = next(iter(self._held))
            self.release(oldest)
            self._evict(oldest)

    def release(self, holder: T) -> None:
        """Count that ``holder`` has nothing any more."""
        self.total -= self._held.pop(holder, 0)
