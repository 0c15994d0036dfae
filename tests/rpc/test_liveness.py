# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Unreachable
from ganeti.rpc.liveness import (
    DETECTION_TIME,
    MAX_FAILED_PROBES,
    PROBE_DELAY,
    RECHECK_INTERVAL,
    RECHECK_TIMEOUT,
    ProbedTransport,
)
from ganeti.rpc.node import AskVersion, DelayCall, Version
from ganeti.rpc.node_client import NodeClient, TransportError
from ganeti.rpc.replicas import DescribeReplica
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.wire import CallRequest
from ganeti.testing.builders import a_node
from ganeti.testing.nodes import MemoryNodes

NODE = a_node("node1")
LONG = DelayCall(duration=7200.0)
SILENT = "the node daemon does not answer (no answer to a probe within"


class LivenessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        answers = CallHandlers(lambda: 0)
        answers.to(AskVersion, self.version)
        answers.to(DelayCall, self.delay)
        self.network = MemoryNodes({"node1": answers}, clock=self.clock)
        self.way = ProbedTransport(self.network, self.clock)
        self.nodes = NodeClient(self.way, self.clock, term=lambda: 0, master="node2")
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=1, release="3.0")

    async def delay(self, call: DelayCall) -> None:
        await deferLater(self.clock, call.duration)

    def ask(self, call: Any = LONG) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.nodes.ask(NODE, call))

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.5] * round(2 * seconds))

    def why(self, asking: Deferred[Any]) -> str:
        return str(self.failureResultOf(asking, Unreachable).value)

    def probes(self) -> int:
        return self.network.asked.count(("node1", "version"))

    def freeze(self) -> None:
        """Let the daemon freeze while a call is in flight, and be found silent."""
        self.network.hang("node1")
        asking = self.ask()
        self.pass_time(DETECTION_TIME)
        self.why(asking)
        self.network.asked.clear()

    def test_a_call_to_a_frozen_daemon_ends_when_probes_fail(self) -> None:
        self.network.hang("node1")
        asking = self.ask()
        self.pass_time(DETECTION_TIME - 1)
        self.assertNoResult(asking)
        self.pass_time(1)
        self.assertIn(SILENT, self.why(asking))

    def test_many_calls_to_a_frozen_daemon_share_the_probes(self) -> None:
        self.network.hang("node1")
        asking = [self.ask() for _ in range(6)]
        self.pass_time(DETECTION_TIME)
        for each in asking:
            self.assertIn(SILENT, self.why(each))
        self.assertEqual(self.probes(), MAX_FAILED_PROBES)

    def test_a_daemon_that_freezes_later_is_found_silent_too(self) -> None:
        asking = self.ask()
        self.pass_time(600)
        self.network.hang("node1")
        self.pass_time(2 * DETECTION_TIME)
        self.assertIn(SILENT, self.why(asking))

    def test_a_node_that_is_gone_is_found_silent_too(self) -> None:
        asking = self.ask()
        self.network.vanish("node1")
        self.pass_time(DETECTION_TIME)
        self.assertIn("the node daemon does not answer (connection refused)", self.why(asking))

    def test_work_may_take_its_time_while_the_daemon_answers_probes(self) -> None:
        asking = self.ask()
        self.pass_time(LONG.duration - 1)
        self.assertNoResult(asking)
        self.pass_time(1)
        self.assertIsNone(self.successResultOf(asking))

    def test_probes_that_fail_now_and_then_end_nothing(self) -> None:
        numbers = count(1)

        async def mostly_lost(_: CallRequest, answer: Callable[[], Awaitable[bytes]]) -> bytes:
            if next(numbers) % MAX_FAILED_PROBES:
                raise TransportError("the connection was lost")
            return await answer()

        asking = self.ask()
        self.network.misbehave("node1", mostly_lost)
        self.pass_time(LONG.duration)
        self.assertIsNone(self.successResultOf(asking))
        self.assertGreater(self.probes(), 3 * MAX_FAILED_PROBES)

    def test_probes_that_failed_for_an_earlier_call_do_not_count(self) -> None:
        self.network.hang("node1")
        earlier = self.ask()
        self.pass_time(DETECTION_TIME - 1)
        earlier.cancel()
        self.failureResultOf(earlier)
        later = self.ask()
        self.pass_time(DETECTION_TIME - 1)
        self.assertNoResult(later)
        later.cancel()
        self.failureResultOf(later)

    def test_a_short_call_is_answered_without_a_probe(self) -> None:
        asking = self.ask(DelayCall(duration=PROBE_DELAY - 1))
        self.pass_time(PROBE_DELAY - 1)
        self.successResultOf(asking)
        self.assertEqual(self.probes(), 0)

    def test_answers_to_other_calls_are_signs_of_life(self) -> None:
        asking = self.ask()
        for _ in range(20):
            other = self.ask(DelayCall(duration=PROBE_DELAY - 1))
            self.pass_time(PROBE_DELAY - 1)
            self.successResultOf(other)
        self.assertEqual(self.probes(), 0)
        asking.cancel()
        self.failureResultOf(asking)

    def test_a_daemon_that_does_not_know_the_probe_is_alive(self) -> None:
        answers = CallHandlers(lambda: 0)
        answers.to(DelayCall, self.delay)
        self.network.add_node("node1", answers)
        asking = self.ask()
        self.pass_time(LONG.duration)
        self.assertIsNone(self.successResultOf(asking))

    def test_a_new_call_to_a_silent_daemon_fails_fast(self) -> None:
        self.freeze()
        self.pass_time(60)
        asking = [self.ask() for _ in range(6)]
        self.pass_time(RECHECK_TIMEOUT)
        for each in asking:
            self.assertIn(SILENT, self.why(each))
        self.assertEqual(self.network.asked, [("node1", "version")])

    def test_the_calls_of_an_undo_on_a_silent_node_fail_at_once(self) -> None:
        self.freeze()
        for _ in range(6):
            self.why(self.ask())
        self.assertEqual(self.network.asked, [])

    def test_a_daemon_that_is_back_answers_the_next_call(self) -> None:
        self.freeze()
        self.network.behave("node1")
        self.pass_time(RECHECK_INTERVAL)
        self.assertEqual(self.successResultOf(self.ask(AskVersion())).release, "3.0")
        self.successResultOf(self.ask(AskVersion()))
        self.assertEqual(self.probes(), 3)  # one before the first call

    def test_who_gives_up_waiting_for_a_silent_daemon_does_so_alone(self) -> None:
        self.freeze()
        self.pass_time(60)
        one, two = self.ask(), self.ask()
        one.cancel()
        self.failureResultOf(one)
        self.assertNoResult(two)
        self.pass_time(RECHECK_TIMEOUT)
        self.assertIn(SILENT, self.why(two))

    def test_calls_end_when_the_node_is_given_up(self) -> None:
        asking = [self.ask() for _ in range(6)]
        self.way.give_up(NODE.uuid, "it was marked offline")
        self.assertNoResult(asking[0])
        self.clock.advance(0)
        for each in asking:
            self.assertEqual(self.why(each), "node node1 is unreachable: it was marked offline")

    def test_a_node_that_was_given_up_can_be_asked_again(self) -> None:
        self.freeze()
        self.way.give_up(NODE.uuid, "it was marked offline")
        self.network.behave("node1")
        later = self.ask(DelayCall(duration=1.0))
        self.pass_time(1)
        self.assertIsNone(self.successResultOf(later))

    def test_replication_is_not_probed(self) -> None:
        self.network.hang("node1")
        asking = self.ask(DescribeReplica())
        self.pass_time(DETECTION_TIME)
        self.assertIn("no answer to journal_end within", self.why(asking))
        self.assertEqual(self.probes(), 0)
