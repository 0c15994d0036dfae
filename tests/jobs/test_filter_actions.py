# SPDX-License-Identifier: BSD-2-Clause
"""The queue obeys rules: jobs are held back, limited and rejected, and never lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ganeti.errors import CommitFailed
from ganeti.jobs.filter_actions import JobFilter, JobRateLimit, Reject, Verdict
from ganeti.jobs.runner import OpcodeTask
from tests.jobs.test_queue import QueueTestCase


def of(verdict: Verdict, *job_ids: int) -> JobFilter:
    """Rules that say this of some jobs, or of all."""
    return lambda job: verdict if not job_ids or job.id in job_ids else None


PAUSE = JobRateLimit("pause", 0)
ONE = JobRateLimit("one", 1)
NO = Reject("rejected by a test")


class PauseTests(QueueTestCase):
    def test_a_paused_job_stays_and_others_pass_it(self) -> None:
        self.rig.obey(of(PAUSE, 1))
        self.rig.submit()
        self.rig.submit()
        self.rig.settle()
        self.assertEqual([self.rig.status(n) for n in (1, 2)], ["queued", "success"])

    def test_it_begins_as_soon_as_the_rule_is_gone(self) -> None:
        self.rig.obey(of(PAUSE))
        self.rig.submit()
        self.rig.settle()
        self.rig.obey(None)
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "success")

    def test_jobs_in_the_queue_are_held_by_a_new_rule(self) -> None:
        self.rig.max_running = 0
        self.rig.submit()
        self.rig.settle()
        self.rig.obey(of(PAUSE))
        self.rig.max_running = 20
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "queued")
        self.rig.obey(None)

    def test_a_job_that_runs_goes_on(self) -> None:
        self.rig.submit("sleep", "")
        self.rig.turn()
        self.rig.obey(of(PAUSE))
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "success")

    def test_a_job_that_waits_for_locks_goes_on(self) -> None:
        self.rig.submit("lock")
        self.rig.submit("lock")
        self.rig.turn(3)
        self.assertEqual(self.rig.status(2), "waiting")
        self.rig.obey(of(PAUSE))
        self.rig.settle()
        self.assertEqual(self.rig.status(2), "success")

    def test_it_can_be_canceled(self) -> None:
        self.rig.obey(of(PAUSE))
        self.rig.submit()
        self.assertTrue(self.successResultOf(self.queue.cancel(1))[0])
        self.assertEqual(self.rig.status(1), "canceled")

    def test_it_can_be_made_more_urgent(self) -> None:
        self.rig.obey(of(PAUSE))
        self.rig.max_running = 1
        for _ in range(2):
            self.rig.submit()
        self.successResultOf(self.queue.change_priority(2, -5))
        self.rig.obey(None)
        self.rig.settle()
        self.assertEqual(self.rig.ran, [2, 1])

    def test_it_is_let_down_by_what_it_depends_on(self) -> None:
        self.rig.obey(of(PAUSE, 1, 2))
        self.rig.submit()
        self.rig.submit(depends=((1, ("success",)),))
        self.successResultOf(self.queue.cancel(1))
        self.rig.settle()
        self.assertEqual(self.rig.status(2), "error")

    def test_it_is_there_and_held_after_a_crash(self) -> None:
        self.rig.obey(of(PAUSE))
        self.rig.submit()
        for _ in range(3):
            self.rig = self.rig.restarted()
            self.rig.settle()
            self.assertEqual((self.rig.status(1), self.rig.ran), ("queued", []))
        self.rig.obey(None)
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "success")

    def test_what_has_begun_before_a_crash_goes_on_after_it(self) -> None:
        self.rig.submit("lock")
        self.rig.submit("", "lock")
        self.rig.turn(5)
        first = self.queue.job(2).ops[0]
        self.assertEqual((first.status.value, self.rig.status(2)), ("success", "waiting"))
        for verdict in (PAUSE, NO, ONE):
            self.rig.rules = of(verdict)
            crashed = self.rig.restarted()
            crashed.settle()
            self.assertEqual(crashed.status(2), "success")
        self.rig.obey(None)
        self.rig.settle()


class LimitTests(QueueTestCase):
    def test_only_so_many_run_at_once(self) -> None:
        self.rig.obey(of(ONE, 1, 2, 3))
        most = self.most_at_once(lambda: [self.rig.submit("count") for _ in range(3)])
        self.assertEqual((most, self.rig.ran), (1, [1, 2, 3]))

    def test_those_that_run_already_count(self) -> None:
        def submit() -> None:
            for _ in range(2):
                self.rig.submit("count")
            self.rig.turn()
            self.rig.obey(of(ONE))
            for _ in range(2):
                self.rig.submit("count")

        self.assertEqual(self.most_at_once(submit), 2)
        self.assertEqual({self.rig.status(n) for n in range(1, 5)}, {"success"})

    def test_others_are_not_held_up_by_those_that_wait(self) -> None:
        self.rig.obey(of(ONE, 1, 2))
        self.rig.max_running = 2
        for act in ("sleep", "sleep", ""):
            self.rig.submit(act)
        self.rig.turn(5)
        self.assertEqual([self.rig.status(n) for n in (2, 3)], ["queued", "success"])

    def most_at_once(self, submit: Callable[[], Any]) -> int:
        now = most = 0

        async def count(task: OpcodeTask) -> None:
            nonlocal now, most
            await task.locked()
            now += 1
            most = max(most, now)
            await deferLater(self.rig.clock, 5)
            now -= 1

        self.rig.acts["count"] = count
        submit()
        self.rig.settle()
        return most


class RejectTests(QueueTestCase):
    def test_a_rejected_job_is_accepted_canceled_and_says_why(self) -> None:
        self.rig.obey(of(NO))
        job_id = self.rig.submit("", "")
        self.rig.settle()
        job = self.queue.job(job_id)
        self.assertEqual((job.status.value, self.rig.ran), ("canceled", []))
        self.assertEqual([op.result for op in job.ops], [NO.why, None])
        self.assertEqual([text for *_, text in job.log_after(None)], [NO.why])

    def test_jobs_in_the_queue_are_canceled_by_a_new_rule_in_one_commit(self) -> None:
        self.rig.obey(of(PAUSE))
        for _ in range(3):
            self.rig.submit()
        self.rig.submit(depends=((1, ()),))
        before = len(self.rig.journal.commits)
        self.rig.obey(of(NO))
        self.rig.settle()
        self.assertEqual({self.rig.status(n) for n in range(1, 5)}, {"canceled"})
        self.assertEqual(len(self.rig.journal.commits), before + 1)

    def test_what_depends_on_it_is_let_down(self) -> None:
        self.rig.obey(of(NO, 1))
        self.rig.submit()
        self.rig.submit(depends=((1, ("success",)),))
        self.rig.settle()
        self.assertEqual(self.rig.status(2), "error")

    def test_a_rule_that_goes_before_it_could_do_harm_does_none(self) -> None:
        self.rig.obey(of(NO))
        self.rig.submit()
        self.rig.obey(None)
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "success")

    def test_one_that_was_canceled_meanwhile_stays_so(self) -> None:
        self.rig.obey(of(NO))
        self.rig.submit()
        self.successResultOf(self.queue.cancel(1))
        self.rig.obey(None)
        self.rig.settle()
        self.assertEqual((self.rig.status(1), self.rig.results(1)), ("canceled", [None]))

    def test_it_is_rejected_when_the_journal_works_again(self) -> None:
        self.rig.obey(of(NO))
        self.rig.submit()
        self.rig.journal.break_down()
        self.rig.turn()
        self.assertEqual(self.rig.status(1), "queued")
        self.failureResultOf(Deferred.fromCoroutine(self.queue.set_drained(True)), CommitFailed)
        self.rig.journal.heal()
        self.rig.settle()
        self.assertEqual((self.rig.status(1), self.rig.ran), ("canceled", []))
