# SPDX-License-Identifier: BSD-2-Clause
"""Jobs are watched while they run, and judged by their end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_job.commands import GNT_JOB
from ganeti.cli.job_polling import (
    MAX_LENGTH,
    TIMEOUT,
    follow,
    follow_submitted_jobs,
    outcome,
    reason_trail,
    results_of,
    stamped,
    submit_and_follow_all,
)
from ganeti.errors import Failed, JobCanceled, JobLost, QueueDrained, Refused
from ganeti.luxi.methods import QueryJobs, SubmitJob, SubmitManyJobs, WaitForJobChange
from ganeti.opcodes.test import Delay
from tests.cli.terminal import NOW, Canned, Terminal, arguments, in_utc

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


class PollTests(SynchronousTestCase):
    def polled(self, *answers: Any, **how: Any) -> Terminal:
        terminal = Terminal({WaitForJobChange: in_order(*answers)})
        self.results = terminal.call(lambda session: follow(session, 7, **how))
        return terminal

    def test_it_waits_longer_once_the_reason_was_told(self) -> None:
        terminal = self.polled(QUEUED, "nochange", "nochange", RUNNING, "nochange", DONE)
        asked = [each for each in terminal.asked() if isinstance(each, WaitForJobChange)]
        self.assertEqual(
            [each.timeout for each in asked],
            [TIMEOUT, TIMEOUT, MAX_LENGTH, MAX_LENGTH, TIMEOUT, MAX_LENGTH],
        )

    def test_a_job_that_runs_for_long_gets_no_hint(self) -> None:
        self.assertEqual(self.polled(RUNNING, "nochange", None, DONE).err, "")

    def test_each_reason_to_wait_is_told(self) -> None:
        waiting = [["waiting", ["waiting"], [None]], []]
        terminal = self.polled(QUEUED, "nochange", waiting, "nochange", DONE)
        first, second = terminal.err.splitlines()
        self.assertIn("Job 7 is queued", first)
        self.assertEqual(second, "Job 7 waits for answers of nodes or for locks (gnt-debug locks)")

    def test_an_answer_that_says_nothing_new_is_no_change(self) -> None:
        terminal = self.polled(QUEUED, QUEUED, DONE)
        self.assertIn("Job 7 is queued", terminal.err)

    def test_quietly_neither_messages_nor_hints_are_shown(self) -> None:
        terminal = self.polled(QUEUED, "nochange", RUNNING, DONE, quiet=True)
        self.assertEqual((terminal.out, terminal.err), ("", ""))

    def test_entries_that_are_no_messages_go_to_who_wants_them(self) -> None:
        entry = [3, [5, 0], "jqueue-test", {"phase": 1}]
        seen: list[Any] = []
        terminal = self.polled([RUNNING[0], [entry]], DONE, others=seen.append)
        self.assertEqual((seen, terminal.out), ([entry], ""))
        self.assertEqual(self.polled([RUNNING[0], [entry]], DONE).out, "")

    def test_the_results_of_all_opcodes_are_returned(self) -> None:
        self.polled([["success", ["success", "success"], ["a", 2]], []])
        self.assertEqual(self.results, ["a", 2])


class OutcomeTests(SynchronousTestCase):
    def test_the_first_opcode_that_failed_is_the_error(self) -> None:
        results = [None, ["OpPrereqError", ["node1 is offline", "wrong_state"]], None]
        with self.assertRaisesRegex(Refused, "^node1 is offline$"):
            outcome(7, "error", ["success", "error", "error"], results)

    def test_a_canceled_job_has_no_results(self) -> None:
        with self.assertRaisesRegex(JobCanceled, "^job 7 was canceled$"):
            outcome(7, "canceled", ["canceled"], [None])

    def test_an_error_without_an_opcode_names_the_log(self) -> None:
        with self.assertRaisesRegex(Failed, "see the log of the master daemon"):
            outcome(7, "error", [], [])


class StampTests(SynchronousTestCase):
    def test_the_command_comes_after_the_reason_of_the_user(self) -> None:
        now = int(NOW * 1e9)
        for given, wanted in (
            ({}, (("gnt:client", "gnt-tool modify", now),)),
            ({"reason": ""}, (("gnt:client", "gnt-tool modify", now),)),
            (
                {"reason": "rain"},
                (("gnt:user", "rain", now), ("gnt:client", "gnt-tool modify", now)),
            ),
        ):
            made = Terminal().call(partial(reason_trail, arguments=arguments("modify", **given)))
            self.assertEqual(made, wanted)

    def test_what_is_not_given_stays_as_it_is(self) -> None:
        opcode = Delay(duration=1.0, priority=5, dry_run=True)
        made = Terminal().call(lambda session: stamped(session, arguments(), opcode))
        self.assertEqual((made.priority, made.dry_run), (5, True))
        made = Terminal().call(lambda session: stamped(session, arguments(priority=-10), opcode))
        self.assertEqual(made.priority, -10)


class SubmitTests(SynchronousTestCase):
    """Several jobs at once or one by one, and jobs that jobs have submitted."""

    def setUp(self) -> None:
        self.ends: dict[int, Any] = {}
        self.terminal = Terminal({WaitForJobChange: lambda request: self.ends[request.job_id]})

    def submit(self, *names: str, **how: Any) -> int:
        jobs = [(name, [Delay(duration=1.0)]) for name in names]
        given = arguments(**how.pop("given", {}))
        return self.terminal.call(
            lambda session: submit_and_follow_all(session, given, jobs, **how)
        )

    def test_the_only_job_fails_as_it_does_alone(self) -> None:
        self.ends = {1: failed("OpExecError", ["no luck"])}
        with self.assertRaisesRegex(Failed, "^no luck$"):
            self.submit("web1")

    def test_the_only_job_of_a_caller_that_goes_on_is_reported(self) -> None:
        self.ends = {1: failed("OpExecError", ["no luck"])}
        self.assertEqual(self.submit("web1", goes_on=True), 1)
        self.assertEqual(self.terminal.err, "Job 1 for web1 failed: no luck\n")

    def test_one_by_one_each_is_a_request_of_its_own(self) -> None:
        self.ends = {1: DONE, 2: DONE}
        self.assertEqual(self.submit("web1", "web2", one_by_one=True), 0)
        sent = [each for each in self.terminal.asked() if isinstance(each, SubmitManyJobs)]
        self.assertEqual([len(each.jobs) for each in sent], [1, 1])

    def test_numbers_are_printed_before_the_jobs_are_followed(self) -> None:
        self.ends = {1: DONE, 2: DONE}
        self.submit("web1", "web2", given={"print_jobid": True})
        self.assertEqual(self.terminal.out.splitlines()[:3], ["1", "2", WAITING_1])

    def test_none_of_no_jobs_fails(self) -> None:
        self.terminal.canned[SubmitManyJobs] = []
        self.assertEqual(self.submit(), 0)

    def test_a_submitted_job_has_no_results(self) -> None:
        def action(session: Any) -> Any:
            return results_of(session, arguments(submit=True), Delay(duration=1.0))

        self.assertIs(self.terminal.call(action), None)
        self.assertEqual((self.terminal.out, self.terminal.err), ("", "JobID: 1\n"))

    def followed(self, *jobs: Any) -> int:
        result = {"jobs": list(jobs)}
        return self.terminal.call(
            lambda session: follow_submitted_jobs(session, arguments(), result)
        )

    def test_jobs_of_a_job_are_all_followed_and_the_worst_counts(self) -> None:
        self.ends = {2: failed("OpExecError", ["no luck"]), 3: DONE}
        self.assertEqual(self.followed([False, "the queue is full"], [True, 2], [True, 3]), 1)
        self.assertEqual(
            self.terminal.err,
            "Failure: a job was rejected: the queue is full\nFailure: job 2: no luck\n",
        )
        asked = [each.job_id for each in self.terminal.asked()]  # type: ignore[attr-defined]
        self.assertEqual(asked, [2, 3])

    def test_a_check_that_has_found_something_is_a_failure(self) -> None:
        self.ends = {2: [["success", ["success"], [False]], []]}
        self.assertEqual(self.followed([True, 2]), 1)
        self.ends = {2: [["success", ["success"], [None]], []]}
        self.assertEqual(self.followed([True, 2]), 0)


WAITING_1 = "Waiting for job 1 for web1 ..."
