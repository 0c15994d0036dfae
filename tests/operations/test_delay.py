# SPDX-License-Identifier: BSD-2-Clause
"""Waiting, for tests: on the master and on nodes, several times, until the job is canceled."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, JobCanceled, Refused
from ganeti.locking.names import node_lock, request
from ganeti.opcodes.test import Delay
from ganeti.operations.delay import plan, run
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import DelayCall
from ganeti.testing.builders import a_cluster, uuid_of
from ganeti.testing.tools import MemoryTools

STATE = a_cluster(nodes=["node1", "node2"])
NODES: dict[str, Any] = {"on_nodes": ("node1", "node2")}


class PlanTests(SynchronousTestCase):
    def test_a_time_that_is_over_before_it_begins_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "-1 seconds is not valid; give 0 or more") as caught:
            plan(Delay(duration=-1.0), STATE, NodeAnswers())
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_nodes_are_locked_only_on_request(self) -> None:
        locks = request(shared=[node_lock(uuid_of("node", name)) for name in ("node1", "node2")])
        found = plan(Delay(duration=0.0, no_locks=False, **NODES), STATE, NodeAnswers())
        self.assertEqual(found.locks, locks)
        self.assertEqual(plan(Delay(duration=0.0, **NODES), STATE, NodeAnswers()).locks, {})

    def test_uuids_of_nodes_come_before_names(self) -> None:
        op = Delay(duration=0.0, on_nodes=("node1",), on_node_uuids=(uuid_of("node", "node2"),))
        self.assertEqual([node.name for node in plan(op, STATE, NodeAnswers()).nodes], ["node2"])

    def test_a_node_that_does_not_exist_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "node node9 does not exist"):
            plan(Delay(duration=0.0, on_nodes=("node9",)), STATE, NodeAnswers())


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory = MemoryTools(STATE)
        self.begun = self.memory.time.now

    def working(self, **fields: Any) -> Any:
        op = Delay(**{"duration": 2.5, **fields})
        return run(plan(op, STATE, NodeAnswers()), self.memory.tools)

    def passed(self, **fields: Any) -> float:
        """Return the seconds that a delay takes on the master."""
        self.successResultOf(self.working(**fields))
        return self.memory.time.now - self.begun

    def test_it_takes_as_long_as_it_says(self) -> None:
        self.assertAlmostEqual(self.passed(), 2.5)
        self.assertEqual((self.memory.nodes.asked, self.memory.progress.said), ([], []))

    def test_no_repetition_is_one_run_that_is_not_counted(self) -> None:
        self.assertAlmostEqual(self.passed(repeat=2), 5.0)
        self.assertEqual(self.memory.progress.said, ["delay 1 of 2", "delay 2 of 2"])

    def test_nodes_wait_themselves(self) -> None:
        self.assertEqual(self.passed(on_master=False, **NODES), 0.0)
        call = DelayCall(duration=2.5)
        self.assertEqual(self.memory.nodes.asked, [("node1", call), ("node2", call)])

    def test_a_node_that_fails_ends_it(self) -> None:
        def answer(node: str, call: DelayCall) -> Failed | None:
            return Failed("no") if node == "node2" else None

        self.memory.nodes.answers[DelayCall] = answer
        failure = self.failureResultOf(self.working(repeat=2, **NODES), Failed)
        self.assertEqual(str(failure.value), "no")
        self.assertEqual(self.memory.progress.said, ["delay 1 of 2"])

    def test_a_canceled_job_waits_no_longer_than_a_second(self) -> None:
        self.memory.progress.canceled = lambda: self.memory.time.now >= self.begun + 2.0
        self.failureResultOf(self.working(duration=100.0), JobCanceled)
        self.assertEqual(self.memory.time.now, self.begun + 2.0)
