# SPDX-License-Identifier: BSD-2-Clause
"""Jobs of another cluster are followed over its remote API, also while it is away for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.client import GanetiApiError
from ganeti.rapi.following import FIELDS, TRIES, JobFailed, RemoteCluster

AWAY = GanetiApiError("connection refused")
BUSY = GanetiApiError("the master daemon is not running", 503)
LOST = GanetiApiError("job 7 does not exist", 404)


def change(status: str, result: Any = None, *messages: tuple[int, str, Any]) -> dict[str, Any]:
    log = [[serial, [5, 0], kind, text] for serial, kind, text in messages]
    return {"job_info": [status, [result]], "log_entries": log or None}


class MemoryClient:
    """Answers in turn what a test has put in; ``asked`` is what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []

    def WaitForJobChange(self, *arguments: Any) -> Any:
        return self._answer("wait", *arguments)

    def CancelJob(self, job: int) -> Any:
        return self._answer("cancel", job)

    def _answer(self, *asked: Any) -> Any:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FollowCase(SynchronousTestCase):
    def cluster(self, *answers: Any) -> RemoteCluster:
        client: Any = MemoryClient(*answers)
        self.client: MemoryClient = client
        self.said: list[str] = []
        self.slept: list[float] = []
        return RemoteCluster(client, "old", self.said.append, self.slept.append)


class AskTests(FollowCase):
    def question(self, *answers: Any) -> Callable[[], Any]:
        left = list(answers)

        def ask() -> Any:
            answer = left.pop(0) if left[1:] else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    def test_a_cluster_that_is_away_is_asked_again_and_that_is_told_once(self) -> None:
        found = self.cluster().asked(self.question(AWAY, BUSY, 7))
        self.assertEqual((found, self.slept), (7, [1.0, 1.0]))
        self.assertEqual(self.said, ["old does not answer; retrying: connection refused"])

    def test_one_that_stays_away_is_given_up(self) -> None:
        with self.assertRaisesRegex(GanetiApiError, "connection refused"):
            self.cluster().asked(self.question(AWAY))
        self.assertEqual(len(self.slept), TRIES - 1)

    def test_an_answer_of_the_master_is_final(self) -> None:
        for code in (400, 401, 403, 404, 409, 500):
            with self.assertRaises(GanetiApiError):
                self.cluster().asked(self.question(GanetiApiError("no", code), 7))
            self.assertEqual(self.slept, [])


class ResultTests(FollowCase):
    def result(self, *answers: Any) -> Any:
        return self.cluster(*answers).job(7).wait_for_result()

    def test_it_is_that_of_the_opcode_and_messages_are_shown(self) -> None:
        found = self.result(
            change("running", None, (1, "message", "one"), (2, "message", "two")),
            change("success", {"a": 1}, (3, "message", "three")),
        )
        self.assertEqual(found, {"a": 1})
        self.assertEqual(self.said, ["old: one", "old: two", "old: three"])

    def test_only_news_are_asked_for(self) -> None:
        self.result(change("running", None, (4, "message", "x")), None, change("success"))
        known = ["running", [None]]
        wanted = [
            ("wait", 7, FIELDS, None, None),
            ("wait", 7, FIELDS, known, 4),
            ("wait", 7, FIELDS, known, 4),
        ]
        self.assertEqual(self.client.asked, wanted)

    def test_a_failure_has_the_reason_of_the_opcode(self) -> None:
        for result, why in (
            (["OpExecError", ["no memory", "x"]], "no memory"),
            ("odd", "odd"),
            (None, "None"),
        ):
            with self.assertRaisesRegex(JobFailed, f"^job 7 of old failed: {why}$"):
                self.result(change("error", result))

    def test_a_canceled_job_has_failed(self) -> None:
        with self.assertRaises(JobFailed):
            self.result(change("canceled"))

    def test_a_job_that_is_lost_is_no_job_that_failed(self) -> None:
        with self.assertRaisesRegex(GanetiApiError, "does not exist"):
            self.result(LOST)


class MessageTests(FollowCase):
    def test_the_one_that_is_waited_for_is_returned_and_the_others_are_shown(self) -> None:
        job = self.cluster(
            change("running", None, (1, "message", "one")),
            change("running", None, (2, "target", {"port": 1}), (3, "message", "two")),
        ).job(7)
        self.assertEqual(job.wait_for_message("target"), {"port": 1})
        self.assertEqual(self.said, ["old: one", "old: two"])

    def test_a_job_that_ends_without_one_has_failed(self) -> None:
        job = self.cluster(change("error", ["OpExecError", ["no luck"]])).job(7)
        with self.assertRaisesRegex(JobFailed, "no luck"):
            job.wait_for_message("target")

    def test_after_it_the_job_can_be_waited_for(self) -> None:
        job = self.cluster(
            change("running", None, (1, "target", "x")), change("success", "done")
        ).job(7)
        job.wait_for_message("target")
        self.assertEqual(job.wait_for_result(), "done")


class CancelTests(FollowCase):
    def test_a_canceled_job_is_waited_for(self) -> None:
        self.cluster([True, ""], change("canceled")).job(7).cancel_job()
        self.assertEqual([each[0] for each in self.client.asked], ["cancel", "wait"])
        self.assertEqual(self.said, ["old: job 7 of old failed: None"])

    def test_an_ended_one_is_left_alone(self) -> None:
        job = self.cluster(change("success")).job(7)
        job.wait_for_result()
        job.cancel_job()
        self.assertEqual(len(self.client.asked), 1)

    def test_errors_are_only_told(self) -> None:
        self.cluster(LOST).job(7).cancel_job()
        self.assertEqual(self.said, ["old: job 7 does not exist"])
