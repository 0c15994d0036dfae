# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job`` selects jobs by number or status, and reports about each of them."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_job import actions
from ganeti.cli.session import ExitTool
from ganeti.luxi.methods import (
    ArchiveJob,
    AutoArchiveJobs,
    CancelJobs,
    ChangeJobPriority,
    Query,
    QueryJobs,
)
from tests.cli.terminal import Terminal, answer, arguments, in_utc

FACTS: dict[str, Any] = {
    "id": 7,
    "status": "waiting",
    "priority": 0,
    "received_ts": [1, 0],
    "start_ts": None,
    "end_ts": None,
    "ops": [{"OP_ID": "OP_A", "name": "x", "tags": [], "none": None, "flag": False, "zero": 0}],
    "opstatus": ["waiting"],
    "opresult": [None],
    "oplog": [[]],
    "opstart": [[1, 5]],
    "opexec": [None],
    "opend": [None],
    "oppriority": [0],
    "summary": ["A"],
}
KINDS = {"id": "number", "status": "text", "summary": "other"}


class JobCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal()

    def call(self, action: Any, **values: Any) -> int:
        given = arguments(**values)
        code: int = self.terminal.call(lambda session: action(session, given))
        return code

    def refusal(self, action: Any, **values: Any) -> str:
        return str(self.assertRaises(ExitTool, self.call, action, **values))


class InfoTests(JobCase):
    def setUp(self) -> None:
        super().setUp()
        in_utc(self)
        self.terminal.canned[QueryJobs] = self.rows

    def rows(self, request: QueryJobs) -> list[Any]:
        known = [FACTS[name] for name in request.fields]
        return [known if number == 7 else None for number in request.ids or ()]

    def test_moments_that_have_not_come_are_empty(self) -> None:
        self.call(actions.info, jobs=["7"])
        self.assertIn("  Received: 1970-01-01 00:00:01.000000\n", self.terminal.out)
        self.assertIn("  Processing start:\n  Processing end:\n", self.terminal.out)

    def test_fields_that_were_not_given_are_left_out(self) -> None:
        self.call(actions.info, jobs=["7"])
        _, _, rest = self.terminal.out.partition("Input fields:\n")
        shown = [line.strip() for line in rest.splitlines()[:3]]
        self.assertEqual(shown, ["name: x", "flag: False", "zero: 0"])

    def test_programs_get_every_field(self) -> None:
        self.assertEqual(self.call(actions.info, jobs=["7"], output="json"), 0)
        self.assertEqual(json.loads(self.terminal.out), [FACTS])

    def test_those_that_exist_are_shown_before_the_others_are_refused(self) -> None:
        told = self.refusal(actions.info, jobs=["8", "7", "9"])
        self.assertEqual(told, "job 8, 9 does not exist; see gnt-job list")
        self.assertIn("- Job ID: 7\n", self.terminal.out)


