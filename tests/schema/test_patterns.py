# SPDX-License-Identifier: BSD-2-Clause
"""Regular expressions of users are searched for, but not for ever."""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.schema.patterns import LONGEST, Pattern

ENDLESS = "(.|.|.|.)*!"


class PatternTests(SynchronousTestCase):
    def test_a_pattern_is_found_anywhere_in_a_text(self) -> None:
        pattern = Pattern("we+b[0-9]$")
        self.assertEqual([pattern.found(each) for each in ("my-web1", "web10")], [True, False])

    def test_what_is_no_pattern_is_told(self) -> None:
        for text in ("(", "*", "x" * (LONGEST + 1), "a{99999999999999999999}"):
            self.assertRaises(Invalid, Pattern, text)

    def test_a_search_without_end_is_interrupted(self) -> None:
        before = signal.getsignal(signal.SIGVTALRM)
        with self.assertRaisesRegex(Invalid, "takes too long"):
            Pattern(ENDLESS).found("a-very-long-name.example.com")
        self.assertEqual(signal.getsignal(signal.SIGVTALRM), before)
        self.assertEqual(signal.getitimer(signal.ITIMER_VIRTUAL), (0.0, 0.0))

    def test_many_searches_share_the_patience(self) -> None:
        pattern = Pattern(ENDLESS)
        with self.assertRaisesRegex(Invalid, "takes too long"):
            for _ in range(100_000):
                pattern.found("web.example")
