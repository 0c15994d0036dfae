# SPDX-License-Identifier: BSD-2-Clause
"""The instances of fenced nodes start elsewhere, by jobs, and again if that fails."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.failover import begin_fence, confirm_off, set_policy
from ganeti.config.changes.nodes import set_role
from ganeti.config.state import ClusterState
from ganeti.errors import Unreachable
from ganeti.master.guest_failover.recovery import MAX_PAUSE, PAUSE, PRIORITY, Recovery
from ganeti.model.failover import FailoverPolicy, InstanceFailover, NodeFence
from ganeti.model.node import NodeRole
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.placement.failures import TOGETHER
from ganeti.rpc.node import DescribeNode
from ganeti.testing.builders import a_cluster, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import ScriptedNodes
from tests.master.guest_failover.case import NOW, MemoryQueue

NODES = ("node1", "node2", "node3")


def a_state(ranks: Mapping[str, int]) -> ClusterState:
    """Instances on node2 that are to fail over, by their ranks."""
    instances = [an_instance(name, node="node2") for name in ranks]
    state = a_cluster(nodes=NODES, instances=instances)
    for name, rank in ranks.items():
        uuid = uuid_of("instance", name)
        policy = InstanceFailover(uuid=uuid, policy=FailoverPolicy.FAILOVER, rank=rank)
        state = set_policy(policy)(state)
    return state


def fenced(state: ClusterState) -> ClusterState:
    """The state after an administrator has confirmed that node2 is off."""
    node = state.node("node2")
    return set_role(node, NodeRole.OFFLINE)(confirm_off(node, NOW)(state))


class RecoveryJobTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.queue = Clock(), MemoryQueue()
        self.nodes = ScriptedNodes({DescribeNode: some_facts()})
        self.state = fenced(a_state({"web1": 0, "web2": 5}))
        self.recovery = Recovery(
            lambda: self.state, self.nodes, self.queue, self.clock, lambda: NOW
        )

    def turn(self) -> list[str]:
        """The instances for which a turn has submitted jobs, in their order."""
        before = len(self.queue.submitted)
        self.successResultOf(self.recovery.turn())
        submitted = self.queue.submitted[before:]
        return [each.instance_name for each in submitted if isinstance(each, FailoverInstance)]

    def test_instances_of_a_fenced_node_start_elsewhere_by_rank(self) -> None:
        self.assertEqual(self.turn(), ["web2", "web1"])
        for each in self.queue.submitted:
            assert isinstance(each, FailoverInstance)
            self.assertIn(each.target_node, ("node1", "node3"))
            self.assertEqual(each.priority, PRIORITY)
            assert each.reason is not None
            self.assertEqual(each.reason[0][1], "node2 was fenced")

    def test_nothing_starts_before_the_fence_is_confirmed(self) -> None:
        fence = NodeFence(uuid=uuid_of("node", "node2"), since=NOW, reason="it is silent")
        self.state = begin_fence(fence, automatic=True)(a_state({"web1": 0}))
        self.assertEqual(self.turn(), [])

    def test_one_with_a_job_gets_no_other(self) -> None:
        self.turn()
        self.clock.advance(MAX_PAUSE)
        self.assertEqual(self.turn(), [])
        self.queue.end_all()
        self.assertEqual(self.turn(), ["web2", "web1"])

    def test_the_pause_between_attempts_grows(self) -> None:
        at: list[float] = []
        while len(at) < 8:
            if self.turn():
                at.append(self.clock.seconds())
                self.queue.end_all()
            self.clock.advance(PAUSE / 2)
        pauses = [after - before for before, after in itertools.pairwise(at)]
        self.assertEqual(pauses, [PAUSE * 2**n for n in range(5)] + [MAX_PAUSE] * 2)

    def test_a_node_that_comes_or_goes_is_reason_to_try_at_once(self) -> None:
        self.turn()
        self.queue.end_all()
        self.assertEqual(self.turn(), [])
        node3 = self.state.node("node3")
        self.state = set_role(node3, NodeRole.OFFLINE)(self.state)
        self.assertEqual(self.turn(), ["web2", "web1"])

    def test_a_node_of_which_nothing_is_known_is_no_target(self) -> None:
        self.nodes.answers[DescribeNode] = lambda name, _: (
            Unreachable(name, "connection refused") if name == "node3" else some_facts()
        )
        self.turn()
        targets = {
            each.target_node for each in self.queue.submitted if isinstance(each, FailoverInstance)
        }
        self.assertEqual(targets, {"node1"})

    def test_one_that_fits_nowhere_gets_no_job_and_is_tried_again(self) -> None:
        self.nodes.answers[DescribeNode] = some_facts(memory_free=0)
        self.assertEqual(self.turn(), [])
        self.nodes.answers[DescribeNode] = some_facts()
        self.assertEqual(self.turn(), [])
        self.clock.advance(PAUSE)
        self.assertEqual(self.turn(), ["web2", "web1"])

    def test_a_few_start_at_a_time_on_a_node(self) -> None:
        self.state = fenced(a_state({f"web{n}": 0 for n in range(10)}))
        self.nodes.answers[DescribeNode] = lambda name, _: some_facts(
            memory_free=16384 if name == "node3" else 0
        )
        self.turn()
        jobs = self.queue.jobs()
        waits = [list(job.ops[0].opcode.depends or ()) for job in jobs]
        self.assertEqual(waits[:TOGETHER], [[]] * TOGETHER)
        on = [[job for job, _ in each] for each in waits[TOGETHER:]]
        self.assertEqual(on, [[number] for number in range(1, len(jobs) - TOGETHER + 1)])

    def test_a_node_is_settled_when_each_of_its_instances_was_tried(self) -> None:
        node2 = self.state.node("node2")
        self.assertFalse(self.recovery.settled(node2))
        self.turn()
        self.assertFalse(self.recovery.settled(node2))
        self.queue.end_all()
        self.assertTrue(self.recovery.settled(node2))
