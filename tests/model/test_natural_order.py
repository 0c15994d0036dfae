# SPDX-License-Identifier: BSD-2-Clause
"""Names are ordered by the numbers in them, the same everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.natural_order import natural_sort_key

NAMES = st.text("ab0129.-é", max_size=12)


class NaturalOrderTests(SynchronousTestCase):
    def test_numbers_are_compared_as_numbers(self) -> None:
        names = ["node10", "node9", "node1", "node2.b", "node2.a10", "node2.a9"]
        expected = ["node1", "node2.a9", "node2.a10", "node2.b", "node9", "node10"]
        self.assertEqual(sorted(names, key=natural_sort_key), expected)

    def test_text_comes_before_numbers_at_the_same_place(self) -> None:
        self.assertEqual(sorted(["a1", "a", "ab"], key=natural_sort_key), ["a", "a1", "ab"])

    def test_names_that_differ_in_leading_zeros_only_have_an_order(self) -> None:
        self.assertNotEqual(natural_sort_key("node01"), natural_sort_key("node1"))
        names = ["node001", "node01", "node1"]
        for order in (names, names[::-1]):
            self.assertEqual(sorted(order, key=natural_sort_key), names)

    @given(st.lists(NAMES, unique=True))
    def test_all_names_can_be_compared_and_keys_are_unique(self, names: list[str]) -> None:
        keys = sorted(natural_sort_key(name) for name in names)
        self.assertEqual(len(set(keys)), len(names))
