# SPDX-License-Identifier: BSD-2-Clause
"""Slow checks of passwords run in turns of their sources, and failures are counted by source."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.login_limits import (
    MAX_CONCURRENT_CHECKS,
    MAX_WAITING,
    MAX_WAITING_PER_SOURCE,
    FailureLimit,
    SlowChecks,
    source_network,
)
from ganeti.rapi.problems import HttpProblem


class SourceTests(SynchronousTestCase):
    def test_addresses_of_one_client_are_one_source(self) -> None:
        for host, source in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::"),
            ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::"),
            ("fe80::1%eth0", "fe80::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("", ""),
        ):
            self.assertEqual(source_network(host), source)


class SlowChecksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.running: list[tuple[bool, Deferred[bool]]] = []
        self.checks = SlowChecks(self.in_thread)

    async def in_thread(self, check: Callable[[], bool]) -> bool:
        self.running.append((check(), Deferred()))
        return await self.running[-1][1]

    def ask(self, source: str, result: bool = True) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.checks.run(source, lambda: result))

    def end(self, number: int) -> None:
        result, check = self.running[number]
        check.callback(result)

    def test_sources_take_turns(self) -> None:
        flood = [self.ask("a") for _ in range(MAX_CONCURRENT_CHECKS + 3)]
        other = self.ask("b", False)
        self.assertEqual(len(self.running), MAX_CONCURRENT_CHECKS)
        for number in range(len(flood)):
            self.end(number)
        self.assertFalse(self.running[MAX_CONCURRENT_CHECKS + 1][0])
        self.assertEqual(self.successResultOf(other), False)

    def test_so_many_wait_for_a_source_and_so_many_in_all(self) -> None:
        sources = MAX_WAITING // MAX_WAITING_PER_SOURCE
        asked = [self.ask("busy") for _ in range(MAX_CONCURRENT_CHECKS)]
        asked += [self.ask(str(n)) for n in range(sources) for _ in range(MAX_WAITING_PER_SOURCE)]
        for source, status in (("0", 429), ("one more", 503)):
            refused = self.failureResultOf(self.ask(source), HttpProblem).value
            self.assertEqual(refused.status, status)
            self.assertEqual(refused.headers[0][0], "Retry-After")
        for number in range(len(asked)):
            self.end(number)
        self.assertEqual([self.successResultOf(each) for each in asked], [True] * len(asked))

    def test_who_hangs_up_frees_a_place_when_its_thread_has_ended(self) -> None:
        asked = [self.ask("a") for _ in range(MAX_CONCURRENT_CHECKS + 2)]
        for each in (asked[0], asked[-1]):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(len(self.running), MAX_CONCURRENT_CHECKS)
        for number in range(MAX_CONCURRENT_CHECKS + 1):
            self.end(number)
        self.assertEqual(len(self.running), MAX_CONCURRENT_CHECKS + 1)


class FailureLimitTests(SynchronousTestCase):
    def test_many_names_of_one_source_are_counted_together(self) -> None:
        limit = FailureLimit(Clock().seconds)
        for number in range(100):
            limit.check("a", str(number))
            limit.count_failure("a", str(number))
        self.assertRaises(HttpProblem, limit.check, "a", "another")
        limit.check("b", "another")
