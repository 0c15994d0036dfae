# SPDX-License-Identifier: BSD-2-Clause
"""Long work on the reactor's thread, done in slices, so that all others have their turn between.

Whatever is under way shares the slices: in each turn of the reactor one slice of one task is done,
however many tasks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

from ganeti.errors import Code, Refused

T = TypeVar("T")
R = TypeVar("R")

SLICE_SECONDS = 0.004
"""How long one slice may keep the reactor."""

MAX_SECONDS = 20.0
"""How much of the reactor's time one task may take in all its slices."""

SMALL = 500
"""Work of so many steps, some half a millisecond, is done at once."""


class TimeSlices:
    """Makes tasks that share the time of the reactor."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        # After each slice the reactor looks after everything else.
        self._cooperator = Cooperator(
            terminationPredicateFactory=lambda: lambda: True,
            scheduler=lambda turn: clock.callLater(0, turn),
        )

    def task(self, what: str) -> SlicedTask:
        """Return a task without any work yet; ``what`` it is called if it takes too long."""
        return SlicedTask(what, self._clock.seconds, self._cooperator)


class SlicedTask:
    """The work of one request, which may take so much time in all and no more."""

    def __init__(self, what: str, seconds: Callable[[], float], cooperator: Cooperator) -> None:
        self._what = what
        self._seconds = seconds
        self._cooperator = cooperator
        self._spent = 0.0

    async def map(self, do: Callable[[T], R], items: Sequence[T], *, steps: int = 1) -> list[R]:
        """Return what ``do`` makes of each item, which takes it so many ``steps``.

        :raises Refused: the task takes too long.
        """
        done: list[R] = []
        work = self._slices(do, items, done)
        if len(items) * steps <= SMALL:
            for _ in work:
                pass
            return done
        task = self._cooperator.cooperate(work)
        try:
            await task.whenDone()
        except CancelledError:
            task.stop()
            raise
        return done

    async def filter(
        self, matches: Callable[[T], bool], items: Sequence[T], *, steps: int = 1
    ) -> list[T]:
        """Return the items that match; see :meth:`map`.

        :raises Refused: the task takes too long.
        """
        matched = await self.map(matches, items, steps=steps)
        return [item for item, is_match in zip(items, matched, strict=True) if is_match]

    def _slices(self, do: Callable[[T], R], items: Sequence[T], done: list[R]) -> Iterator[Any]:
        begun = self._seconds()
        for item in items:
            done.append(do(item))
            if (taken := self._seconds() - begun) >= SLICE_SECONDS:
                self._spend(taken)
                yield None
                begun = self._seconds()
        self._spend(self._seconds() - begun)

    def _spend(self, seconds: float) -> None:
        self._spent += seconds
        if self._spent > MAX_SECONDS:
            raise Refused(
                f"{self._what} takes more than {MAX_SECONDS:g} seconds of the master's time; ask"
                " for fewer objects or fields, or with a simpler filter",
                Code.RESOURCES,
            )
