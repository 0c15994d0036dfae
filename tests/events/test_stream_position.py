# SPDX-License-Identifier: BSD-2-Clause
"""Identifiers of events are ordered, and are read as they are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.events.stream_position import StreamPosition

numbers = st.integers(0, 10**17)


class CursorTests(SynchronousTestCase):
    @given(numbers, numbers)
    def test_what_is_written_can_be_read(self, position: int, number: int) -> None:
        cursor = StreamPosition(position, number)
        self.assertEqual(StreamPosition.parse(str(cursor)), cursor)

    def test_a_position_alone_stands_for_the_end_of_its_commit(self) -> None:
        self.assertGreater(StreamPosition.parse("7"), StreamPosition.parse("7.999"))
        self.assertLess(StreamPosition.parse("7"), StreamPosition.parse("7.1000001"))
        self.assertLess(StreamPosition.parse("7"), StreamPosition.parse("8.1"))
        self.assertEqual(str(StreamPosition.parse("7")), "7")

    def test_anything_else_is_refused_with_an_example(self) -> None:
        for text in ("", "x", "-1", "1.", "1.2.3", "１", "1" * 30, "1\n"):
            self.assertRaisesRegex(Invalid, "such as 1234", StreamPosition.parse, text)
