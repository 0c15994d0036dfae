# SPDX-License-Identifier: BSD-2-Clause
"""Long work on the reactor's thread lets others have their turn."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.master.time_slices import MAX_SECONDS, MAX_UNSLICED_STEPS, SLICE_SECONDS, TimeSlices

MANY = list(range(MAX_UNSLICED_STEPS + 1))


class SlicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.slices = TimeSlices(self.clock)
        self.done: list[str] = []

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def start(self, name: str, seconds: float) -> Deferred[list[int]]:
        """Begin work of many items, each of which takes so long."""

        def do(item: int) -> int:
            self.clock.rightNow += seconds
            self.done.append(name)
            return -item

        return Deferred.fromCoroutine(self.slices.task("the query").map(do, MANY))

    def turn(self) -> None:
        """Let the reactor make one turn; time passes by the work alone."""
        due, self.clock.calls = self.clock.calls, []
        for call in due:
            call.called = 1
            call.func(*call.args, **call.kw)

    def test_a_slice_ends_when_its_time_is_up(self) -> None:
        asked = self.start("a", 1.01 * SLICE_SECONDS / 10)
        self.assertEqual(self.done, [])
        for turns in range(1, 52):
            self.turn()
            self.assertEqual(len(self.done), min(10 * turns, len(MANY)))
        self.assertEqual(self.successResultOf(asked), [-item for item in MANY])

    def test_tasks_take_turns_however_many_there_are(self) -> None:
        asked = [self.start(name, SLICE_SECONDS) for name in "abc"]
        for _ in range(6):
            self.turn()
        self.assertEqual(self.done, list("abcabc"))
        for each in asked:
            each.addErrback(lambda failure: failure.trap(CancelledError))
            each.cancel()

    def test_little_work_is_done_at_once(self) -> None:
        found = self.slices.task("the query").filter(lambda item: item > 97, MANY[:100], steps=5)
        self.assertEqual(self.successResultOf(found), [98, 99])

    def test_a_task_that_takes_too_long_is_refused(self) -> None:
        asked = self.start("a", MAX_SECONDS / 100)
        for _ in range(101):
            self.turn()
        failure: Any = self.failureResultOf(asked, Refused)
        self.assertIn("the query takes more than 20 seconds", str(failure.value))

    def test_who_hangs_up_ends_its_task(self) -> None:
        asked = self.start("a", SLICE_SECONDS)
        self.turn()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.done), 1)
