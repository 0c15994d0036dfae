# SPDX-License-Identifier: BSD-2-Clause
"""Many clients do not flood the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.web.rate_limited_log import INTERVAL, RateLimitedLog


class RateLimitedLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.log = RateLimitedLog(self.clock, self.warn)

    def warn(self, text: str, **values: Any) -> None:
        self.said.append(text.format(**values))

    def test_one_of_many_alike_is_written(self) -> None:
        for number in range(5):
            self.log("{n} is slow", n=number)
        self.log("{n} is gone", n=7)
        self.assertEqual(self.said, ["0 is slow", "7 is gone"])

    def test_the_next_after_an_interval_says_how_many_were_suppressed(self) -> None:
        for number in range(5):
            self.log("{n} is slow", n=number)
        self.clock.advance(INTERVAL)
        self.log("{n} is slow", n=5)
        self.clock.advance(INTERVAL)
        self.log("{n} is slow", n=6)
        again = "5 is slow; 4 more since the last such message"
        self.assertEqual(self.said, ["0 is slow", again, "6 is slow"])
