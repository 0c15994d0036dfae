# SPDX-License-Identifier: BSD-2-Clause
"""Checks that pause at the points between their items, once their slice of time is over."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.paced import paced
from ganeti.operations.cluster.slices import SLICE_SECONDS, collect, each_of
from ganeti.testing.builders import a_cluster
from ganeti.testing.tools import MemoryTools, StandingTime


class SlowTime(StandingTime):
    """Time that passes while items are checked; ``pauses`` counts the pauses."""

    now = 0.0
    pauses = 0

    def seconds(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses += 1


class SlicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = SlowTime()
        self.tools = replace(MemoryTools(a_cluster()).tools, time=self.time)

    def test_long_work_pauses_and_finds_everything(self) -> None:
        def check(item: int) -> list[int]:
            self.time.now += SLICE_SECONDS * 0.7
            return [item]

        work = collect(each_of(range(4), check), self.tools)
        self.assertEqual(self.successResultOf(work), [0, 1, 2, 3])
        self.assertEqual(self.time.pauses, 2)

    def test_short_work_does_not_pause(self) -> None:
        work = collect(each_of(range(3), lambda item: [item]), self.tools)
        self.assertEqual(self.successResultOf(work), [0, 1, 2])
        self.assertEqual(self.time.pauses, 0)

    def test_there_is_a_point_after_some_items(self) -> None:
        self.assertEqual(list(paced("abc", 2)), ["a", "b", None, "c"])
