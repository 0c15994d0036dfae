# SPDX-License-Identifier: BSD-2-Clause
"""Jobs are watched while they run, and judged by their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_job.commands import GNT_JOB
from ganeti.errors import JobLost, QueueDrained
from ganeti.luxi.methods import QueryJobs, SubmitJob, SubmitManyJobs, WaitForJobChange
from tests.cli.terminal import NOW, Canned, Terminal, in_utc

QUEUED = [["queued", ["queued"], [None]], []]
RUNNING = [["running", ["running"], [None]], [[1, [5, 0], "message", "Starting the guest"]]]
MORE = [["running", ["running"], [None]], [[2, [6, 0], "message-list", ["one", "two"]]]]
DONE = [["success", ["success"], [None]], []]
CANCELED = [["canceled", ["canceled"], [None]], []]


def failed(*error: Any) -> list[Any]:
    return [["error", ["error"], [list(error)]], []]


def in_order(*answers: Any) -> Callable[[Any], Any]:
    left = list(answers)
    return lambda _: left.pop(0)


class FollowTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)

    def followed(self, *answers: Any) -> tuple[int, Terminal]:
        terminal = Terminal({WaitForJobChange: in_order(*answers)})
        return terminal.run(GNT_INSTANCE, "startup", "web1"), terminal

    def test_messages_are_shown_with_their_times(self) -> None:
        code, terminal = self.followed(QUEUED, RUNNING, MORE, DONE)
        self.assertEqual(code, 0)
        self.assertEqual(
            terminal.out.splitlines(),
            [
                "Thu Jan  1 00:00:05 1970 Starting the guest",
                "Thu Jan  1 00:00:06 1970 one",
                "Thu Jan  1 00:00:06 1970 two",
            ],
        )
        self.assertEqual(terminal.err, "")

    def test_what_is_known_is_sent_back_so_that_only_news_are_answered(self) -> None:
        _, terminal = self.followed(QUEUED, RUNNING, DONE)
        asked = [each for each in terminal.asked() if isinstance(each, WaitForJobChange)]
        self.assertEqual(
            [(each.prev_job_info, each.prev_log_serial) for each in asked],
            [(None, None), (QUEUED[0], None), (RUNNING[0], 1)],
        )

    def test_who_waits_long_is_told_why_once(self) -> None:
        _, terminal = self.followed(QUEUED, "nochange", "nochange", DONE)
        said = "Job 1 is queued, perhaps held by a job filter (gnt-filter list);"
        self.assertEqual(terminal.err, f"{said} Ctrl-C leaves it in the queue\n")

    def test_a_failure_is_one_line_and_exit_code_1(self) -> None:
        code, terminal = self.followed(
            RUNNING, failed("OpPrereqError", ["node1 is offline", "wrong_state"])
        )
        self.assertEqual((code, terminal.err), (1, "Failure: node1 is offline\n"))

    def test_a_canceled_job_is_a_failure(self) -> None:
        code, terminal = self.followed(CANCELED)
        self.assertEqual((code, terminal.err), (1, "Failure: job 1 was canceled\n"))

    def test_interrupting_leaves_the_job_running(self) -> None:
        def interrupted(_: Any) -> None:
            raise KeyboardInterrupt

        terminal = Terminal({WaitForJobChange: interrupted})
        self.assertEqual(terminal.run(GNT_INSTANCE, "startup", "web1"), 1)
        self.assertIn("job 1 continues: use gnt-job watch 1", terminal.err)

    def test_a_job_that_is_in_the_archive_by_now_still_has_an_end(self) -> None:
        rows: Canned = {QueryJobs: [["error", ["error"], [["OpExecError", ["no luck"]]]]]}
        terminal = Terminal({WaitForJobChange: JobLost("Job 7 not found"), **rows})
        self.assertEqual(terminal.run(GNT_JOB, "wait", "7"), 1)
        self.assertEqual(terminal.err, "Failure: no luck\n")

    def test_submitting_does_not_wait(self) -> None:
        terminal = Terminal()
        self.assertEqual(
            terminal.run(GNT_INSTANCE, "startup", "--submit", "--print-jobid", "web1"), 0
        )
        self.assertEqual((terminal.out, terminal.err), ("1\n", "JobID: 1\n"))
        self.assertEqual([type(each) for each in terminal.asked()], [SubmitJob])

    def test_a_closed_queue_is_told(self) -> None:
        terminal = Terminal({SubmitJob: QueueDrained("the queue is drained")})
        self.assertEqual(terminal.run(GNT_INSTANCE, "startup", "web1"), 1)
        self.assertEqual(terminal.err, "Failure: the queue is drained\n")

    def test_a_dry_run_shows_the_plan(self) -> None:
        terminal = Terminal(result={"steps": ["stop web1"]})
        self.assertEqual(terminal.run(GNT_INSTANCE, "shutdown", "--dry-run", "web1"), 0)
        self.assertEqual(terminal.out, "steps:\n  - stop web1\n")
        self.assertIs(terminal.job().dry_run, True)

    def test_jobs_say_who_asked_for_them_and_how_urgent_they_are(self) -> None:
        terminal = Terminal()
        words = ("startup", "--priority=high", "--reason", "rain", "web1")
        self.assertEqual(terminal.run(GNT_INSTANCE, *words), 0)
        job, now = terminal.job(), int(NOW * 1e9)
        self.assertEqual(job.priority, -10)
        self.assertEqual(
            job.reason,
            (("gnt:user", "rain", now), ("gnt:client", "gnt-instance startup", now)),
        )


class ManyTests(SynchronousTestCase):
    def test_several_jobs_are_submitted_at_once_and_the_worst_counts(self) -> None:
        ends = {1: DONE, 2: failed("OpExecError", ["no"])}
        terminal = Terminal({WaitForJobChange: lambda request: ends[request.job_id]})
        words = ("startup", "--force-multiple", "web1", "web2")
        self.assertEqual(terminal.run(GNT_INSTANCE, *words), 1)
        self.assertEqual(
            terminal.out, "Waiting for job 1 for web1 ...\nWaiting for job 2 for web2 ...\n"
        )
        self.assertEqual(terminal.err, "Job 2 for web2 failed: no\n")

    def test_one_that_is_not_accepted_does_not_keep_the_others(self) -> None:
        answers: Canned = {SubmitManyJobs: [[False, "the queue is full"], [True, 5]]}
        terminal = Terminal({**answers, WaitForJobChange: in_order(DONE)})
        self.assertEqual(terminal.run(GNT_INSTANCE, "start", "--force-multiple", "a", "b"), 1)
        self.assertEqual(terminal.err, "a: the queue is full\n")

    def test_submitting_several_lists_their_numbers(self) -> None:
        terminal = Terminal()
        words = ("stop", "--force-multiple", "--submit", "web1", "web2")
        self.assertEqual(terminal.run(GNT_INSTANCE, *words), 0)
        self.assertEqual(terminal.out, "1\n2\n")

    def test_plans_of_several_are_shown_after_their_names(self) -> None:
        terminal = Terminal(result={"steps": ["stop it"]})
        words = ("stop", "--force-multiple", "--dry-run", "web1", "web2")
        self.assertEqual(terminal.run(GNT_INSTANCE, *words), 0)
        shown = [f"Waiting for job {n} for web{n} ...\nsteps:\n  - stop it\n" for n in (1, 2)]
        self.assertEqual(terminal.out, "".join(shown))

    def test_a_plan_of_nothing_is_said_in_words(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_INSTANCE, "stop", "--dry-run", "web1"), 0)
        said = "The job would run; its plan has no further details.\n"
        self.assertEqual(terminal.out, said)

    def test_a_job_that_there_is_not_is_told(self) -> None:
        for rows in ([None], [["running", [], []]]):
            canned: Canned = {QueryJobs: rows, WaitForJobChange: JobLost("Job 7 not found")}
            terminal = Terminal(canned)
            self.assertEqual(terminal.run(GNT_JOB, "wait", "7"), 1)
            self.assertEqual(terminal.err, "Failure: job 7 does not exist; see gnt-job list\n")

    def test_a_failure_without_a_reason_says_where_to_look(self) -> None:
        ended = [["error", ["canceled"], [None]], []]
        terminal = Terminal({WaitForJobChange: ended})
        self.assertEqual(terminal.run(GNT_JOB, "wait", "7"), 1)
        self.assertIn(
            "job 7 failed without an error message; see the log of the master", terminal.err
        )
