# SPDX-License-Identifier: BSD-2-Clause
"""What the master daemon does with requests before its term has begun."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.request_answers import defer_until_ready, without_changes
from ganeti.errors import Code, Refused


class Waiting:
    """A quorum that is ready when it is told to be."""

    def __init__(self) -> None:
        self.readied: Deferred[None] = Deferred()

    async def ready(self) -> None:
        await self.readied

    async def bounded(self, answer: Awaitable[Any]) -> Any:
        return await answer


async def first(*_: object) -> str:
    return "first"


async def second(*_: object) -> str:
    return "second"


def asked(answer: Awaitable[Any]) -> Deferred[Any]:
    async def result() -> Any:
        return await answer

    return Deferred.fromCoroutine(result())


class WhenReadyTests(SynchronousTestCase):
    def test_a_change_waits_and_is_made_by_the_master_of_that_time(self) -> None:
        quorum = Waiting()
        current = [{"SubmitJob": first}]
        answers = defer_until_ready(current, quorum)  # type: ignore[arg-type]  # what is used of it
        submitting = asked(answers["SubmitJob"](()))
        self.assertNoResult(submitting)
        current[0] = {"SubmitJob": second}
        quorum.readied.callback(None)
        self.assertEqual(self.successResultOf(submitting), "second")

    def test_a_question_does_not_wait(self) -> None:
        answers = defer_until_ready([{"QueryTags": first}], Waiting())  # type: ignore[arg-type]
        asking = asked(answers["QueryTags"]("cluster", None))
        self.assertEqual(self.successResultOf(asking), "first")


class StoppingTests(SynchronousTestCase):
    def test_a_master_that_stops_answers_queries_and_refuses_changes_for_now(self) -> None:
        answers = without_changes({"SubmitJob": first, "QueryTags": second})
        self.assertEqual(self.successResultOf(asked(answers["QueryTags"]("cluster"))), "second")
        refusal = self.failureResultOf(asked(answers["SubmitJob"](())), Refused).value
        self.assertIn("nothing was done; try again", str(refusal))
        self.assertEqual(refusal.code, Code.TEMPORARY)
