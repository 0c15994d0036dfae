# SPDX-License-Identifier: BSD-2-Clause
"""The methods of the job queue answer what clients of the protocol expect."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Invalid, JobLost, QueueDrained, Refused
from ganeti.master.answers import NO_CHANGE, JobAnswers
from ganeti.opcodes.test import Delay
from ganeti.testing.cluster import SimulatedCluster
from tests.jobs.rig import Rig, an_opcode


class JobAnswersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig()
        self.rig.max_running = 0
        self.answers = JobAnswers(self.rig.queue)

    def wait(self, job: int, *fields: str, previous: object = None) -> Deferred[Any]:
        answer = self.answers.wait(job, fields, previous, None, 10.0)
        return Deferred.fromCoroutine(answer)

    def test_a_job_is_answered_with_its_number(self) -> None:
        self.assertEqual(self.successResultOf(self.answers.submit([an_opcode()])), 1)

    def test_of_several_jobs_each_is_answered(self) -> None:
        answering = Deferred.fromCoroutine(self.answers.submit_many([[an_opcode()], []]))
        self.rig.settle()
        good, bad = self.successResultOf(answering)
        self.assertEqual((good, bad[0]), ((True, 1), False))
        self.assertIn("at least one opcode", str(bad[1]))

    def test_a_drained_queue_takes_only_the_jobs_that_are_meant_for_it(self) -> None:
        self.assertIs(self.successResultOf(self.answers.set_drained(True)), True)
        self.failureResultOf(self.answers.submit([an_opcode()]), QueueDrained)
        answer = self.answers.submit_even_if_drained([an_opcode()])
        self.assertEqual(self.successResultOf(answer), 1)

    def test_a_cancel_says_whether_it_was_possible_and_why(self) -> None:
        job = self.rig.submit("")
        for kill in (None, False):
            possible, said = self.successResultOf(self.answers.cancel(job, kill))
            self.assertIn(str(job), said)
            self.assertEqual(possible, kill is None)  # it has ended by then

    def test_several_jobs_are_canceled_at_once(self) -> None:
        jobs = [self.rig.submit(""), self.rig.submit("")]
        answering = Deferred.fromCoroutine(self.answers.cancel_many([*jobs, 99]))
        self.rig.settle()
        self.assertEqual([each[0] for each in self.successResultOf(answering)], [True, True, False])

    def test_a_first_wait_is_answered_at_once(self) -> None:
        job = self.rig.submit("")
        values, entries = self.successResultOf(self.wait(job, "status", "summary"))
        self.assertEqual((values, list(entries)), (["queued", ["TEST_DELAY(0.0)"]], []))

    def test_the_values_that_a_client_sends_back_compare_equal(self) -> None:
        job = self.rig.submit("")
        values, _ = self.successResultOf(self.wait(job, "id", "ops", "received_ts"))
        waiting = self.wait(job, "id", "ops", "received_ts", previous=values)
        self.assertNoResult(waiting)
        self.rig.clock.advance(10)
        self.assertEqual(self.successResultOf(waiting), NO_CHANGE)

    def test_a_change_ends_the_wait(self) -> None:
        job = self.rig.submit("")
        waiting = self.wait(job, "status", previous=["queued"])
        self.successResultOf(self.answers.cancel(job))
        self.rig.settle()
        self.assertEqual(self.successResultOf(waiting)[0], ["canceled"])

    def test_unknown_fields_and_jobs_are_refused(self) -> None:
        job = self.rig.submit("")
        failure = self.failureResultOf(self.wait(job, "colour"), Invalid, Refused)
        self.assertIn("colour", str(failure.value))
        self.failureResultOf(self.wait(99, "status"), JobLost)


class TableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.answers = self.cluster.master.answers()

    def test_a_method_that_is_internal_names_the_one_to_use(self) -> None:
        answering: Any = self.answers["PickupJob"](7)
        with self.assertRaisesRegex(GanetiError, "submit jobs with SubmitJob"):
            self.cluster.wait(answering)

    def test_each_opcode_of_a_plan_is_explained(self) -> None:
        answering: Any = self.answers["PlanJob"]([Delay(duration=1.0), Delay(duration=2.0)])
        told: Any = self.cluster.wait(answering)
        self.assertEqual([each.summary for each in told], ["TEST_DELAY(1.0)", "TEST_DELAY(2.0)"])
