# SPDX-License-Identifier: BSD-2-Clause
"""Who asks what others ask shares their job, and never sees less than a job of its own says."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, QueueFull
from ganeti.master.shared_jobs import MAX_RESULT_AGE, SharedJobs
from ganeti.opcodes.instance.lifecycle import DescribeInstances, RemoveInstance
from ganeti.opcodes.opcode import Opcode
from tests.jobs.rig import Rig


def info(name: str = "web1", *, why: str = "") -> list[Opcode]:
    return [DescribeInstances(instances=(name,), reason=(("gnt:user", why, 1),))]


class SharedJobsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig()
        self.shared = SharedJobs(self.rig.queue, self.rig.store)

    def submit(self, ops: list[Opcode] | None = None) -> int:
        return int(self.successResultOf(self.shared.submit(ops or info())))

    def test_the_same_question_is_one_job_whatever_the_reason(self) -> None:
        self.assertEqual([self.submit(info(why=each)) for each in "abc"], [1, 1, 1])
        self.assertEqual(self.submit(info("web2")), 2)

    def test_one_that_has_just_ended_answers_for_a_moment(self) -> None:
        self.submit()
        self.rig.settle()
        self.assertEqual(self.submit(), 1)
        self.rig.clock.advance(MAX_RESULT_AGE + 1)
        self.assertEqual(self.submit(), 2)

    def test_what_has_changed_since_is_seen(self) -> None:
        self.submit()
        self.rig.settle()
        self.rig.submit()
        self.rig.settle()
        self.assertEqual(self.submit(), 3)
        self.shared.config_changed()
        self.assertEqual(self.submit(), 3)  # it has not begun
        self.rig.settle()
        self.assertEqual(self.submit(), 4)

    def test_a_job_that_was_canceled_or_archived_is_not_shared(self) -> None:
        self.successResultOf(self.rig.queue.cancel(self.submit()))
        self.assertEqual(self.submit(), 2)
        self.rig.settle()
        self.successResultOf(self.rig.queue.archive(2))
        self.assertEqual(self.submit(), 3)

    def test_who_asks_while_a_job_is_made_waits_for_its_number(self) -> None:
        self.rig.journal.waits = True
        asked = [Deferred.fromCoroutine(self.shared.submit(info())) for _ in range(3)]
        self.assertNoResult(asked[0])
        self.rig.journal.sync()
        self.assertEqual([self.successResultOf(each) for each in asked], [1, 1, 1])

    def test_what_does_more_than_read_is_refused(self) -> None:
        remove = RemoveInstance(instance_name="web1", shutdown_timeout=1)
        self.failureResultOf(self.shared.submit([remove]), Invalid)

    def test_there_are_only_so_many_in_the_queue(self) -> None:
        self.shared = SharedJobs(self.rig.queue, self.rig.store, max_live=2, max_ended=3)
        self.submit(info("a"))
        self.submit(info("b"))
        self.failureResultOf(self.shared.submit(info("c")), QueueFull)
        for number in range(20):
            self.rig.settle()
            self.submit(info(f"web{number}"))
        self.assertEqual(len(self.rig.queue.jobs()), 4)
        self.assertIsNotNone(self.rig.queue.archived(1))
