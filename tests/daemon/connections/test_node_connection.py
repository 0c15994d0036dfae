# SPDX-License-Identifier: BSD-2-Clause
"""Protocols are connected to node daemons that prove their names."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError, TCPTimedOutError  # noqa: A004
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from ganeti.daemon.connections.node_certificate import NoCertificate, NodeServerTLS
from ganeti.daemon.connections.node_connection import connect_to_node, only
from ganeti.errors import Code, Failed
from ganeti.rpc.agent import CONNECT_TIMEOUT
from tests.daemon.connections.test_node_certificate import GOOD, Placed, eventually, reactor


class Recording(Protocol):
    """Records what it receives, and whether its connection was lost."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.lost = True


class Greeting(Protocol):
    """Says hello to whoever connects."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")


class AttemptTests(Placed):
    """Attempts to connect, in a reactor in memory."""

    def setUp(self) -> None:
        self.memory = MemoryReactorClock()
        self.paths = self.place(GOOD)

    def connect(self, **how: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(
            connect_to_node(self.memory, self.paths, "node1", "192.0.2.1", 1811, Protocol(), **how)
        )

    def end_attempt(self, why: Exception) -> None:
        factory = self.memory.tcpClients[0][2]
        nothing: Any = None
        factory.clientConnectionFailed(nothing, Failure(why))

    def test_the_time_to_connect_is_limited(self) -> None:
        for how, seconds in (({}, CONNECT_TIMEOUT), ({"timeout": 0.5}, 0.5)):
            self.memory.tcpClients.clear()
            self.connect(**how).addErrback(lambda _: None)
            host, port, _, timeout, _ = self.memory.tcpClients[0]
            self.assertEqual((host, port, timeout), ("192.0.2.1", 1811, seconds))

    def test_a_node_that_cannot_be_reached_is_named_with_the_reason(self) -> None:
        for why, told in (
            (ConnectionRefusedError(), "connection refused"),
            (TCPTimedOutError(), "timed out"),
        ):
            self.memory.tcpClients.clear()
            connecting = self.connect()
            self.end_attempt(why)
            error = self.failureResultOf(connecting, Failed).value
            self.assertTrue(str(error).startswith("node node1 cannot be reached: "))
            self.assertIn(told, str(error))
            self.assertEqual(error.code, Code.ENVIRONMENT)

    def test_an_attempt_can_be_canceled(self) -> None:
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_a_host_without_a_certificate_connects_to_none(self) -> None:
        os.unlink(self.paths.node_certificate)
        self.failureResultOf(self.connect(), NoCertificate)
        self.assertEqual(self.memory.tcpClients, [])

    def test_a_factory_of_one_protocol_has_no_other(self) -> None:
        protocol = Protocol()
        factory = only(protocol)
        self.assertIs(factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1811)), protocol)
        self.assertFalse(factory.noisy)
        protocol.makeConnection(StringTransport())


class LoopbackTests(Placed):
    """A server on loopback that shows the certificate of node1."""

    async def connect(self, name: str) -> Recording:
        self.port: Any = reactor.listenSSL(
            0,
            Factory.forProtocol(Greeting),
            NodeServerTLS(self.place(GOOD)),
            interface="127.0.0.1",
        )
        self.addCleanup(self.port.stopListening)
        protocol = Recording()
        where = (self.place(GOOD), name, "127.0.0.1", self.port.getHost().port)
        await connect_to_node(reactor, *where, protocol)
        await eventually(lambda: protocol.received or protocol.lost)
        return protocol

    async def test_the_node_that_is_meant_is_heard(self) -> None:
        protocol = await self.connect("node1")
        self.assertEqual(protocol.received, b"hello")
        assert protocol.transport is not None
        protocol.transport.loseConnection()
        await eventually(lambda: protocol.lost)

    async def test_another_node_at_the_address_is_not(self) -> None:
        protocol = await self.connect("node2")
        self.assertEqual((protocol.received, protocol.lost), (b"", True))
