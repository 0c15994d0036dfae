# SPDX-License-Identifier: BSD-2-Clause
"""Jobs are shown, canceled and waited for."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Invalid, JobLost
from ganeti.luxi.methods import CancelJob, QueryJobs, WaitForJobChange
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.jobs import FIELDS, ROUTES, WAIT_TIMEOUT
from tests.rapi.routes.case import RouteCase

JOB, WAIT = "/2/jobs/{job_id}", "/2/jobs/{job_id}/wait"
SEVEN = {"job_id": "7"}


class JobTests(RouteCase):
    ROUTES = ROUTES

    def test_a_job_has_the_values_of_its_fields(self) -> None:
        row = [7, [], "success", ["A"], ["success"], [1, 0], [2, 0], [3, 0], [[]], [None]]
        self.master.canned[QueryJobs] = [row]
        found = self.answer("GET", JOB, variables=SEVEN)
        self.assertEqual(found, dict(zip(FIELDS, row, strict=True)))
        self.assertEqual(self.master.asked, [QueryJobs(ids=(7,), fields=FIELDS)])

    def test_one_that_there_is_not_is_lost(self) -> None:
        nothing: tuple[Any, ...] = ([], [None], [[7] + [None] * (len(FIELDS) - 1)])
        for rows in nothing:
            self.master.canned[QueryJobs] = rows
            error = self.refusal(JobLost, "GET", JOB, variables=SEVEN)
            self.assertEqual(str(error), "job 7 does not exist or is archived")

    def test_the_list_is_in_the_order_of_the_numbers(self) -> None:
        self.master.canned[QueryJobs] = [[10], [9]]
        wanted = [{"id": 9, "uri": "/2/jobs/9"}, {"id": 10, "uri": "/2/jobs/10"}]
        self.assertEqual(self.answer("GET", "/2/jobs"), wanted)

    def test_a_job_is_canceled_whatever_the_reason(self) -> None:
        self.master.canned[CancelJob] = [False, "Job 7 has ended"]
        for query in ({}, {"reason": ["rain"]}):
            found = self.answer("DELETE", JOB, variables=SEVEN, query=query)
            self.assertEqual(found, [False, "Job 7 has ended"])
        self.assertEqual(self.master.asked, [CancelJob(job_id=7)] * 2)

    def test_canceling_needs_a_login_with_that_right_and_looking_none(self) -> None:
        self.check_access(
            {
                ("GET", "/2/jobs"): AccessLevel.OPEN,
                ("GET", "/2/job-rates"): AccessLevel.OPEN,
                ("GET", JOB): AccessLevel.OPEN,
                ("DELETE", JOB): AccessLevel.WRITE,
                ("GET", WAIT): AccessLevel.OPEN,
            }
        )


class WaitTests(RouteCase):
    ROUTES = ROUTES

    def wait(self, answer: object, body: object = None) -> Any:
        self.master.canned[WaitForJobChange] = lambda _: answer
        return self.answer("GET", WAIT, body, variables=SEVEN)

    def test_it_is_told_what_the_client_knows(self) -> None:
        body = {
            "fields": ["status", "opresult"],
            "previous_job_info": ["running", [None]],
            "previous_log_serial": 3,
        }
        found = self.wait([["success", [1]], [[4, [5, 0], "message", "done"]]], body)
        log = [[4, [5, 0], "message", "done"]]
        self.assertEqual(found, {"job_info": ["success", [1]], "log_entries": log})
        wanted = WaitForJobChange(
            job_id=7,
            fields=("status", "opresult"),
            prev_job_info=["running", [None]],
            prev_log_serial=3,
            timeout=WAIT_TIMEOUT,
        )
        self.assertEqual(self.master.asked, [wanted])

    def test_a_client_that_knows_nothing_waits_for_the_status(self) -> None:
        self.assertIs(self.wait("nochange"), None)
        [asked] = self.master.asked
        assert isinstance(asked, WaitForJobChange)
        self.assertEqual((asked.fields, asked.prev_job_info), (("status",), None))

    def test_a_job_that_there_is_not_is_lost(self) -> None:
        self.master.canned[WaitForJobChange] = lambda _: None
        self.refusal(JobLost, "GET", WAIT, variables=SEVEN)

    def test_what_is_waited_for_must_be_fields(self) -> None:
        body = {"fields": "status", "previous_log_serial": "x"}
        error = self.refusal(Invalid, "GET", WAIT, body, variables=SEVEN)
        self.assertEqual({each.path for each in error.problems}, {"fields", "previous_log_serial"})
