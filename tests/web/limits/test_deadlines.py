# SPDX-License-Identifier: BSD-2-Clause
"""Deadlines are checked once a second, and only while something is watched."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.web.limits.deadlines import INTERVAL, Deadlines


class FakeTimed:
    """Counts how often its deadline has passed."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.passed = 0

    def deadline_passed(self) -> None:
        self.passed += 1
        self.deadline = None


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)

    def test_only_those_are_told_whose_deadline_has_passed(self) -> None:
        several = [FakeTimed(1.5), FakeTimed(5.0), FakeTimed(None)]
        for each in several:
            self.deadlines.watch(each)
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual([each.passed for each in several], [1, 0, 0])

    def test_no_timer_is_left_when_nothing_is_watched(self) -> None:
        one = FakeTimed(0.5)
        self.deadlines.watch(one)
        self.deadlines.stop_checking(one)
        self.deadlines.stop_checking(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_may_be_forgotten_while_deadlines_are_checked(self) -> None:
        one, other = FakeTimed(0.5), FakeTimed(0.5)

        def passed() -> None:
            self.deadlines.stop_checking(one)
            self.deadlines.stop_checking(other)

        self.patch(one, "deadline_passed", passed)
        for each in (one, other):
            self.deadlines.watch(each)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.clock.getDelayedCalls(), [])
