# SPDX-License-Identifier: BSD-2-Clause
"""Requests between simulated hosts meet pauses, deaths and closed connections in any order."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.node_client import TransportError
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.wire import encode_request
from ganeti.testing.builders import a_node
from ganeti.testing.clocks import HostClock, ProcessClock
from ganeti.testing.links import Links
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.wire import Switch, Wire


class WireTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.working: list[Deferred[Version]] = []
        answers = CallHandlers(lambda: 0)
        answers.to(AskVersion, self.version)
        self.nodes = MemoryNodes({"b": answers}, clock=self.clock)
        self.links = Links(self.clock, Random(1), lambda: 0.01)
        self.switch = Switch(self.nodes, self.links, Random(1))
        self.daemon = self.switch.daemons["b"] = ProcessClock(HostClock(self.clock))
        self.caller = ProcessClock(HostClock(self.clock))
        self.wire = Wire(self.switch, "a", self.caller)

    async def version(self, _: AskVersion) -> Version:
        self.working.append(Deferred())
        return await self.working[-1]

    def ask(self) -> Deferred[bytes]:
        asking = self.wire.exchange(a_node("b"), encode_request(AskVersion(), 0))
        return Deferred.fromCoroutine(asking)

    def finish(self) -> None:
        self.working[-1].callback(Version(protocol=1, release="1"))

    def test_a_request_travels_is_worked_on_and_the_answer_travels(self) -> None:
        asking = self.ask()
        self.clock.advance(0.01)
        self.finish()
        self.assertNoResult(asking)
        self.clock.advance(0.01)
        self.assertIn(b"release", self.successResultOf(asking))

    def test_the_answer_of_a_one_way_partition_does_not_come_although_the_work_is_done(
        self,
    ) -> None:
        asking = self.ask()
        self.links.cut_link("b", "a")
        self.clock.advance(0.01)
        self.finish()
        self.clock.advance(60.0)
        self.assertNoResult(asking)

    def test_a_paused_daemon_reads_what_is_in_its_buffer_when_it_goes_on(self) -> None:
        self.daemon.pause()
        asking = self.ask()
        self.clock.pump([0.01, 60.0])
        self.assertEqual(self.working, [])
        self.daemon.resume()
        self.clock.advance(0.0)
        self.finish()
        self.clock.advance(0.01)
        self.assertIn(b"release", self.successResultOf(asking))

    def test_a_paused_daemon_may_do_what_nobody_waits_for_any_more(self) -> None:
        for _ in range(20):
            self.daemon.pause()
            asking = self.ask()
            self.clock.advance(0.01)
            asking.cancel()
            self.failureResultOf(asking, CancelledError)
            self.daemon.resume()
            self.clock.advance(0.01)
        self.assertGreater(len(self.working), 0)
        self.assertLess(len(self.working), 20)

    def test_a_daemon_that_dies_closes_its_connections_and_its_work_ends_nowhere(self) -> None:
        asking = self.ask()
        self.clock.advance(0.01)
        self.daemon.die()
        self.daemon.keep_referenced(self.nodes.crash("b"))
        self.clock.advance(0.01)
        self.failureResultOf(asking, TransportError)
        self.assertFalse(self.working[-1].called)

    def test_a_paused_caller_hears_the_answer_when_it_goes_on(self) -> None:
        asking = self.ask()
        self.clock.advance(0.01)
        self.caller.pause()
        self.finish()
        self.clock.advance(0.01)
        self.assertNoResult(asking)
        self.caller.resume()
        self.clock.advance(0.0)
        self.assertIn(b"release", self.successResultOf(asking))

    def test_a_caller_that_died_hears_nothing(self) -> None:
        late = self.ask()
        self.clock.advance(0.01)
        self.caller.die()
        self.finish()
        self.clock.advance(1.0)
        self.assertNoResult(late)
