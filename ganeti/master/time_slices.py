# SPDX-License-Identifier: BSD-2-Clause
"""Time slices for long computations, so that they do not block the reactor.

All running tasks share the slices: each reactor turn runs one slice of one task, however many tasks
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

from ganeti.errors import Code, Refused

T = TypeVar("T")
R = TypeVar("R")

SLICE_SECONDS = 0.004
"""Maximum duration of a slice in seconds."""

MAX_SECONDS = 20.0
"""Maximum total time of a task in seconds."""

MAX_UNSLICED_STEPS = 500
"""Number of steps (about half a millisecond) up to which work is not sliced."""


class TimeSlices:
    """Creates tasks that share the reactor's time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        # One slice per reactor turn: all other work runs in between.
        self._cooperator = Cooperator(
            terminationPredicateFactory=lambda: lambda: True,
            scheduler=lambda turn: clock.callLater(0, turn),
        )

    def task(self, what: str) -> SlicedTask:
        """Return a new task; ``what`` names it in the message if it takes too long."""
        return SlicedTask(what, self._clock.seconds, self._cooperator)


class SlicedTask:
    """The computations of one request, with a limit on their total time."""

    def __init__(self, what: str, seconds: Callable[[], float], cooperator: Cooperator) -> None:
        self._what = what
        self._seconds = seconds
        self._cooperator = cooperator
        self._spent = 0.0

    async def map(self, do: Callable[[T], R], items: Sequence[T], *, steps: int = 1) -> list[R]:
        """Return the results of ``do`` for all items; each call costs ``steps`` steps.

        :raises Refused: the task takes too long.
        """
        done: list[R] = []
        work = self._run_slices(do, items, done)
        if len(items) * steps <= MAX_UNSLICED_STEPS:
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

    def _run_slices(
        self, do: Callable[[T], R], items: Sequence[T], done: list[R]
    ) -> Iterator[object]:
        begun = self._seconds()
        for item in items:
            done.append(do(item))
            if (taken := self._seconds() - begun) >= SLICE_SECONDS:
                self._add_spent(taken)
                yield None
                begun = self._seconds()
        self._add_spent(self._seconds() - begun)

    def _add_spent(self, seconds: float) -> None:
        self._spent += seconds
        if self._spent > MAX_SECONDS:
            raise Refused(
                f"{self._what} takes more than {MAX_SECONDS:g} seconds of processor time; query"
                " fewer objects or fields, or use a simpler filter",
                Code.RESOURCES,
            )
