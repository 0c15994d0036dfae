# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job`` shows jobs, and gives orders about them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_job.commands import GNT_JOB
from ganeti.luxi.methods import (
    ArchiveJob,
    AutoArchiveJobs,
    CancelJobs,
    ChangeJobPriority,
    Query,
    QueryJobs,
    WaitForJobChange,
)
from tests.cli.terminal import Canned, Terminal, answer, in_utc

JOBS = answer(
    {"id": "number", "status": "text", "summary": "other"},
    [7, "queued", ["INSTANCE_STARTUP(web1)", "TEST_DELAY(1)"]],
)


class ListTests(SynchronousTestCase):
    def asked(self, *words: str) -> Query:
        terminal = Terminal({Query: JOBS})
        self.assertEqual(terminal.run(GNT_JOB, "list", *words), 0)
        (question,) = terminal.asked()
        assert isinstance(question, Query)
        return question

    def test_jobs_are_listed(self) -> None:
        terminal = Terminal({Query: JOBS})
        terminal.run(GNT_JOB, "list")
        self.assertEqual(
            terminal.out,
            "Id Status Summary\n 7 queued INSTANCE_STARTUP(web1),TEST_DELAY(1)\n",
        )

    def test_they_are_chosen_by_status_and_number(self) -> None:
        self.assertEqual(
            self.asked("--finished", "7").qfilter,
            [
                "&",
                ["|", ["==", "id", 7]],
                [
                    "|",
                    ["==", "status", "canceled"],
                    ["==", "status", "error"],
                    ["==", "status", "success"],
                ],
            ],
        )

    def test_archived_ones_show_that_they_are(self) -> None:
        question = self.asked("--archived")
        self.assertEqual(question.fields, ("id", "status", "summary", "archived"))

    def test_a_name_is_no_number(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_JOB, "list", "web1"), 1)
        self.assertEqual(terminal.err, "Failure: web1 is not a job id\n")
        self.assertEqual(terminal.run(GNT_JOB, "list", "9" * 5000), 1)
        self.assertIn("is not a job id", terminal.err)


class InfoTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)

    def row(self, request: QueryJobs) -> list[Any]:
        facts: dict[str, Any] = {
            "id": 7,
            "status": "error",
            "priority": 0,
            "received_ts": [1, 0],
            "start_ts": [2, 0],
            "end_ts": [3, 0],
            "ops": [
                {
                    "OP_ID": "OP_INSTANCE_STARTUP",
                    "instance_name": "web1",
                    "force": False,
                    "reason": [["gnt:user", "rain", 1]],
                }
            ],
            "opstatus": ["error"],
            "opresult": [["OpExecError", ["no luck"]]],
            "oplog": [[[1, [2, 5], "message", "Starting"]]],
            "opstart": [[2, 0]],
            "opexec": [[2, 1]],
            "opend": [[3, 0]],
            "oppriority": [0],
            "summary": ["INSTANCE_STARTUP(web1)"],
        }
        return [[facts[name] for name in request.fields]]

    def test_everything_about_a_job_is_told(self) -> None:
        terminal = Terminal({QueryJobs: self.row})
        self.assertEqual(terminal.run(GNT_JOB, "info", "7"), 0)
        self.assertEqual(
            terminal.out.splitlines(),
            [
                "- Job ID: 7",
                "  Status: error",
                "  Priority: 0",
                "  Received: 1970-01-01 00:00:01.000000",
                "  Processing start: 1970-01-01 00:00:02.000000",
                "  Processing end: 1970-01-01 00:00:03.000000",
                "  Opcodes:",
                "    - Opcode: OP_INSTANCE_STARTUP",
                "      Status: error",
                "      Lock acquire start: 1970-01-01 00:00:02.000000",
                "      Processing start: 1970-01-01 00:00:02.000001",
                "      Processing end: 1970-01-01 00:00:03.000000",
                "      Input fields:",
                "        instance_name: web1",
                "        force: False",
                "      Reason:",
                "        - 'gnt:user: rain'",
                "      Result:",
                "        - OpExecError",
                "        - - no luck",
                "      Execution log:",
                "        - 1970-01-01 00:00:02.000005 Starting",
            ],
        )

    def test_a_job_that_there_is_not_is_told(self) -> None:
        terminal = Terminal({QueryJobs: lambda request: [[9] + [None] * 14]})
        self.assertEqual(terminal.run(GNT_JOB, "info", "9"), 1)
        self.assertIn("job 9 does not exist", terminal.err)


