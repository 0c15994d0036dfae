# SPDX-License-Identifier: BSD-2-Clause
"""Each client has its share, and is told when it has some of it again."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.rate_limits import MAX_CLIENTS, RateLimit


class RateLimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.limit = RateLimit("jobs", self.clock.seconds, burst=3, per_second=0.5)

    def taken(self, client: str, tries: int) -> int:
        """How many of so many tries one client is granted."""
        granted = 0
        for _ in range(tries):
            try:
                self.limit.reject_or_count(client)
            except HttpProblem:
                continue
            granted += 1
        return granted

    def test_a_client_that_has_used_its_share_waits_and_others_do_not(self) -> None:
        self.assertEqual([self.taken(each, 10) for each in ("jack", "rita")], [3, 3])
        self.clock.advance(2)
        self.assertEqual(self.taken("jack", 10), 1)
        self.clock.advance(1000)
        self.assertEqual(self.taken("jack", 10), 3)

    def test_the_refusal_says_how_long_to_wait(self) -> None:
        self.taken("jack", 3)
        refusal: Any = self.assertRaises(HttpProblem, self.limit.check, "jack")
        self.assertEqual(refusal.status, 429)
        self.assertIn(("Retry-After", "2"), refusal.headers)
        self.assertEqual(str(refusal), "too many jobs; try again in 2 seconds")
        self.clock.advance(2)
        self.limit.check("jack")

    def test_it_remembers_only_so_many_clients(self) -> None:
        for number in range(MAX_CLIENTS + 1):
            self.limit.count_request(str(number))
        self.assertEqual(self.taken("0", 10), 3)
        self.assertEqual(self.taken(str(MAX_CLIENTS), 10), 2)
