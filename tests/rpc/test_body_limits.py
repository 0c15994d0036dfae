# SPDX-License-Identifier: BSD-2-Clause
"""What a node daemon keeps of requests is bounded for all connections together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rpc.body_limits import (
    BODIES,
    DEFAULT_BODY,
    MAX_BODY,
    MAX_TOTAL,
    MIN_COUNTED,
    BodyBudget,
    body_limit,
)
from tests.rpc.test_calls import declared

TOTAL = 10 * MIN_COUNTED
steps = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4 * MIN_COUNTED)))


class LimitTests(SynchronousTestCase):
    def test_every_call_with_a_limit_of_its_own_is_one(self) -> None:
        self.assertLessEqual(set(BODIES), {call.wire for call in declared()})

    def test_only_copies_of_the_state_may_be_as_large_as_anything(self) -> None:
        largest = {call.wire for call in declared() if body_limit(call.wire) == MAX_BODY}
        self.assertEqual(largest, {"journal_append", "journal_checkpoint", "journal_reset"})
        self.assertEqual(body_limit("instance_start"), DEFAULT_BODY)
        self.assertEqual(body_limit("no_such_call"), DEFAULT_BODY)

    def test_two_of_the_largest_fit_at_once(self) -> None:
        budget = BodyBudget()
        self.assertTrue(budget.reserve("a", MAX_BODY) and budget.reserve("b", MAX_BODY))
        self.assertEqual(budget.kept, MAX_TOTAL)
        self.assertFalse(budget.reserve("c", DEFAULT_BODY))


class BudgetTests(SynchronousTestCase):
    def test_who_comes_too_late_is_refused_and_may_come_again(self) -> None:
        budget = BodyBudget(TOTAL)
        self.assertTrue(budget.reserve("early", TOTAL))
        self.assertFalse(budget.reserve("late", MIN_COUNTED + 1))
        budget.release("late")
        budget.release("early")
        self.assertTrue(budget.reserve("late", MIN_COUNTED + 1))

    def test_small_requests_are_taken_in_any_case(self) -> None:
        budget = BodyBudget(TOTAL)
        budget.reserve("large", TOTAL)
        self.assertTrue(budget.reserve("small", MIN_COUNTED))
        self.assertEqual(budget.kept, TOTAL)

    def test_a_connection_that_has_got_rid_of_something_may_always_say_so(self) -> None:
        budget = BodyBudget(TOTAL)
        budget.reserve("large", TOTAL)
        self.assertTrue(budget.reserve("large", 2 * MIN_COUNTED))
        self.assertTrue(budget.reserve("other", 2 * MIN_COUNTED))
        self.assertEqual(budget.kept, 4 * MIN_COUNTED)

    @given(steps)
    def test_the_sum_is_right_and_never_too_much(self, told: list[tuple[int, int]]) -> None:
        budget, kept = BodyBudget(TOTAL), dict[int, int]()
        for connection, size in told:
            if budget.reserve(connection, size):
                kept[connection] = size if size > MIN_COUNTED else 0
            self.assertEqual(budget.kept, sum(kept.values()))
            self.assertLessEqual(budget.kept, TOTAL)
        for connection in kept:
            budget.release(connection)
        self.assertEqual(budget.kept, 0)
