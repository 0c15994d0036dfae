# SPDX-License-Identifier: BSD-2-Clause
"""Requests wait for the lease, but not forever."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, NotMaster, Refused
from ganeti.master.lease_waiting import (
    LEASE_WAIT_TIMEOUT,
    answer_while_held,
    wait_until_ready,
)


def explain() -> str:
    return "node2 does not answer"


class WaitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.lease: Deferred[None] = Deferred()
        self.waiting = Deferred.fromCoroutine(wait_until_ready(self.confirm(), explain, self.clock))

    async def confirm(self) -> None:
        await self.lease

    def test_a_request_goes_on_when_the_lease_is_held(self) -> None:
        self.clock.advance(LEASE_WAIT_TIMEOUT / 2)
        self.assertNoResult(self.waiting)
        self.lease.callback(None)
        self.successResultOf(self.waiting)

    def test_after_the_timeout_it_is_refused_for_now(self) -> None:
        self.clock.advance(LEASE_WAIT_TIMEOUT)
        error = self.failureResultOf(self.waiting, Refused).value
        self.assertEqual((str(error), error.code), (explain(), Code.TEMPORARY))

    def test_another_master_is_reported_at_once(self) -> None:
        self.lease.errback(NotMaster("node2 is the master"))
        self.failureResultOf(self.waiting, NotMaster)

    def test_a_client_that_leaves_is_no_timeout(self) -> None:
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)


class AnswerTests(SynchronousTestCase):
    """The answer to a request that was begun with the lease."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.held = True
        self.work: Deferred[str] = Deferred(lambda _: self.ends.append("canceled"))
        self.ends: list[str] = []
        self.answer = Deferred.fromCoroutine(
            answer_while_held(self.work, lambda: self.held, explain, self.clock)
        )

    def pass_seconds(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def test_a_loss_that_is_shorter_than_the_timeout_is_not_noticed(self) -> None:
        for held in (False, True, False, True):
            self.held = held
            self.pass_seconds(int(LEASE_WAIT_TIMEOUT) - 1)
        self.work.callback("done")
        self.assertEqual(self.successResultOf(self.answer), "done")

    def test_after_a_longer_loss_the_outcome_is_unknown_and_the_work_goes_on(self) -> None:
        self.held = False
        self.pass_seconds(int(LEASE_WAIT_TIMEOUT))
        error = self.failureResultOf(self.answer, Refused).value
        self.assertIn("unknown whether this request will be carried out", str(error))
        self.assertEqual(self.ends, [])
        self.work.callback("done")

    def test_an_error_of_the_work_is_the_answer(self) -> None:
        self.work.errback(Refused("no"))
        self.assertEqual(str(self.failureResultOf(self.answer, Refused).value), "no")

    def test_a_client_that_leaves_ends_the_work(self) -> None:
        self.answer.cancel()
        self.failureResultOf(self.answer, CancelledError)
        self.assertEqual(self.ends, ["canceled"])
