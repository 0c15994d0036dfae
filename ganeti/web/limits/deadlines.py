# SPDX-License-Identifier: BSD-2-Clause
"""Deadlines of many connections, checked together once a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

INTERVAL = 1.0
"""Seconds between two checks. A timer of its own for each connection, set anew several times per
request, would cost more than all else that is done about limits."""


class Timed(Protocol):
    """Something with a deadline, by the clock that it shares with :class:`Deadlines`."""

    @property
    def deadline(self) -> float | None:
        """When it must have got on; None while nothing is expected of it."""

    def deadline_passed(self) -> None: ...


class Deadlines:
    """Tell what is watched when its deadline has passed, at most ``INTERVAL`` late."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._watched: dict[Timed, None] = {}
        self._next: IDelayedCall | None = None

    def __iter__(self) -> Iterator[Timed]:
        return iter(list(self._watched))

    def watch(self, one: Timed) -> None:
        """Check the deadline of ``one`` from now on."""
        self._watched[one] = None
        if self._next is None:
            self._next = self._clock.callLater(INTERVAL, self._check)

    def forget(self, one: Timed) -> None:
        """Do not check the deadline of ``one`` any more."""
        self._watched.pop(one, None)
        if not self._watched and self._next is not None:
            self._next.cancel()
            self._next = None

    def _check(self) -> None:
        self._next = self._clock.callLater(INTERVAL, self._check)
        now = self._clock.seconds()
        for one in self:
            if one.deadline is not None and one.deadline < now:
                one.deadline_passed()
