# SPDX-License-Identifier: BSD-2-Clause
"""The guests of a host that reports that it stops are migrated by one job."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed, Failed
from ganeti.master.host_shutdowns import ATTEMPTS, RETRY_INTERVAL, HostShutdowns
from ganeti.opcodes.node import MigrateNode
from ganeti.opcodes.opcode import Opcode
from ganeti.rpc.node import NodeInfo
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, uuid_of

RUNS = NodeInfo(
    memory_total=1,
    memory_free=1,
    memory_node=0,
    cpus=1,
    cpu_nodes=1,
    cpu_sockets=1,
    cpus_node=1,
    boot_id="b00t",
    guests={},
    storage=(),
    problems={},
)
STOPS = replace(RUNS, host_stops=True)
NODE2 = uuid_of("node", "node2")


class HostShutdownTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.jobs, self.refusals = Clock(), list[Opcode](), 0
        self.shutdowns = HostShutdowns(
            lambda: a_cluster(nodes=["node1", "node2"]), self.submit, self.clock, lambda: 1e6
        )

    async def submit(self, opcodes: Sequence[Opcode]) -> int:
        if self.refusals:
            self.refusals -= 1
            raise CommitFailed("the disk is full")
        self.jobs += opcodes
        return len(self.jobs)

    def reported(self, *answers: NodeInfo | Failed) -> list[str]:
        for answer in answers:
            self.shutdowns.node_answered(NODE2, answer)
        return [job.node_name for job in self.jobs if isinstance(job, MigrateNode)]

    def test_the_first_report_counts(self) -> None:
        self.assertEqual(self.reported(RUNS, Failed("no answer")), [])
        self.assertEqual(self.reported(STOPS, STOPS, Failed("no answer"), STOPS), ["node2"])
        reason = ("ganeti:host-shutdown", "its host is shut down", 10**15)
        self.assertEqual(self.jobs[0].reason, (reason,))

    def test_a_host_that_runs_again_may_stop_again(self) -> None:
        self.assertEqual(self.reported(STOPS, RUNS, STOPS), ["node2", "node2"])

    def test_a_job_that_is_not_accepted_is_submitted_again(self) -> None:
        self.refusals = 2
        self.assertEqual(self.reported(STOPS), [])
        self.clock.pump([RETRY_INTERVAL] * 2)
        self.assertEqual(self.reported(STOPS), ["node2"])

    def test_it_is_not_tried_for_ever_nor_when_the_host_goes_on(self) -> None:
        self.refusals = ATTEMPTS
        self.reported(STOPS)
        self.clock.pump([RETRY_INTERVAL] * (ATTEMPTS + 2))
        self.assertEqual((self.refusals, self.jobs), (0, []))
        self.refusals = 1
        self.reported(RUNS, STOPS, RUNS)
        self.clock.pump([RETRY_INTERVAL] * 2)
        self.assertEqual(self.jobs, [])
