# SPDX-License-Identifier: BSD-2-Clause
"""Every error has a status, and clients are told how to log in as they can."""

from __future__ import annotations

import json
from http import HTTPStatus

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from ganeti.errors import (
    AccessDenied,
    Code,
    Failed,
    GanetiError,
    HooksRefused,
    Invalid,
    JobLost,
    ProtocolError,
    QueueDrained,
    QueueFull,
    Refused,
    Unauthenticated,
)
from ganeti.luxi.unreachable import MasterNotRunning, NoAnswer, TimedOut
from ganeti.rapi.problems import (
    STATUS_BY_CODE,
    HttpProblem,
    answer_to,
    answer_to_client,
    problem,
    status_of,
)


class StatusTests(SynchronousTestCase):
    def test_each_error_has_its_own(self) -> None:
        for error, status in (
            (Invalid("x"), 400),
            (Unauthenticated("x"), 401),
            (AccessDenied("x"), 403),
            (JobLost("x"), 404),
            (HooksRefused([("node1", "check", "no")]), 409),
            (QueueDrained("x"), 503),
            (QueueFull("x"), 503),
            (TimedOut("x"), 504),
            (MasterNotRunning("x"), 503),
            (NoAnswer("x"), 502),
            (ProtocolError("x"), 502),
            (GanetiError("x"), 500),
            (HttpProblem(HTTPStatus.FORBIDDEN, "x"), 403),
        ):
            self.assertEqual(status_of(error), status, type(error).__name__)

    def test_a_code_decides_about_refusals_and_failures(self) -> None:
        for kind in (Refused, Failed):
            for code, status in (
                (Code.UNKNOWN, 404),
                (Code.EXISTS, 409),
                (Code.STATE, 409),
                (Code.RESOURCES, 409),
                (Code.RESOLVER, 422),
                (Code.INPUT, 400),
                (Code.TEMPORARY, 503),
                (Code.ENVIRONMENT, 503),
                (Code.INTERNAL, 500),
            ):
                self.assertEqual(status_of(kind("x", code)), status, code)

    def test_every_code_has_a_status(self) -> None:
        self.assertEqual(set(STATUS_BY_CODE), set(Code))


class AnswerTests(SynchronousTestCase):
    def headers(self, error: GanetiError) -> dict[str, str]:
        return dict(answer_to(error).headers)

    def test_it_describes_the_problem_and_the_status(self) -> None:
        answer = problem(HTTPStatus.CONFLICT, "node1 is offline")
        told = json.loads(bytes(answer.body))
        self.assertEqual((told["code"], told["message"]), (409, "node1 is offline"))
        self.assertEqual(told["explain"], HTTPStatus.CONFLICT.description)

    def test_without_a_message_it_has_that_of_the_status(self) -> None:
        told = json.loads(bytes(problem(HTTPStatus.NOT_FOUND, "").body))
        self.assertEqual(told["message"], "Not Found")

    def test_who_comes_back_is_told_when(self) -> None:
        for error in (QueueFull("x"), MasterNotRunning("x")):
            self.assertEqual(self.headers(error), {"Retry-After": "5"})
        later = HttpProblem(HTTPStatus.TOO_MANY_REQUESTS, "x", (("Retry-After", "9"),))
        self.assertEqual(self.headers(later), {"Retry-After": "9"})
        self.assertEqual(self.headers(Refused("x")), {})

    def test_a_browser_asks_for_a_password_and_a_script_does_not(self) -> None:
        error = Unauthenticated("log in")
        people = dict(answer_to_client(Headers(), error).headers)
        self.assertTrue(people["WWW-Authenticate"].startswith("Basic realm="))
        script = Headers({"X-Requested-With": ["XMLHttpRequest"]})
        told = dict(answer_to_client(script, error).headers)
        self.assertTrue(told["WWW-Authenticate"].startswith("Bearer realm="))

    def test_other_answers_are_the_same_for_scripts(self) -> None:
        script = Headers({"X-Requested-With": ["XMLHttpRequest"]})
        for error in (QueueFull("x"), Invalid("x")):
            self.assertEqual(answer_to_client(script, error).headers, answer_to(error).headers)
