# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster
from ganeti.jobs.journal_recovery import JournalRecovery
from ganeti.testing.journal import MemoryJournal


class ReplacedJournal(MemoryJournal):
    """The journal of a master that was replaced; counts how often it was to be reopened."""

    asked = 0

    async def reopen(self) -> None:
        self.asked += 1
        raise NotMaster("node2 is the master by now")


class MendingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.woken = 0
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def wake(self) -> None:
        self.woken += 1

    def test_a_journal_is_tried_until_it_works(self) -> None:
        journal = MemoryJournal()
        journal.break_down()
        mending = JournalRecovery(journal, self.clock, self.wake)
        mending.report_failure()
        waiting = Deferred.fromCoroutine(mending.wait_until_working())
        self.clock.pump([0.5, 1, 2, 5, 10])
        self.assertNoResult(waiting)
        journal.heal()
        self.clock.pump([10, 0])
        self.successResultOf(waiting)
        self.assertEqual((mending.works, self.woken), (True, 1))

    def test_the_journal_of_a_master_that_was_replaced_is_given_up(self) -> None:
        journal = ReplacedJournal()
        mending = JournalRecovery(journal, self.clock, self.wake)
        mending.report_failure()
        waiting = Deferred.fromCoroutine(mending.wait_until_working())
        self.clock.advance(0.5)
        self.failureResultOf(waiting, CancelledError)
        self.clock.advance(3600)
        mending.report_failure()
        self.assertEqual((journal.asked, mending.works, self.woken), (1, False, 0))
