# SPDX-License-Identifier: BSD-2-Clause
"""What clients hold together is bounded, and the oldest holder gives way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.web.limits.quota import Quota


class QuotaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.evicted: list[str] = []
        self.quota: Quota[str] = Quota(10, self.evicted.append)

    def test_the_oldest_holder_is_evicted_first(self) -> None:
        for holder, amount in (("a", 4), ("b", 4), ("c", 4)):
            self.quota.set_amount(holder, amount)
        self.assertEqual((self.evicted, self.quota.total), (["a"], 8))

    def test_as_many_are_evicted_as_it_takes(self) -> None:
        for holder, amount in (("a", 4), ("b", 4), ("c", 10)):
            self.quota.set_amount(holder, amount)
        self.assertEqual((self.evicted, self.quota.total), (["a", "b"], 10))

    def test_a_holder_that_gets_more_keeps_its_age(self) -> None:
        for holder, amount in (("a", 1), ("b", 4), ("a", 8)):
            self.quota.set_amount(holder, amount)
        self.assertEqual((self.evicted, self.quota.total), (["a"], 4))

    def test_what_was_released_does_not_count(self) -> None:
        self.quota.set_amount("a", 9)
        self.quota.release_amount("a")
        self.quota.release_amount("a")
        self.quota.set_amount("b", 9)
        self.assertEqual((self.evicted, self.quota.total), ([], 9))

    def test_a_single_holder_is_not_evicted(self) -> None:
        self.quota.set_amount("a", 99)
        self.assertEqual(self.evicted, [])

    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 12))))
    def test_the_sum_is_within_the_limit_or_that_of_one(self, holds: list[tuple[str, int]]) -> None:
        held = dict[str, int]()
        quota: Quota[str] = Quota(10, held.__delitem__)
        for holder, amount in holds:
            held[holder] = amount
            quota.set_amount(holder, amount)
            self.assertEqual(quota.total, sum(held.values()))
            self.assertTrue(quota.total <= 10 or len(held) == 1)