class OrderTests(SynchronousTestCase):
    def test_jobs_are_canceled_and_the_worst_counts(self) -> None:
        rows = [[True, "Job 1 canceled"], [False, "Job 2 has ended"]]
        terminal = Terminal({CancelJobs: rows})
        self.assertEqual(terminal.run(GNT_JOB, "cancel", "1", "2"), 1)
        self.assertEqual((terminal.out, terminal.err), ("Job 1 canceled\n", "Job 2 has ended\n"))

    def test_chosen_ones_are_shown_and_asked_about(self) -> None:
        canned: Canned = {Query: JOBS, CancelJobs: [[True, "canceled"]]}
        terminal = Terminal(canned, answers=["y"])
        self.assertEqual(terminal.run(GNT_JOB, "cancel", "--pending"), 0)
        self.assertEqual(terminal.asked()[-1], CancelJobs(job_ids=(7,)))

    def test_killing_needs_a_second_word(self) -> None:
        self.assertEqual(Terminal().run(GNT_JOB, "cancel", "--kill", "1"), 1)

    def test_priorities_change(self) -> None:
        terminal = Terminal({ChangeJobPriority: [True, "done"]})
        self.assertEqual(terminal.run(GNT_JOB, "change-priority", "--priority=low", "3"), 0)
        self.assertEqual(terminal.asked(), [ChangeJobPriority(job_id=3, priority=10)])

    def test_jobs_are_archived_by_number_or_age(self) -> None:
        terminal = Terminal({ArchiveJob: False, AutoArchiveJobs: [3, 0]})
        self.assertEqual(terminal.run(GNT_JOB, "archive", "3"), 1)
        self.assertEqual(terminal.run(GNT_JOB, "autoarchive", "1d"), 0)
        self.assertEqual(terminal.out, "Archived 3 jobs, 0 unchecked left\n")
        self.assertEqual(terminal.run(GNT_JOB, "autoarchive", "all"), 0)
        ages = [each.age for each in terminal.asked() if isinstance(each, AutoArchiveJobs)]
        self.assertEqual(ages, [86400, -1])

    def test_what_is_named_is_a_number_and_something_is_named(self) -> None:
        for words, why in (
            (("cancel", "web1"), "web1: a job ID is a number of at most 15 digits"),
            (("cancel",), "name jobs by their IDs, or select them with --pending"),
            (("cancel", "--pending", "7"), "name jobs by their IDs, or select"),
            (("change-priority", "7"), "no priority given; use --priority low, normal or high"),
            (("autoarchive", "soon"), ", or all"),
        ):
            terminal = Terminal()
            self.assertEqual((terminal.run(GNT_JOB, *words), terminal.asked()), (1, []))
            self.assertIn(why, terminal.err)

    def test_where_none_is_chosen_nothing_is_asked(self) -> None:
        terminal = Terminal({Query: answer({"id": "number", "status": "text", "summary": "other"})})
        self.assertEqual(terminal.run(GNT_JOB, "cancel", "--queued"), 0)
        [question] = terminal.asked()
        assert isinstance(question, Query)
        self.assertEqual(question.qfilter, ["|", ["==", "status", "queued"]])

    def test_killing_is_asked_for_as_such(self) -> None:
        terminal = Terminal({CancelJobs: [[True, "killed"]]})
        self.assertEqual(terminal.run(GNT_JOB, "cancel", "--kill", "--yes-do-it", "7"), 0)
        self.assertEqual(terminal.asked(), [CancelJobs(job_ids=(7,), kill=True)])

    def test_an_archived_job_needs_no_words(self) -> None:
        terminal = Terminal({ArchiveJob: True})
        self.assertEqual(terminal.run(GNT_JOB, "archive", "3", "4"), 0)
        self.assertEqual(terminal.asked(), [ArchiveJob(job_id=3), ArchiveJob(job_id=4)])
        self.assertEqual((terminal.out, terminal.err), ("", ""))


class WatchTests(SynchronousTestCase):
    def followed(self, command: str) -> str:
        in_utc(self)
        said = [[1, [5, 0], "message", "Starting the guest"]]
        ended = [["success", ["success"], [None]], said]
        terminal = Terminal({WaitForJobChange: ended})
        self.assertEqual(terminal.run(GNT_JOB, command, "7"), 0)
        return terminal.out

    def test_messages_are_shown_to_who_watches_and_not_to_who_waits(self) -> None:
        line = "Thu Jan  1 00:00:05 1970 Starting the guest\n"
        self.assertEqual(self.followed("watch"), f"Output from job 7 follows\n{'-' * 21}\n{line}")
        self.assertEqual(self.followed("wait"), "")
