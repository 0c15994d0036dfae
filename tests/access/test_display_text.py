# SPDX-License-Identifier: BSD-2-Clause
"""Text of clients cannot move a cursor, turn the direction of writing, or fill a log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.display_text import printable


class PrintableTests(SynchronousTestCase):
    def test_what_can_be_seen_stays_as_it_is(self) -> None:
        for text in ("", "ann", "Jörg O'Neill <x>", "山田"):
            self.assertEqual(printable(text, 100), text)

    def test_what_cannot_be_seen_is_an_escape(self) -> None:
        for text, shown in (
            ("a\nb", "a\\nb"),
            ("\x1b[2J", "\\x1b[2J"),
            ("a\u202eb", "a\\u202eb"),
            ("\x00\x7f\u200b", "\\x00\\x7f\\u200b"),
        ):
            self.assertEqual(printable(text, 100), shown)

    def test_a_surrogate_without_its_half_is_an_escape(self) -> None:
        self.assertEqual(printable("a\udcff", 100), "a\\udcff")

    def test_the_rest_of_a_long_text_is_left_out(self) -> None:
        self.assertEqual(printable("a" * 101, 100), "a" * 100)
        self.assertEqual(printable("a\nb", 2), "a\\n")
        self.assertEqual(printable("abc", 0), "")

    @given(some.text(), some.integers(0, 20))
    def test_the_result_is_always_printable(self, text: str, most: int) -> None:
        self.assertTrue(printable(text, most).isprintable())
