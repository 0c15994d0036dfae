# SPDX-License-Identifier: BSD-2-Clause
"""The client for daemons keeps connections, bounds them, and outlives a restart of the master."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.async_client import MAX_CONNECTIONS, MasterClient
from ganeti.luxi.methods import ArchiveJob, QueryTags, Request, WaitForJobChange
from ganeti.luxi.socket_connector import SocketConnector
from ganeti.luxi.unreachable import ConnectionLost, MasterNotRunning, TimedOut

TAGS = QueryTags(kind="cluster")
WAIT = WaitForJobChange(job_id=1, fields=("status",))
ANSWER = b'{"success": true, "result": ["a"]}\x03'


class Wire(StringTransport):
    """A transport that knows whether it was cut."""

    def hang_up(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    protocol: Protocol


class MasterClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.client = MasterClient(SocketConnector(self.reactor, "/run/master"), self.clock)

    def ask(self, request: Request[Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.client.ask(request))

    def connect(self) -> None:
        """Let every connection that is being made succeed."""
        for _, factory, *_ in self.reactor.unixClients[len(self.wires) :]:
            wire = Wire()
            self.wires.append(wire)
            wire.protocol = factory.buildProtocol(None)
            wire.protocol.makeConnection(wire)

    def test_a_connection_is_used_again(self) -> None:
        for _ in range(3):
            asked = self.ask(TAGS)
            self.connect()
            self.wires[0].protocol.dataReceived(ANSWER)
            self.assertEqual(self.successResultOf(asked), ["a"])
        self.assertEqual(len(self.wires), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_descriptor_for_a_connection_is_a_reason_and_no_accident(self) -> None:
        def connect(*_: object, **__: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        self.reactor.connectUNIX = connect  # type: ignore[method-assign]  # as a host would
        error = self.failureResultOf(self.ask(TAGS), MasterNotRunning).value
        self.assertRegex(str(error), "unreachable at /run/master: .*Too many open files")
        del self.reactor.connectUNIX
        asked = self.ask(TAGS)
        self.connect()
        self.wires[0].protocol.dataReceived(ANSWER)
        self.assertEqual(self.successResultOf(asked), ["a"])

    def test_a_wait_holds_nobody_up(self) -> None:
        waits = [self.ask(WAIT) for _ in range(MAX_CONNECTIONS + 1)]
        asked = self.ask(TAGS)
        self.connect()
        self.wires[-1].protocol.dataReceived(ANSWER)
        self.successResultOf(asked)
        for wait in waits:
            self.assertNoResult(wait)
            wait.cancel()
            self.failureResultOf(wait)
        self.assertTrue(all(wire.disconnected for wire in self.wires[:-1]))

    def test_the_number_of_those_who_wait_is_bounded(self) -> None:
        connect = SocketConnector(self.reactor, "/run/master")
        self.client = MasterClient(connect, self.clock, most_waiting=2)
        waits = [self.ask(WAIT) for _ in range(4)]
        self.connect()
        self.assertEqual(len(self.wires), 2)
        waits[2].cancel()
        self.failureResultOf(waits[2], CancelledError)
        self.wires[0].protocol.dataReceived(ANSWER)
        self.wires[0].protocol.dataReceived(ANSWER)
        self.assertEqual([self.successResultOf(waits[at]) for at in (0, 3)], [["a"]] * 2)
        waits[1].cancel()
        self.failureResultOf(waits[1])

    def test_the_number_of_connections_is_bounded(self) -> None:
        asked = [self.ask(TAGS) for _ in range(MAX_CONNECTIONS + 1)]
        self.connect()
        self.assertEqual(len(self.wires), MAX_CONNECTIONS)
        for wire in [*self.wires, self.wires[0]]:
            wire.protocol.dataReceived(ANSWER)
        for each in asked:
            self.successResultOf(each)

    def test_a_question_outlives_a_restart_of_the_master(self) -> None:
        asked = self.ask(TAGS)
        self.connect()
        self.wires[0].hang_up()
        self.connect()
        self.wires[1].protocol.dataReceived(ANSWER)
        self.assertEqual(self.successResultOf(asked), ["a"])

    def test_an_order_is_not_given_twice(self) -> None:
        asked = self.ask(ArchiveJob(job_id=1))
        self.connect()
        self.wires[0].hang_up()
        self.failureResultOf(asked, ConnectionLost)

    def test_a_lost_idle_connection_is_forgotten(self) -> None:
        self.test_a_connection_is_used_again()
        self.wires[0].hang_up()
        self.ask(ArchiveJob(job_id=1))
        self.connect()
        self.assertIn(b"ArchiveJob", self.wires[1].value())

    def test_a_master_that_is_away_is_named(self) -> None:
        asked = self.ask(TAGS)
        factory = self.reactor.unixClients[0][1]
        factory.clientConnectionFailed(None, Failure(ConnectError(2, "none")))
        self.failureResultOf(asked, MasterNotRunning)

    def test_silence_is_given_up_and_the_connection_with_it(self) -> None:
        asked = self.ask(TAGS)
        self.connect()
        self.clock.advance(180)
        self.failureResultOf(asked, TimedOut)
        self.assertTrue(self.wires[0].disconnected)

    def test_an_order_that_was_given_up_is_carried_out_all_the_same(self) -> None:
        asked = self.ask(ArchiveJob(job_id=1))
        self.connect()
        asked.cancel()
        self.failureResultOf(asked)
        self.assertFalse(self.wires[0].disconnected)
        self.wires[0].protocol.dataReceived(ANSWER)
        self.assertTrue(self.wires[0].disconnected)

    def test_an_order_that_the_new_master_has_already_is_left_with_it(self) -> None:
        connect, places = SocketConnector(self.reactor, "/run/master"), iter(["node1", "node2"])

        async def connect_somewhere(protocol: Protocol) -> str:
            await connect(protocol)
            return next(places)

        self.client = MasterClient(connect_somewhere, self.clock)
        old, new = self.ask(ArchiveJob(job_id=1)), self.ask(ArchiveJob(job_id=2))
        self.connect()
        self.client.reconnect("node2")
        self.failureResultOf(old, ConnectionLost)
        self.assertNoResult(new)
        self.wires[1].protocol.dataReceived(ANSWER)
        self.successResultOf(new)

    def test_a_new_master_gets_the_questions_of_the_old_one_but_no_orders(self) -> None:
        asked, ordered = self.ask(TAGS), self.ask(ArchiveJob(job_id=1))
        self.connect()
        self.client.reconnect("node2")
        self.failureResultOf(ordered, ConnectionLost)
        self.connect()
        self.assertTrue(all(wire.disconnected for wire in self.wires[:2]))
        self.wires[2].protocol.dataReceived(ANSWER)
        self.assertEqual(self.successResultOf(asked), ["a"])
