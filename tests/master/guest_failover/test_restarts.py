# SPDX-License-Identifier: BSD-2-Clause
"""Guests that have stopped by themselves are restarted on their nodes, a few times."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.failover import set_policy
from ganeti.config.state import ClusterState
from ganeti.errors import Unreachable
from ganeti.master.guest_failover.restarts import (
    ANSWER_TIMEOUT,
    ATTEMPTS,
    INTERVAL,
    MISSED,
    PERIOD,
    Restarts,
)
from ganeti.model.failover import FailoverPolicy, InstanceFailover
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.rpc.call import Call
from ganeti.rpc.instances import ListGuests
from ganeti.testing.builders import a_cluster, an_instance, uuid_of
from ganeti.testing.tools import ScriptedNodes
from tests.master.guest_failover.case import NOW, MemoryQueue

R = TypeVar("R")


def a_state(
    policy: FailoverPolicy = FailoverPolicy.RESTART, *, wanted: AdminState = AdminState.UP
) -> ClusterState:
    """Web2 on node2 with a policy, and web3 there without one."""
    instances = [an_instance("web2", node="node2", admin_state=wanted)]
    instances.append(an_instance("web3", node="node2"))
    state = a_cluster(nodes=["node1", "node2"], instances=instances)
    return set_policy(InstanceFailover(uuid=uuid_of("instance", "web2"), policy=policy))(state)


class RestartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.queue, self.locked = Clock(), MemoryQueue(), False
        self.nodes, self.state = ScriptedNodes({ListGuests: {}}), a_state()
        self.restarts = Restarts(
            lambda: self.state,
            self.nodes,
            self.queue,
            lambda _: self.locked,
            self.clock,
            lambda: NOW,
        )

    def look(self, times: int = 1) -> list[str]:
        """The instances for whose start there were jobs, after so many looks."""
        before = len(self.queue.submitted)
        for _ in range(times):
            self.successResultOf(self.restarts.look())
            self.clock.advance(INTERVAL)
        started = self.queue.submitted[before:]
        return [each.instance_name for each in started if isinstance(each, StartInstance)]

    def runs(self, *names: str) -> None:
        running = {name: GuestState(name=name, memory=128, vcpus=1) for name in names}
        self.nodes.answers[ListGuests] = running

    def test_one_that_is_missing_twice_is_restarted_on_its_node(self) -> None:
        self.assertEqual(self.look(MISSED - 1), [])
        self.assertEqual(self.look(), ["web2"])
        [start] = self.queue.submitted
        assert start.reason is not None
        self.assertEqual(start.reason[0][1], "its guest had stopped")

    def test_one_that_is_back_meanwhile_is_not(self) -> None:
        self.look(MISSED - 1)
        self.runs("web2")
        self.look()
        self.runs()
        self.assertEqual(self.look(MISSED - 1), [])

    def test_one_that_a_job_works_on_is_not(self) -> None:
        self.locked = True
        self.assertEqual(self.look(5), [])

    def test_one_without_a_policy_and_one_that_is_to_be_down_are_not(self) -> None:
        for state in (a_state(FailoverPolicy.OFF), a_state(wanted=AdminState.DOWN)):
            self.state = state
            self.assertEqual(self.look(5), [])
        self.assertEqual(self.nodes.asked, [])

    def test_only_guests_with_a_policy_are_asked_for(self) -> None:
        self.look()
        [(node, call)] = self.nodes.asked
        assert isinstance(call, ListGuests)
        self.assertEqual((node, call.only), ("node2", ("web2",)))

    def test_a_node_that_is_silent_says_nothing_about_its_guests(self) -> None:
        self.nodes.answers[ListGuests] = Unreachable("node2", "connection refused")
        self.assertEqual(self.look(5), [])

    def test_one_that_does_not_stay_up_is_given_up_for_a_while(self) -> None:
        self.assertEqual(self.look(ATTEMPTS * MISSED), ["web2"] * ATTEMPTS)
        self.assertEqual(self.look(10), [])
        self.clock.advance(PERIOD)
        self.assertEqual(self.look(), ["web2"])

    def test_one_whose_policy_was_removed_starts_over_with_the_next(self) -> None:
        self.look(ATTEMPTS * MISSED)
        self.state = a_state(FailoverPolicy.OFF)
        self.look()
        self.state = a_state()
        self.assertEqual(self.look(MISSED), ["web2"])

    def test_a_node_that_does_not_answer_is_not_waited_for(self) -> None:
        silent = SilentNodes()
        restarts = Restarts(
            lambda: self.state, silent, self.queue, lambda _: False, self.clock, lambda: NOW
        )
        looking = Deferred.fromCoroutine(restarts.look())
        self.assertNoResult(looking)
        self.clock.advance(ANSWER_TIMEOUT)
        self.successResultOf(looking)
        self.assertEqual((silent.canceled, self.clock.getDelayedCalls()), (1, []))


class SilentNodes(ScriptedNodes):
    """Nodes that accept calls and never answer; ``canceled`` counts the calls that were."""

    canceled = 0

    async def ask(self, node: Node, call: Call[R]) -> R:
        waiting: Deferred[R] = Deferred()
        try:
            return await waiting
        except CancelledError:
            self.canceled += 1
            raise
