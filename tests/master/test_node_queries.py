# SPDX-License-Identifier: BSD-2-Clause
"""However many ask, nodes are asked once at a time, and nobody gets an answer of before."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.master.node_queries import SharedQuery


class SharedQueryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[Deferred[str]] = []
        self.query = SharedQuery(self._ask)

    async def _ask(self) -> str:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def ask(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self.query.fresh_answer())

    def test_who_comes_while_nodes_are_asked_shares_the_next_answer(self) -> None:
        first, second, third = (self.ask() for _ in range(3))
        self.assertEqual(len(self.asked), 1)
        self.asked[0].callback("old")
        self.assertEqual(self.successResultOf(first), "old")
        self.assertNoResult(second)
        self.asked[1].callback("new")
        self.assertEqual([self.successResultOf(each) for each in (second, third)], ["new"] * 2)
        self.assertEqual(len(self.asked), 2)

    def test_who_comes_later_has_nodes_asked_again(self) -> None:
        for answer in ("one", "two"):
            asked = self.ask()
            self.asked[-1].callback(answer)
            self.assertEqual(self.successResultOf(asked), answer)

    def test_one_that_ends_without_an_answer_leaves_it_to_the_next(self) -> None:
        first, second, third = (self.ask() for _ in range(3))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.asked[1].errback(Failed("broken"))
        self.failureResultOf(second, Failed)
        self.asked[2].callback("new")
        self.assertEqual(self.successResultOf(third), "new")
