# SPDX-License-Identifier: BSD-2-Clause
"""Clients that wait for a job are woken by its changes, and not by each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import JobLost
from ganeti.jobs.change_notification import MAX_LENGTH, ChangeNotifier
from ganeti.jobs.job import Job, JobEvent, LogEntry, QueuedOpcode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.opcodes.test import Delay

NOW = 1_700_000_000.0
JOB = Job(id=7, ops=(QueuedOpcode(input=OpcodeInput.from_opcode(Delay(duration=1.0))),))
MESSAGE: LogEntry = (1, (1_700_000_000, 0), "message", "half done")

Change: TypeAlias = tuple[str, Sequence[LogEntry]] | None


class WaitForChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.jobs = {JOB.id: JOB}
        self.notifier = ChangeNotifier(self.jobs, self.clock)
        self.snapshots = 0

    def snapshot(self, job: Job) -> str:
        self.snapshots += 1
        return job.status.value

    def wait(
        self, previous: str | None = "queued", serial: int | None = None, timeout: float = 10.0
    ) -> Deferred[Change]:
        waiting = self.notifier.wait_for_change(JOB.id, self.snapshot, previous, serial, timeout)
        return Deferred.fromCoroutine(waiting)

    def change(self, job: Job) -> None:
        self.jobs[JOB.id] = job
        self.notifier.job_changed(JOB.id)
        self.clock.advance(0)

    def test_one_that_knows_less_is_answered_at_once(self) -> None:
        self.assertEqual(self.successResultOf(self.wait(previous=None)), ("queued", []))

    def test_a_change_of_the_status_or_a_message_wakes_all_that_wait(self) -> None:
        waiting = [self.wait(), self.wait()]
        self.change(JOB.after(JobEvent.PICKED, NOW))
        for each in waiting:
            self.assertEqual(self.successResultOf(each), ("waiting", []))
        again = self.wait(previous="waiting")
        self.change(self.jobs[JOB.id].with_log_entry(0, MESSAGE))
        self.assertEqual(self.successResultOf(again), ("waiting", [MESSAGE]))
        self.assertNoResult(seen := self.wait(previous="waiting", serial=1))
        seen.cancel()
        self.failureResultOf(seen, CancelledError)

    def test_a_change_of_something_else_wakes_nobody(self) -> None:
        waiting = self.wait()
        self.change(JOB)
        self.assertNoResult(waiting)
        self.clock.advance(10.0)
        self.assertIsNone(self.successResultOf(waiting))

    def test_a_job_that_has_ended_is_never_waited_for(self) -> None:
        self.jobs[JOB.id] = JOB.after(JobEvent.CANCEL, NOW)
        self.assertEqual(self.successResultOf(self.wait(previous="canceled")), ("canceled", []))

    def test_a_job_that_is_gone_is_lost_before_and_while_it_is_waited_for(self) -> None:
        waiting = self.wait()
        del self.jobs[JOB.id]
        self.notifier.job_changed(JOB.id)
        self.clock.advance(0)
        self.failureResultOf(waiting, JobLost)
        self.failureResultOf(self.wait(), JobLost)

    def test_a_timeout_wakes_only_its_own_client(self) -> None:
        waiting = [self.wait(timeout=1.0) for _ in range(3)] + [self.wait(timeout=5.0)]
        self.snapshots = 0
        self.clock.advance(1.0)
        self.assertEqual([self.successResultOf(each) for each in waiting[:3]], [None] * 3)
        self.assertEqual(self.snapshots, 3)
        self.assertNoResult(waiting[3])
        self.clock.advance(4.0)
        self.assertIsNone(self.successResultOf(waiting[3]))

    def test_no_wait_is_longer_than_the_limit_or_shorter_than_nothing(self) -> None:
        long, negative = self.wait(timeout=1e9), self.wait(timeout=-1.0)
        self.clock.advance(0)
        self.assertIsNone(self.successResultOf(negative))
        self.clock.advance(MAX_LENGTH)
        self.assertIsNone(self.successResultOf(long))
