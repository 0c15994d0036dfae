# SPDX-License-Identifier: BSD-2-Clause
"""The job queue as its users see it: submitting, running, canceling, archiving."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import (
    CommitFailed,
    Invalid,
    JobCanceled,
    JobLost,
    QueueDrained,
    QueueFull,
    Refused,
)
from ganeti.jobs import queue as queue_module
from ganeti.jobs.job import Job
from ganeti.jobs.runner import OpcodeTask
from tests.jobs.rig import NOW, Rig, an_opcode


class QueueTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig()
        self.queue = self.rig.queue
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self) -> None:
        self.rig.stop()
        self.assertEqual(self.rig.locks.rows(), [])
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def commits(self) -> list[str]:
        """Why each commit was made."""
        return [commit.why for commit in self.rig.journal.commits]


class SubmissionTests(QueueTestCase):
    def test_a_job_is_durable_before_it_is_acknowledged(self) -> None:
        self.rig.journal.waits = True
        submitted = Deferred.fromCoroutine(self.queue.submit([an_opcode()]))
        self.assertNoResult(submitted)
        self.assertEqual(self.queue.jobs(), [])
        self.rig.journal.sync()
        self.assertEqual(self.successResultOf(submitted), 1)
        self.assertEqual(self.rig.status(1), "queued")

    def test_a_client_that_hangs_up_does_not_call_its_job_back(self) -> None:
        self.rig.journal.waits = True
        submitted = Deferred.fromCoroutine(self.queue.submit([an_opcode()]))
        submitted.cancel()
        self.failureResultOf(submitted, CancelledError)
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "success")

    def test_a_job_that_cannot_be_kept_is_refused(self) -> None:
        self.rig.journal.break_down()
        self.failureResultOf(self.queue.submit([an_opcode()]), CommitFailed)
        self.assertEqual(self.queue.jobs(), [])
        self.rig.journal.heal()
        self.rig.settle()
        self.assertEqual(self.rig.submit(), 2)

    def test_the_reason_trail_says_which_job_and_opcode_it_became(self) -> None:
        job_id = self.rig.submit("", "", reason=(("gnt:user", "why not", 1),))
        trails = [op.opcode.reason for op in self.queue.job(job_id).ops]
        when = int(NOW * 1e9)
        self.assertEqual(
            trails,
            [
                (("gnt:user", "why not", 1), ("gnt:opcode:test_delay", f"job=1;index={n}", when))
                for n in (0, 1)
            ],
        )

    def test_a_job_without_opcodes_is_refused(self) -> None:
        self.failureResultOf(self.queue.submit([]), Invalid)

    def test_a_closed_queue_takes_no_jobs(self) -> None:
        self.successResultOf(self.queue.set_drained(True))
        self.failureResultOf(self.queue.submit([an_opcode()]), QueueDrained)
        self.failureResultOf(self.queue.submit_many([[an_opcode()]]), QueueDrained)
        kept = self.queue.submit([an_opcode()], even_if_drained=True)
        self.assertEqual(self.successResultOf(kept), 1)
        self.assertTrue(self.rig.restarted().queue.drained)
        self.successResultOf(self.queue.set_drained(False))
        self.assertEqual(self.rig.submit(), 2)

    def test_a_full_queue_takes_no_jobs(self) -> None:
        self.patch(queue_module, "MAX_LIVE", 2)
        requests = [[an_opcode()] for _ in range(3)]
        answers = self.successResultOf(self.queue.submit_many(requests))
        self.assertEqual([accepted for accepted, _ in answers], [True, True, False])
        self.failureResultOf(self.queue.submit([an_opcode()]), QueueFull)
        self.rig.settle()
        self.assertEqual(self.rig.submit(), 4)

    def test_while_many_jobs_are_made_others_have_a_turn_but_not_their_places(self) -> None:
        self.patch(queue_module, "MAX_LIVE", 3)
        self.patch(queue_module, "SUBMIT_BATCH", 2)
        many = Deferred.fromCoroutine(self.queue.submit_many([[an_opcode()] for _ in range(3)]))
        self.assertNoResult(many)
        self.failureResultOf(self.queue.submit([an_opcode()]), QueueFull)
        self.rig.turn()
        self.assertEqual(self.successResultOf(many), [(True, 1), (True, 2), (True, 3)])

    def test_a_client_that_hangs_up_before_its_jobs_are_made_frees_their_places(self) -> None:
        self.patch(queue_module, "MAX_LIVE", 3)
        self.patch(queue_module, "SUBMIT_BATCH", 2)
        many = Deferred.fromCoroutine(self.queue.submit_many([[an_opcode()] for _ in range(3)]))
        many.cancel()
        self.failureResultOf(many, CancelledError)
        self.assertEqual((self.rig.submit(), self.commits()), (4, ["submitted"]))

    def test_many_jobs_are_one_commit(self) -> None:
        answers = self.successResultOf(self.queue.submit_many([[an_opcode()], [], [an_opcode()]]))
        self.assertEqual(
            answers, [(True, 1), (False, "a job needs at least one opcode"), (True, 3)]
        )
        self.assertEqual(self.commits(), ["submitted"])


class RunningTests(QueueTestCase):
    def test_a_job_that_does_nothing_takes_three_commits(self) -> None:
        job_id = self.rig.submit()
        self.rig.settle()
        self.assertEqual((self.rig.status(job_id), self.rig.results(job_id)), ("success", ["done"]))
        self.assertEqual(self.commits(), ["submitted", "locks acquired", "succeeded"])

    def test_it_does_not_run_before_that_is_durable(self) -> None:
        acted: list[int] = []

        async def act(task: OpcodeTask) -> None:
            await task.locked()
            acted.append(task.job_id)

        self.rig.acts["act"] = act
        self.rig.submit("act")
        self.rig.journal.waits = True
        self.rig.turn(3)
        self.assertEqual((acted, self.rig.status(1)), ([], "queued"))
        self.rig.journal.sync()
        self.assertEqual((acted, self.rig.status(1)), ([1], "running"))

    def test_a_job_that_waits_for_locks_says_so(self) -> None:
        first, second = self.rig.submit("lock"), self.rig.submit("lock")
        self.rig.turn()
        self.assertEqual((self.rig.status(first), self.rig.status(second)), ("running", "waiting"))
        self.rig.settle()
        self.assertEqual(self.rig.status(second), "success")
        first_op, second_op = (self.queue.job(n).ops[0] for n in (first, second))
        self.assertEqual(second_op.exec_timestamp, first_op.end_timestamp)

    def test_opcodes_run_one_after_the_other(self) -> None:
        job_id = self.rig.submit("sleep", "sleep")
        self.rig.turn()
        self.assertEqual(
            [op.status.value for op in self.queue.job(job_id).ops], ["running", "queued"]
        )
        self.rig.settle()
        self.assertEqual(self.rig.clock.seconds(), NOW + 20)
        self.assertEqual(self.rig.status(job_id), "success")

    def test_a_refusal_ends_the_job_with_the_reason(self) -> None:
        async def refuse(task: OpcodeTask) -> None:
            raise Refused("node1 is offline")

        self.rig.acts["refuse"] = refuse
        job_id = self.rig.submit("refuse", "")
        self.rig.settle()
        self.assertEqual(
            self.rig.results(job_id),
            [
                ["OpPrereqError", ["node1 is offline", "wrong_state"]],
                ["OpExecError", ["not started because opcode 1, TEST_DELAY(0.0), failed"]],
            ],
        )

    def test_a_bug_ends_the_job_and_is_logged(self) -> None:
        async def stumble(task: OpcodeTask) -> None:
            raise ZeroDivisionError("a bug")

        self.rig.acts["stumble"] = stumble
        job_id = self.rig.submit("stumble")
        self.rig.settle()
        self.assertEqual(self.rig.status(job_id), "error")
        self.assertIn("internal error in job 1, opcode 1", self.rig.results(job_id)[0][1][0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_an_opcode_says_and_answers_is_json(self) -> None:
        async def odd(task: OpcodeTask) -> Any:
            await task.locked()
            task.log_message("bad \udcff byte")
            return {"rows": ((1, "a"),)}

        async def wrong(task: OpcodeTask) -> object:
            return object()

        self.rig.acts.update({"odd": odd, "wrong": wrong})
        odd_id, wrong_id = self.rig.submit("odd"), self.rig.submit("wrong")
        self.rig.settle()
        self.assertEqual(self.rig.results(odd_id), [{"rows": [[1, "a"]]}])
        self.assertEqual(self.queue.job(odd_id).log_after(None)[0][3], "bad \\udcff byte")
        self.assertEqual(self.rig.status(wrong_id), "error")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_an_error_that_cannot_be_written_is_a_bug(self) -> None:
        async def odd(task: OpcodeTask) -> None:
            raise Refused("bad \udcff byte")

        self.rig.acts["odd"] = odd
        job_id = self.rig.submit("odd")
        self.rig.settle()
        self.assertEqual(self.rig.status(job_id), "error")
        self.assertEqual(len(self.flushLoggedErrors(UnicodeEncodeError)), 1)

    def test_no_more_jobs_run_than_may(self) -> None:
        self.rig.max_running = 2
        for _ in range(3):
            self.rig.submit("sleep")
        self.rig.turn()
        self.assertEqual([self.rig.status(n) for n in (1, 2, 3)], ["running", "running", "queued"])
        self.rig.settle()
        self.assertEqual(self.rig.clock.seconds(), NOW + 20)

    def test_more_urgent_jobs_start_first(self) -> None:
        self.rig.max_running = 1
        for priority in (0, 10, -10):
            self.rig.submit(priority=priority)
        self.rig.settle()
        self.assertEqual(self.rig.ran, [3, 1, 2])

    def test_messages_are_shown_once_they_are_durable(self) -> None:
        async def talk(task: OpcodeTask) -> None:
            await task.locked()
            task.log_message("one")
            task.log_message({"some": "data"}, "delay-test")
            await deferLater(self.rig.clock, 10)

        self.rig.acts["talk"] = talk
        job_id = self.rig.submit("talk")
        self.rig.journal.waits = True
        self.rig.turn()
        self.rig.journal.sync()
        self.rig.turn()
        self.assertEqual(self.queue.job(job_id).log_after(None), [])
        self.rig.journal.sync()
        when = (int(NOW), 0)
        said = [(1, when, "message", "one"), (2, when, "delay-test", {"some": "data"})]
        self.assertEqual(self.queue.job(job_id).log_after(None), said)
        self.rig.settle()
        self.assertEqual(self.queue.job(job_id).log_after(None), said)
        self.assertEqual(self.rig.restarted().queue.job(job_id), self.queue.job(job_id))


class DependencyTests(QueueTestCase):
    def test_a_job_runs_after_the_one_it_depends_on(self) -> None:
        requests = [[an_opcode("sleep")], [an_opcode(depends=((-1, ("success",)),))]]
        self.successResultOf(self.queue.submit_many(requests))
        self.rig.turn(3)
        self.assertEqual(self.rig.status(2), "queued")
        self.assertEqual(self.queue.job(2).ops[0].opcode.depends, ((1, ("success",)),))
        self.rig.settle()
        self.assertEqual(self.rig.status(2), "success")

    def test_a_negative_id_beyond_the_request_is_refused(self) -> None:
        self.rig.submit()
        opcode = an_opcode(depends=((-1, ()),))
        failure = self.failureResultOf(self.queue.submit([opcode]), Invalid)
        self.assertIn("-1 counts back beyond this request", str(failure.value))
        second = [an_opcode(depends=((-2, ()),))]
        answers = self.successResultOf(self.queue.submit_many([[an_opcode()], second]))
        self.assertIn("(earlier jobs in it: 1)", str(answers[1][1]))
        self.assertEqual([job.id for job in self.queue.jobs()], [1, 3])

    def test_what_depends_on_a_failed_job_fails_with_it(self) -> None:
        self.successResultOf(self.queue.cancel(self.rig.submit()))
        self.rig.submit(depends=((1, ("success",)),))
        self.rig.submit(depends=((2, ("success",)),))
        self.rig.submit(depends=((2, ("error",)),))
        self.rig.settle()
        self.assertEqual(
            self.rig.results(2),
            [["OpExecError", ["depends on job 1, which ended in canceled and not in success"]]],
        )
        self.assertEqual([self.rig.status(n) for n in (3, 4)], ["error", "success"])

    def test_a_long_chain_of_let_down_jobs_ends(self) -> None:
        requests = [[an_opcode(depends=((-1, ("success",)),))] for _ in range(1500)]
        requests[0] = [an_opcode("nobody knows")]
        self.rig.acts["nobody knows"] = self.refuse
        submitted = Deferred.fromCoroutine(self.queue.submit_many(requests))
        self.rig.settle()
        self.successResultOf(submitted)
        self.assertEqual({job.status.value for job in self.queue.jobs()}, {"error"})

    async def refuse(self, task: OpcodeTask) -> None:
        raise Refused("no")

    def test_an_archived_job_is_no_dependency(self) -> None:
        self.rig.submit()
        self.rig.settle()
        self.successResultOf(self.queue.archive(1))
        self.rig.submit(depends=((1, ()),))
        self.rig.settle()
        self.assertEqual(
            self.rig.results(2),
            [["OpExecError", ["depends on job 1, which does not exist or was archived"]]],
        )

    def test_impossible_dependencies_are_refused_and_listed(self) -> None:
        depends: Any = ((7, ()), ("x", ()), (-9, ()), (0, ("done",)))
        failure = self.failureResultOf(self.queue.submit([an_opcode(depends=depends)]), Invalid)
        self.assertEqual(len(failure.value.problems), 5)

    def test_what_depends_on_a_refused_request_is_refused(self) -> None:
        requests = [[], [an_opcode(depends=((-1, ()),))]]
        answers = self.successResultOf(self.queue.submit_many(requests))
        self.assertEqual(
            answers[1],
            (False, "0.depends[0]: the job that relative id -1 refers to was refused"),
        )


class CancelTests(QueueTestCase):
    def cancel(self, job_id: int, **how: bool) -> tuple[bool, str]:
        canceled = Deferred.fromCoroutine(self.queue.cancel(job_id, **how))
        self.rig.journal.sync()
        answer: tuple[bool, str] = self.successResultOf(canceled)
        return answer

    def test_a_queued_job_is_canceled_at_once(self) -> None:
        self.rig.submit()
        self.assertEqual(self.cancel(1), (True, "Job 1 has been canceled"))
        self.assertEqual(self.rig.status(1), "canceled")
        self.rig.settle()
        self.assertEqual(self.rig.ran, [])

    def test_a_job_that_waits_for_locks_is_canceled_at_once(self) -> None:
        self.rig.submit("lock")
        self.rig.submit("lock", "")
        self.rig.turn()
        self.assertEqual(self.cancel(2), (True, "Job 2 has been canceled"))
        self.assertEqual(self.rig.status(2), "canceled")

    def test_a_job_that_unwinds_slowly_is_canceling_meanwhile(self) -> None:
        async def slow(task: OpcodeTask) -> None:
            try:
                await Deferred()
            finally:
                await deferLater(self.rig.clock, 5)

        self.rig.acts["slow"] = slow
        self.rig.submit("slow")
        self.rig.turn()
        self.cancel(1)
        self.assertEqual(self.rig.status(1), "canceling")
        self.assertEqual(self.cancel(1)[0], True)
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "canceled")

    def test_a_running_job_stops_at_its_next_step(self) -> None:
        steps: list[int] = []

        async def walk(task: OpcodeTask) -> None:
            await task.locked()
            for step in range(5):
                if task.is_cancel_requested():
                    raise JobCanceled("stopped")
                steps.append(step)
                await deferLater(self.rig.clock, 10)

        self.rig.acts["walk"] = walk
        self.rig.submit("walk", "")
        self.rig.turn()
        accepted, _ = self.cancel(1)
        self.assertTrue(accepted)
        self.assertEqual(self.rig.status(1), "running")
        self.rig.settle()
        self.assertEqual((steps, self.rig.status(1)), ([0], "canceled"))
        self.assertEqual([op.status.value for op in self.queue.job(1).ops], ["canceled"] * 2)

    async def wait(self, task: OpcodeTask) -> None:
        """Run for an hour that can be interrupted, after a second that cannot."""

        async def hour() -> None:
            await deferLater(self.rig.clock, 3600)

        await task.locked()
        await deferLater(self.rig.clock, 1)
        await task.interruptible(hour())

    def test_a_running_job_that_can_be_interrupted_ends_at_once(self) -> None:
        self.rig.acts["wait"] = self.wait
        self.rig.submit("wait", "")
        self.rig.turn()
        self.rig.clock.advance(1)
        self.assertTrue(self.cancel(1)[0])
        self.rig.turn()
        self.assertEqual(self.rig.status(1), "canceled")
        self.assertEqual([op.status.value for op in self.queue.job(1).ops], ["canceled"] * 2)

    def test_one_that_was_canceled_before_is_not_begun(self) -> None:
        self.rig.acts["wait"] = self.wait
        self.rig.submit("wait")
        self.rig.turn()
        self.assertTrue(self.cancel(1)[0])
        self.rig.turn()
        self.assertEqual(self.rig.status(1), "running")
        self.rig.clock.advance(1)
        self.assertEqual(self.rig.status(1), "canceled")

    def test_one_that_a_restart_interrupts_is_not_canceled(self) -> None:
        self.rig.acts["wait"] = self.wait
        self.rig.submit("wait")
        self.rig.turn()
        self.rig.clock.advance(1)
        self.rig.stop()
        self.assertEqual(self.rig.status(1), "error")

    def test_a_running_job_is_stopped_where_it_is_if_somebody_insists(self) -> None:
        self.rig.submit("sleep")
        self.rig.turn()
        self.assertTrue(self.cancel(1, kill=True)[0])
        self.rig.turn()
        self.assertEqual(self.rig.status(1), "canceled")

    def test_a_cancel_while_the_move_to_running_is_kept_is_heard(self) -> None:
        self.rig.submit("sleep")
        self.rig.journal.waits = True
        self.rig.turn()
        self.assertTrue(self.cancel(1)[0])
        self.rig.settle()
        self.assertEqual((self.rig.status(1), self.rig.clock.seconds()), ("canceled", NOW))

    def test_a_job_is_canceled_between_two_opcodes(self) -> None:
        self.rig.submit("sleep", "sleep")
        self.rig.turn()
        self.cancel(1)
        self.rig.settle()
        statuses = [op.status.value for op in self.queue.job(1).ops]
        self.assertEqual((statuses, self.rig.status(1)), (["success", "canceled"], "canceled"))

    def test_a_job_that_has_ended_is_not_canceled(self) -> None:
        self.rig.submit()
        self.rig.settle()
        self.assertEqual(self.cancel(1), (False, "Job 1 has ended in success"))
        self.failureResultOf(self.queue.cancel(7), JobLost)

    def cancel_many(self, *job_ids: int) -> list[tuple[bool, str]]:
        canceled = Deferred.fromCoroutine(self.queue.cancel_many(job_ids))
        self.rig.settle()
        answers: list[tuple[bool, str]] = self.successResultOf(canceled)
        return answers

    def test_jobs_that_have_not_started_are_canceled_in_one_commit(self) -> None:
        self.successResultOf(self.queue.submit_many([[an_opcode()] for _ in range(3)]))
        before = len(self.commits())
        answers = self.cancel_many(1, 2, 3)
        self.assertEqual(answers, [(True, f"Job {n} has been canceled") for n in (1, 2, 3)])
        self.assertEqual(self.commits()[before:], ["cancel requested"])
        self.assertEqual(self.rig.ran, [])

    def test_each_of_many_is_canceled_in_the_state_that_it_is_in(self) -> None:
        self.rig.max_running = 1
        self.rig.submit("lock", "lock")
        self.rig.submit()
        self.rig.turn()
        running, waiting, unknown = self.cancel_many(1, 2, 99)
        self.assertEqual(running, (True, "Job 1 stops at its next step that can be undone"))
        self.assertEqual(waiting, (True, "Job 2 has been canceled"))
        self.assertEqual(unknown, (False, "Job 99 not found"))
        self.assertEqual((self.rig.status(1), self.rig.ran), ("canceled", [1]))

    def test_jobs_whose_cancellation_is_not_durable_run(self) -> None:
        self.successResultOf(self.queue.submit_many([[an_opcode()] for _ in range(2)]))
        self.rig.journal.break_down()
        self.failureResultOf(self.queue.cancel_many([1, 2]), CommitFailed)
        self.rig.journal.heal()
        self.rig.settle()
        self.assertEqual(sorted(self.rig.ran), [1, 2])

    def test_a_job_that_waits_for_another_is_canceled(self) -> None:
        self.rig.submit("sleep")
        self.rig.submit(depends=((1, ()),))
        self.rig.turn()
        self.assertTrue(self.cancel(2)[0])
        self.assertEqual(self.rig.status(2), "canceled")


class PriorityTests(QueueTestCase):
    def change(self, job_id: int, priority: int) -> bool:
        answer: tuple[bool, str] = self.successResultOf(
            self.queue.change_priority(job_id, priority)
        )
        return answer[0]

    def test_a_queued_job_is_moved(self) -> None:
        self.rig.max_running = 1
        for _ in range(3):
            self.rig.submit()
        self.assertTrue(self.change(3, -10))
        self.assertEqual(self.rig.restarted().queue.job(3).priority, -10)
        self.rig.settle()
        self.assertEqual(self.rig.ran, [3, 1, 2])

    def test_a_job_that_waits_for_locks_is_moved(self) -> None:
        for _ in range(3):
            self.rig.submit("lock")
        self.rig.turn()
        self.assertTrue(self.change(3, -10))
        self.rig.clock.advance(10)
        self.rig.turn()
        self.assertEqual([self.rig.status(n) for n in (1, 2, 3)], ["success", "waiting", "running"])

    def test_only_what_has_not_begun_is_changed(self) -> None:
        self.rig.submit("sleep", "sleep")
        self.rig.submit("sleep")
        self.rig.turn()
        self.assertEqual((self.change(1, 5), self.change(2, 5)), (True, False))
        self.assertEqual([op.priority for op in self.queue.job(1).ops], [0, 5])
        self.rig.settle()
        self.assertFalse(self.change(1, 5))
        self.failureResultOf(self.queue.change_priority(1, 20), Invalid)


class ArchiveTests(QueueTestCase):
    def archive(self, job_id: int) -> bool:
        archived: bool = self.successResultOf(self.queue.archive(job_id))
        return archived

    def test_a_job_that_has_ended_goes_to_the_archive(self) -> None:
        self.rig.submit()
        self.assertFalse(self.archive(1))
        self.rig.settle()
        job = self.queue.job(1)
        self.assertTrue(self.archive(1))
        self.assertEqual((self.queue.archived(1), self.queue.jobs()), (job, []))
        self.assertRaises(JobLost, self.queue.job, 1)
        self.assertFalse(self.archive(1))
        self.assertEqual(self.rig.restarted().submit(), 2)

    def test_a_job_stays_when_the_archive_is_full(self) -> None:
        self.rig.submit()
        self.rig.settle()
        self.rig.archive.full = True
        self.failureResultOf(self.queue.archive(1), CommitFailed)
        self.assertEqual(self.rig.status(1), "success")

    def test_old_jobs_are_archived_together(self) -> None:
        self.rig.submit("sleep")
        self.rig.submit()
        self.rig.settle()
        self.rig.clock.advance(5)
        self.rig.submit("sleep")
        self.assertEqual(self.successResultOf(self.queue.auto_archive(10, 60)), (1, 0))
        self.assertEqual(self.successResultOf(self.queue.auto_archive(-1, -1)), (0, 1))
        self.assertEqual(self.successResultOf(self.queue.auto_archive(-1, 60)), (1, 0))
        self.assertEqual([job.id for job in self.queue.jobs()], [3])


class WaitingTests(QueueTestCase):
    def wait(
        self, job_id: int, previous: str | None, serial: int | None = None, timeout: float = 60
    ) -> Deferred[Any]:
        return Deferred.fromCoroutine(
            self.queue.wait_for_change(
                job_id, lambda job: job.status.value, previous, serial, timeout
            )
        )

    def test_a_difference_answers_at_once(self) -> None:
        self.rig.submit("sleep")
        self.assertEqual(self.successResultOf(self.wait(1, None)), ("queued", []))

    def test_each_change_answers(self) -> None:
        self.rig.submit("sleep")
        waiting = self.wait(1, "queued")
        self.assertNoResult(waiting)
        self.rig.turn(2)
        self.assertEqual(self.successResultOf(waiting), ("running", []))
        waiting = self.wait(1, "running")
        self.rig.settle()
        self.assertEqual(self.successResultOf(waiting), ("success", []))

    def test_whose_time_is_up_wakes_no_others(self) -> None:
        looks: list[int] = []

        def look(job: Job) -> str:
            looks.append(job.id)
            return job.status.value

        self.rig.submit("sleep")
        self.rig.turn(2)
        waiting = [
            Deferred.fromCoroutine(self.queue.wait_for_change(1, look, "running", None, 0.5))
            for _ in range(50)
        ]
        before = len(looks)
        self.rig.clock.advance(0.5)
        self.assertEqual([self.successResultOf(each) for each in waiting], [None] * 50)
        self.assertEqual(len(looks) - before, 50)

    def test_messages_answer(self) -> None:
        async def talk(task: OpcodeTask) -> None:
            await task.locked()
            await deferLater(self.rig.clock, 1)
            task.log_message("hello")
            await deferLater(self.rig.clock, 10)

        self.rig.acts["talk"] = talk
        self.rig.submit("talk")
        self.rig.turn()
        waiting = self.wait(1, "running", 0)
        self.rig.clock.advance(1)
        self.rig.turn(2)
        status, said = self.successResultOf(waiting)
        self.assertEqual((status, [entry[3] for entry in said]), ("running", ["hello"]))
        self.assertNoResult(unchanged := self.wait(1, "running", 1))
        unchanged.cancel()
        self.failureResultOf(unchanged, CancelledError)

    def test_a_job_that_has_ended_answers_at_once(self) -> None:
        self.rig.submit()
        self.rig.settle()
        self.assertEqual(self.successResultOf(self.wait(1, "success")), ("success", []))

    def test_patience_ends_and_has_a_limit(self) -> None:
        self.rig.submit(depends=())
        self.rig.max_running = 0
        short, long = self.wait(1, "queued", timeout=5), self.wait(1, "queued", timeout=1e9)
        self.rig.clock.advance(5)
        self.assertIsNone(self.successResultOf(short))
        self.rig.clock.advance(83.9)
        self.assertNoResult(long)
        self.rig.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(long))

    def test_an_unknown_job_is_lost(self) -> None:
        self.failureResultOf(self.wait(9, None), JobLost)


class StressTests(QueueTestCase):
    def test_between_jobs_that_take_long_to_start_other_work_has_a_turn(self) -> None:
        async def be_busy(task: OpcodeTask) -> None:
            self.rig.clock.rightNow += 2 * queue_module.MAX_PICK_SECONDS
            self.rig.clock.callLater(0, lambda: started.append(len(self.rig.ran)))

        started: list[int] = []
        self.rig.acts["busy"] = be_busy
        self.successResultOf(self.queue.submit_many([[an_opcode("busy")] for _ in range(2)]))
        self.rig.settle()
        self.assertEqual(started, [1, 2])

    def test_thousands_of_jobs_pass(self) -> None:
        requests = [[an_opcode(depends=((-1, ()),) if n % 10 == 9 else None)] for n in range(5000)]
        submitted = Deferred.fromCoroutine(self.queue.submit_many(requests))
        self.rig.settle()
        self.successResultOf(submitted)
        self.assertEqual({job.status.value for job in self.queue.jobs()}, {"success"})
        self.assertEqual(len(self.rig.ran), 5000)
