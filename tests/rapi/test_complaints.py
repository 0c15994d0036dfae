# SPDX-License-Identifier: BSD-2-Clause
"""A crowd does not flood the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.complaints import PAUSE, Complaints


class ComplaintsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.complain = Complaints(self.clock, self.warn)

    def warn(self, text: str, **values: Any) -> None:
        self.said.append(text.format(**values))

    def test_of_many_alike_one_is_told(self) -> None:
        for number in range(5):
            self.complain("{n} is slow", n=number)
        self.complain("{n} is gone", n=7)
        self.assertEqual(self.said, ["0 is slow", "7 is gone"])

    def test_after_a_while_it_is_told_again_with_how_often_it_was_not(self) -> None:
        for number in range(5):
            self.complain("{n} is slow", n=number)
        self.clock.advance(PAUSE)
        self.complain("{n} is slow", n=5)
        self.clock.advance(PAUSE)
        self.complain("{n} is slow", n=6)
        again = "5 is slow; 4 times before, since it was told last"
        self.assertEqual(self.said, ["0 is slow", again, "6 is slow"])
