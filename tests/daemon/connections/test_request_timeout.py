# SPDX-License-Identifier: BSD-2-Clause
"""A request that takes too long fails with one error, however far it is."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.connections.request_timeout import limit_time


class LimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.canceled = 0

    def cancel(self, request: Deferred[str]) -> None:
        self.canceled += 1
        request.errback(ConnectingCancelledError(IPv4Address("TCP", "192.0.2.1", 80)))

    def begin(self) -> Deferred[str]:
        self.request: Deferred[str] = Deferred(self.cancel)
        return limit_time(self.request, 5.0, self.clock)

    def test_an_answer_in_time_is_the_result(self) -> None:
        limited = self.begin()
        self.clock.advance(4.9)
        self.request.callback("answer")
        self.assertEqual(self.successResultOf(limited), "answer")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_error_in_time_stays_as_it_is(self) -> None:
        limited = self.begin()
        self.request.errback(OSError("no route to host"))
        self.failureResultOf(limited, OSError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_late_request_is_canceled_and_has_timed_out_however_it_ends(self) -> None:
        limited = self.begin()
        self.clock.advance(4.9)
        self.assertNoResult(limited)
        self.clock.advance(0.1)
        self.assertEqual(self.canceled, 1)
        self.failureResultOf(limited, TimeoutError)

    def test_a_request_that_ignores_its_end_has_timed_out_as_well(self) -> None:
        limited = limit_time(Deferred[str](), 5.0, self.clock)
        self.clock.advance(5.0)
        self.failureResultOf(limited, TimeoutError)

    def test_one_that_its_caller_cancels_has_not_timed_out(self) -> None:
        limited = limit_time(Deferred[str](), 5.0, self.clock)
        limited.cancel()
        self.failureResultOf(limited, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
