# SPDX-License-Identifier: BSD-2-Clause
"""A waiter that is cancelled does not stop the work, and its result is not lost as an error."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed
from ganeti.jobs.shield import shield_from_cancellation


class ShieldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.step: Deferred[int] = Deferred()
        self.ended: list[int] = []

    async def work(self) -> int:
        result = await self.step
        self.ended.append(result)
        return result

    def test_the_waiter_gets_the_result(self) -> None:
        waiting = shield_from_cancellation(self.work())
        self.assertNoResult(waiting)
        self.step.callback(7)
        self.assertEqual(self.successResultOf(waiting), 7)

    def test_the_waiter_gets_the_failure(self) -> None:
        waiting = shield_from_cancellation(self.work())
        self.step.errback(CommitFailed("disk is full"))
        self.failureResultOf(waiting, CommitFailed)

    def test_work_goes_on_when_its_waiter_is_cancelled(self) -> None:
        waiting = shield_from_cancellation(self.work())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.step.callback(7)
        self.assertEqual(self.ended, [7])

    def test_a_failure_after_that_is_no_unhandled_error(self) -> None:
        waiting = shield_from_cancellation(self.work())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.step.errback(CommitFailed("disk is full"))
        self.assertEqual(self.flushLoggedErrors(), [])
