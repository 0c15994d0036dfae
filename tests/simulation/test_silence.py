# SPDX-License-Identifier: BSD-2-Clause
"""A node whose daemon freezes while jobs wait for it holds up nothing for long."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.job import JobStatus
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.rpc.liveness import DETECTION_TIME, PROBE_INTERVAL
from ganeti.testing.cluster import SimulatedCluster

LONG = Delay(duration=7200.0, on_master=False, on_nodes=("node3",), no_locks=False)
MARKING = ModifyNode(node_name="node3", offline=True)


class SilenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(seed=1)
        # So that replication, which has time-outs of its own, does not wait for it.
        self.cluster.submit(ModifyNode(node_name="node3", master_candidate=False, force=True))
        self.cluster.finish_jobs()
        self.before = len(self.cluster.master.queue.jobs())

    def results(self) -> list[tuple[JobStatus, str]]:
        """What became of the jobs that the test has submitted."""
        jobs = self.cluster.master.queue.jobs()
        return [(job.status, str(job.ops[0].result)) for job in jobs[self.before :]]

    def statuses(self) -> list[JobStatus]:
        return [status for status, _ in self.results()]

    def begin(self, opcode: Opcode = LONG, times: int = 1) -> None:
        """Submit jobs, and freeze node3 when they wait for it."""
        for _ in range(times):
            self.cluster.submit(opcode)
        self.cluster.pass_time(5.0)
        self.assertEqual(self.statuses(), [JobStatus.RUNNING] * times)
        self.cluster.network.hang("node3")

    def cancel(self, number: int) -> None:
        Deferred.fromCoroutine(self.cluster.master.queue.cancel(self.before + number))
        self.cluster.pass_time(1.0)

    def test_the_jobs_end_and_then_it_is_marked_offline(self) -> None:
        self.begin(times=6)
        self.cluster.submit(MARKING)
        self.cluster.pass_time(DETECTION_TIME + PROBE_INTERVAL)
        *waited, (marked, _) = self.results()
        for status, result in waited:
            self.assertIs(status, JobStatus.ERROR)
            self.assertIn("the node daemon does not answer", result)
        self.assertIs(marked, JobStatus.SUCCESS)

    def test_jobs_without_locks_end_when_it_is_marked_offline(self) -> None:
        self.begin(Delay(duration=7200.0, on_master=False, on_nodes=("node3",)))
        self.cluster.submit(MARKING)
        self.cluster.pass_time(1.0)
        [(waited, result), (marked, _)] = self.results()
        self.assertEqual((waited, marked), (JobStatus.ERROR, JobStatus.SUCCESS))
        self.assertIn("it was marked offline", result)

    def test_a_job_that_waits_for_it_is_canceled_at_once(self) -> None:
        self.begin()
        self.cancel(1)
        self.assertEqual(self.statuses(), [JobStatus.CANCELED])

    def test_marking_it_offline_is_canceled_at_once(self) -> None:
        self.begin()
        self.cluster.submit(MARKING)
        self.cluster.pass_time(1.0)
        self.cancel(2)
        self.assertEqual(self.statuses(), [JobStatus.RUNNING, JobStatus.CANCELED])
        self.cancel(1)

    def test_work_of_hours_is_not_cut_off_while_it_answers(self) -> None:
        self.cluster.submit(LONG)
        self.cluster.pass_time(LONG.duration - 1)
        self.assertEqual(self.statuses(), [JobStatus.RUNNING])
        self.cluster.finish_jobs()
        self.assertEqual(self.statuses(), [JobStatus.SUCCESS])
