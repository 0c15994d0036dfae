# SPDX-License-Identifier: BSD-2-Clause
"""Deadlines of many connections, checked together once per second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

INTERVAL = 1.0
"""Time between two checks, in seconds. One timer for each connection, reset several times per
request, would cost more than all other limits together."""


class IHasDeadline(Protocol):
    """An object with a deadline, in terms of the clock of :class:`Deadlines`."""

    @property
    def deadline(self) -> float | None:
        """When the current phase must end; None if there is no deadline."""

    def deadline_passed(self) -> None: ...


class Deadlines:
    """Notifies watched objects whose deadline has passed, at most ``INTERVAL`` late."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._watched: dict[IHasDeadline, None] = {}
        self._next: IDelayedCall | None = None

    def __iter__(self) -> Iterator[IHasDeadline]:
        return iter(list(self._watched))

    def watch(self, one: IHasDeadline) -> None:
        """Start to check the deadline of ``one``."""
        self._watched[one] = None
        if self._next is None:
            self._next = self._clock.callLater(INTERVAL, self._check)

    def stop_checking(self, one: IHasDeadline) -> None:
        """Stop checking the deadline of ``one``."""
        self._watched.pop(one, None)
        if not self._watched and self._next is not None:
            self._next.cancel()
            self._next = None

    def _check(self) -> None:
        # First, so that an error does not end the checks.
        self._next = self._clock.callLater(INTERVAL, self._check)
        now = self._clock.seconds()
        for one in self:
            if one.deadline is not None and one.deadline < now:
                one.deadline_passed()
