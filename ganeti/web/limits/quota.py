# SPDX-License-Identifier: BSD-2-Clause
"""A limit on the sum of a resource that clients use, such as bytes of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Quota(Generic[T]):
    """Limits the total of all holders; beyond it, the holder with the oldest change is evicted.

    A single holder is never evicted: its own amount is limited elsewhere.
    """

    def __init__(self, limit: int, evict: Callable[[T], None]) -> None:
        self._limit = limit
        self._evict = evict
        self._held: dict[T, int] = {}
        self.total = 0

    def set_amount(self, holder: T, amount: int) -> None:
        """Set the total amount of ``holder``."""
        self.total += amount - self._held.get(holder, 0)
        self._held[holder] = amount
        while self.total > self._limit and len(self._held) > 1:
            oldest = next(iter(self._held))
            self.release_amount(oldest)
            self._evict(oldest)

    def release_amount(self, holder: T) -> None:
        """Set the amount of ``holder`` to zero."""
        self.total -= self._held.pop(holder, 0)
