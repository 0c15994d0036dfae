# SPDX-License-Identifier: BSD-2-Clause
"""A node daemon that freezes while calls to it are in flight holds up jobs for a bounded time."""

from __future__ import annotations

import signal

from ganeti.luxi.methods import CancelJob, Query, QueryJobs, SubmitJob
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.rpc.liveness import DETECTION_TIME, PROBE_INTERVAL
from tests.system.running import TIMEOUT, SharedCluster, eventually

BOUND = DETECTION_TIME + PROBE_INTERVAL + TIMEOUT
"""Seconds for the detection, and for what a busy machine does afterwards."""


class SilenceTests(SharedCluster):
    def setUp(self) -> None:
        super().setUp()
        self.node = self.running.cluster.node(3)

    def delay(self, seconds: float = 7200.0) -> Delay:
        """Work on node3 that holds its lock."""
        return Delay(duration=seconds, on_master=False, on_nodes=(self.node.name,), no_locks=False)

    def submit(self, opcode: Opcode) -> int:
        return self.running.ask(SubmitJob(ops=(opcode,)))

    def freeze(self) -> None:
        """Stop the node daemon of node3 by a signal."""
        self.signal(signal.SIGSTOP)
        self.addCleanup(self.signal, signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        process = self.running.daemon("noded", 3).process()
        assert process is not None
        process.send(number)

    def field(self, job: int, name: str) -> str:
        [row] = self.running.ask(QueryJobs(ids=(job,), fields=(name,)))
        assert row is not None
        return str(row[0])

    def status(self, job: int) -> str:
        return self.field(job, "status")

    def await_status(self, job: int, *wanted: str) -> None:
        eventually(lambda: self.status(job) in wanted, BOUND)

    def test_six_calls_in_flight_end_and_the_node_can_be_marked_offline(self) -> None:
        jobs = [self.submit(self.delay()) for _ in range(6)]
        for job in jobs:
            self.await_status(job, "running")
        self.freeze()
        marking = self.submit(ModifyNode(node_name=self.node.name, offline=True, force=True))
        self.await_status(marking, "success")
        for job in jobs:
            self.assertEqual(self.status(job), "error")
            self.assertIn("the node daemon does not answer", self.field(job, "opresult"))
        self.signal(signal.SIGCONT)
        self.running.perform(ModifyNode(node_name=self.node.name, offline=False, force=True))
        self.running.perform(self.delay(0.01))

    def test_a_job_that_waits_for_it_can_be_canceled(self) -> None:
        job = self.submit(self.delay())
        self.await_status(job, "running")
        self.freeze()
        self.assertTrue(self.running.ask(CancelJob(job_id=job))[0])
        self.await_status(job, "canceled", "error")
        self.assertEqual(self.status(job), "canceled")
        self.signal(signal.SIGCONT)
        self.running.perform(self.delay(0.01))

    def memory(self) -> object:
        """The memory of node3 as lists show it; None if it is not known."""
        query = Query(what="node", fields=("mtotal",), qfilter=["==", "name", self.node.name])
        return self.running.ask(query)["data"][0][0][1]

    def test_what_it_has_reported_is_shown_until_its_silence_is_found_out(self) -> None:
        eventually(lambda: self.memory() is not None)
        self.freeze()
        self.assertIsNotNone(self.memory())
        eventually(lambda: self.memory() is None, BOUND)
        self.signal(signal.SIGCONT)
        eventually(lambda: self.memory() is not None)
