# SPDX-License-Identifier: BSD-2-Clause
"""A worker runs the opcodes of one job, and each step is durable before the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed, JobCanceled, Refused
from ganeti.jobs.job import Job, JobStatus
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.journal_recovery import JournalRecovery
from ganeti.jobs.runner import OpcodeResult, OpcodeTask, Runner
from ganeti.jobs.submission import new_job
from ganeti.jobs.worker import CANCELED, Worker
from ganeti.opcodes.opcode import Opcode
from tests.jobs.rig import NOW, SyncedJournal, an_opcode


class WorkerTests(SynchronousTestCase):
    """A job of two opcodes; each of them waits for locks, then for its end, as the test says."""

    def setUp(self) -> None:
        self.clock, self.journal = Clock(), SyncedJournal()
        self.store = JobStore(self.journal, self.clock.seconds)
        self.recovery = JournalRecovery(self.journal, self.clock, lambda: None)
        self.tasks: list[OpcodeTask] = []
        self.locks: list[Deferred[None]] = []
        self.ends: list[Deferred[object]] = []
        self.holds = False
        self.job = new_job(1, [an_opcode(), an_opcode()], NOW)
        self.done(self.store.persist_new([self.job], who="test"))
        self.worker = self.make(self.run_opcode)

    def make(self, run: Runner) -> Worker:
        return Worker(self.job, store=self.store, mending=self.recovery, run=run, clock=self.clock)

    async def run_opcode(self, opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        self.tasks.append(task)
        if self.holds:
            self.locks.append(Deferred())
            await self.locks[-1]
        await task.locked()
        self.ends.append(Deferred())
        return OpcodeResult(await self.ends[-1])

    def begin(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.worker.work())

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    @property
    def durable(self) -> Job:
        return self.store.jobs[1]

    def statuses(self) -> list[str]:
        return [op.status.value for op in self.durable.ops]

    def cancel(self, *, kill: bool = False) -> tuple[bool, str]:
        answer: tuple[bool, str] = self.done(self.worker.cancel(kill=kill))
        return answer

    # --- the course of a job

    def test_opcodes_run_in_order_and_the_work_ends_with_the_last(self) -> None:
        working = self.begin()
        self.assertEqual(self.statuses(), ["running", "queued"])
        self.ends[0].callback("one")
        self.assertEqual(self.statuses(), ["success", "running"])
        self.ends[1].callback("two")
        self.successResultOf(working)
        self.assertEqual([op.result for op in self.durable.ops], ["one", "two"])
        self.assertEqual([task.index for task in self.tasks], [0, 1])
        self.assertEqual({task.owner for task in self.tasks}, {"job 1"})

    def test_that_an_opcode_waits_for_locks_is_durable(self) -> None:
        self.holds = True
        self.begin()
        self.assertEqual(self.statuses(), ["waiting", "queued"])
        self.locks[0].callback(None)
        self.assertEqual(self.statuses(), ["running", "queued"])

    def test_a_failure_ends_the_later_opcodes(self) -> None:
        working = self.begin()
        self.ends[0].errback(Refused("node3 is offline"))
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["error", "error"])
        self.assertIn("not started because opcode 1", str(self.durable.ops[1].result))

    def test_a_cancellation_that_was_not_requested_is_an_error_of_the_program(self) -> None:
        self.begin()
        self.ends[0].errback(CancelledError())
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)
        self.assertIn("internal error in job 1, opcode 1", str(self.durable.ops[0].result))

    # --- cancel

    def test_a_job_that_waits_for_locks_is_canceled(self) -> None:
        self.holds = True
        working = self.begin()
        self.assertEqual(self.cancel(), (True, "Job 1 has been canceled"))
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["canceled", "canceled"])
        self.assertEqual(self.durable.ops[0].result, CANCELED)

    def test_that_a_job_lets_go_slowly_is_durable_meanwhile(self) -> None:
        unwound: Deferred[None] = Deferred()

        async def run(opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
            try:
                await Deferred()
            finally:
                await unwound
            raise AssertionError

        worker = self.make(run)
        working = Deferred.fromCoroutine(worker.work())
        self.done(worker.cancel())
        self.assertEqual(self.statuses(), ["canceling", "queued"])
        unwound.callback(None)
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["canceled", "canceled"])

    def test_a_job_that_runs_is_told_once_and_goes_on_to_its_next_step(self) -> None:
        self.begin()
        for _ in range(2):
            self.assertEqual(
                self.cancel(), (True, "Job 1 stops at its next step that can be undone")
            )
        self.clock.advance(0)
        self.assertEqual(len(self.durable.ops[0].log), 1)
        self.assertTrue(self.tasks[0].is_cancel_requested())
        self.assertEqual(self.statuses(), ["running", "queued"])

    def test_one_that_does_not_look_ends_the_opcode_and_not_the_next(self) -> None:
        working = self.begin()
        self.cancel()
        self.ends[0].callback("one")
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["success", "canceled"])

    def test_a_kill_interrupts_the_opcode(self) -> None:
        working = self.begin()
        self.assertEqual(self.cancel(kill=True), (True, "Job 1 is being killed"))
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["canceled", "canceled"])

    def test_a_job_that_has_ended_is_not_canceled(self) -> None:
        working = self.begin()
        self.ends[0].errback(Refused("no"))
        self.successResultOf(working)
        self.assertEqual(self.cancel(), (False, "Job 1 has ended"))

    def test_a_job_that_has_not_begun_ends_before_its_first_opcode(self) -> None:
        self.assertEqual(self.cancel(), (True, "Job 1 ends before its next opcode"))
        self.successResultOf(self.begin())
        self.assertEqual((self.statuses(), self.tasks), (["canceled", "canceled"], []))

    def test_work_that_can_be_interrupted_is(self) -> None:
        waiting: Deferred[None] = Deferred()

        async def work() -> None:
            await waiting

        self.begin()
        interrupted = Deferred.fromCoroutine(self.tasks[0].interruptible(work()))
        self.cancel()
        self.failureResultOf(interrupted, JobCanceled)
        again = Deferred.fromCoroutine(self.tasks[0].interruptible(work()))
        self.failureResultOf(again, JobCanceled)

    # --- priority and messages

    def test_the_priority_of_what_has_not_begun_is_changed(self) -> None:
        self.begin()
        self.assertTrue(self.done(self.worker.change_priority(-5)))
        self.assertEqual([op.priority for op in self.durable.ops], [0, -5])
        self.ends[0].callback(None)
        self.assertFalse(self.done(self.worker.change_priority(-9)))
        self.assertEqual(self.tasks[1].priority, -5)

    def test_messages_of_one_turn_are_one_commit(self) -> None:
        self.begin()
        commits = len(self.journal.commits)
        for text in ("a", "b"):
            self.tasks[0].log_message(text)
        self.assertEqual(len(self.durable.ops[0].log), 0)
        self.clock.advance(0)
        self.assertEqual(len(self.journal.commits), commits + 1)
        self.assertEqual([entry[3] for entry in self.durable.ops[0].log], ["a", "b"])

    def test_a_message_that_is_no_json_is_an_error_of_who_logs_it(self) -> None:
        self.begin()
        with self.assertRaises(TypeError):
            self.tasks[0].log_message(object())

    # --- when the daemon stops, or the journal does not work

    def test_a_stop_leaves_an_opcode_that_waits_to_the_next_master(self) -> None:
        self.holds = True
        working = self.begin()
        self.worker.stop()
        self.successResultOf(working)
        self.assertEqual(self.worker.job.ops[0].status, JobStatus.QUEUED)

    def test_an_opcode_that_runs_may_end_and_no_other_is_started(self) -> None:
        working = self.begin()
        self.worker.start_no_more()
        self.assertNoResult(working)
        self.ends[0].callback("one")
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["success", "queued"])

    def test_a_stop_ends_an_opcode_that_runs(self) -> None:
        working = self.begin()
        self.worker.stop()
        self.successResultOf(working)
        self.assertIn("interrupted by the shutdown", str(self.durable.ops[0].result))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_opcode_whose_start_is_not_durable_lets_its_locks_go_and_runs_again(self) -> None:
        self.holds = True
        self.begin()
        self.journal.break_down()
        self.locks[0].callback(None)
        self.assertEqual((len(self.tasks), self.ends), (1, []))
        self.journal.heal()
        self.clock.pump([0.5, 0])
        self.assertEqual(len(self.tasks), 2)
        self.locks[1].callback(None)
        self.assertEqual(self.statuses(), ["running", "queued"])

    def test_an_opcode_ends_when_that_can_be_durable(self) -> None:
        working = self.begin()
        self.journal.break_down()
        self.ends[0].errback(Refused("no"))
        self.assertEqual(self.statuses(), ["running", "queued"])
        self.assertNoResult(working)
        self.journal.heal()
        self.clock.pump([0.5, 0])
        self.successResultOf(working)
        self.assertEqual(self.statuses(), ["error", "error"])

    def test_nothing_begins_while_the_journal_is_broken_and_a_cancel_is_heard(self) -> None:
        self.journal.break_down()
        self.recovery.report_failure()
        working = self.begin()
        self.assertEqual(self.tasks, [])
        self.cancel()
        self.journal.heal()
        self.clock.pump([0.5, 0])
        self.successResultOf(working)
        self.assertEqual((self.statuses(), self.tasks), (["canceled", "canceled"], []))

    def test_an_opcode_can_wait_until_the_journal_works_again(self) -> None:
        self.begin()
        self.journal.break_down()
        waiting = Deferred.fromCoroutine(self.tasks[0].journal_recovered())
        self.clock.advance(0.5)
        self.assertNoResult(waiting)
        self.journal.heal()
        self.clock.pump([1, 0])
        self.successResultOf(waiting)

    def test_a_last_change_that_is_not_committed_is_the_failure_of_the_opcode(self) -> None:
        async def finish(edits: Sequence[object]) -> None:
            raise CommitFailed("disk is full")

        async def run(opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
            await task.locked()
            return OpcodeResult("done", finish)

        working = Deferred.fromCoroutine(self.make(run).work())
        self.clock.pump([0.5, 0])
        self.successResultOf(working)
        self.assertIn("disk is full", str(self.durable.ops[0].result))