class SelectionTests(JobCase):
    def test_every_word_that_is_no_number_is_named(self) -> None:
        told = self.refusal(actions.info, jobs=["1", "x", "-2", "\u0662", "3.0"])
        self.assertEqual(told, "x, -2, \u0662, 3.0: a job ID is a number of at most 15 digits")
        self.assertIn("a job ID is a number", self.refusal(actions.archive, jobs=["9" * 5000]))
        self.assertEqual(self.terminal.asked(), [])

    def test_jobs_are_named_or_selected_by_status(self) -> None:
        for values in ({}, {"jobs": ["7"], "statuses": ("queued",)}):
            told = self.refusal(actions.cancel, **values)
            self.assertIn("name jobs by their IDs, or select them with", told)

    def test_each_of_several_statuses_is_meant(self) -> None:
        self.terminal.canned[Query] = answer(KINDS)
        self.assertEqual(self.call(actions.cancel, statuses=("queued", "waiting")), 0)
        [asked] = self.terminal.asked()
        assert isinstance(asked, Query)
        either = [["==", "status", "queued"], ["==", "status", "waiting"]]
        self.assertEqual((asked.what, asked.qfilter), ("job", ["|", *either]))

    def test_selected_ones_are_listed_in_the_question(self) -> None:
        self.terminal.canned[Query] = answer(KINDS, [7, "queued", ["A"]], [9, "queued", ["B"]])
        self.terminal.answers = ["no"]
        self.assertIn("not confirmed", self.refusal(actions.cancel, statuses=("queued",)))
        self.assertEqual(self.terminal.questions, ["Cancel these 2 jobs? y[es]/[n]o: "])
        self.assertIn(" 7 queued A\n", self.terminal.out)

    def test_the_question_says_what_is_done(self) -> None:
        self.terminal.canned[Query] = answer(KINDS, [7, "queued", ["A"]])
        self.terminal.answers = ["no"]
        self.refusal(actions.change_priority, statuses=("queued",), priority=10)
        [question] = self.terminal.questions
        self.assertTrue(question.startswith("Change the priority of these 1 jobs?"))

    def test_with_force_there_is_no_question(self) -> None:
        self.terminal.canned[Query] = answer(KINDS, [7, "queued", ["A"]])
        self.terminal.canned[CancelJobs] = [[True, "canceled"]]
        self.assertEqual(self.call(actions.cancel, statuses=("queued",), force=True), 0)
        self.assertEqual(self.terminal.out, "canceled\n")


class ChangeTests(JobCase):
    def test_many_jobs_are_canceled_by_one_request(self) -> None:
        self.terminal.canned[CancelJobs] = [[True, "a"], [False, "b"], [True, "c"]]
        self.assertEqual(self.call(actions.cancel, jobs=["1", "2", "3"]), 1)
        self.assertEqual(self.terminal.asked(), [CancelJobs(job_ids=(1, 2, 3))])
        self.assertEqual((self.terminal.out, self.terminal.err), ("a\nc\n", "b\n"))

    def test_a_kill_must_be_confirmed_by_an_option(self) -> None:
        told = self.refusal(actions.cancel, jobs=["1"], kill=True)
        self.assertIn("add --yes-do-it to confirm", told)
        self.assertEqual(self.terminal.asked(), [])

    def test_each_priority_is_changed_and_the_worst_counts(self) -> None:
        answers = {1: [True, "a"], 2: [False, "b"]}
        self.terminal.canned[ChangeJobPriority] = lambda it: answers[it.job_id]
        self.assertEqual(self.call(actions.change_priority, jobs=["2", "1"], priority=-10), 1)
        asked = [ChangeJobPriority(job_id=n, priority=-10) for n in (2, 1)]
        self.assertEqual(self.terminal.asked(), asked)

    def test_a_normal_priority_is_a_priority(self) -> None:
        self.terminal.canned[ChangeJobPriority] = [True, "a"]
        self.assertEqual(self.call(actions.change_priority, jobs=["1"], priority=0), 0)


class ArchiveTests(JobCase):
    def test_those_that_could_not_be_archived_are_named_and_the_others_are(self) -> None:
        self.terminal.canned[ArchiveJob] = lambda it: it.job_id == 2
        self.assertEqual(self.call(actions.archive, jobs=["1", "2", "3"]), 1)
        told = "job {} was not archived; it does not exist or has not finished\n"
        self.assertEqual(self.terminal.err, told.format(1) + told.format(3))

    def test_ages_have_units_or_are_all(self) -> None:
        self.terminal.canned[AutoArchiveJobs] = [2, 5]
        for age, seconds in (("all", -1), ("0", 0), ("90", 90), ("2h", 7200)):
            self.assertEqual(self.call(actions.autoarchive, age=age), 0)
            self.assertEqual(self.terminal.asked()[-1], AutoArchiveJobs(age=seconds))
        self.assertEqual(self.terminal.out, "Archived 2 jobs, 5 unchecked left\n")

    def test_an_age_that_is_none_is_refused(self) -> None:
        for age in ("", "ALL", "-1", "1y"):
            self.assertTrue(self.refusal(actions.autoarchive, age=age).endswith(", or all"))
        self.assertEqual(self.terminal.asked(), [])
