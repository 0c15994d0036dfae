# SPDX-License-Identifier: BSD-2-Clause
"""The TLS layer over transports in memory."""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from ganeti.pki.authority import Authority
from ganeti.system.tls import HANDSHAKE_PATIENCE, TlsFactory, TlsLayer, words

AUTHORITY = Authority.founded("cluster1", time.time())
SERVER, CLIENT = (
    AUTHORITY.credentials([name], time.time()).pem for name in ("node1.example.com", "node2")
)


def context(side: int, credentials: bytes | None) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.load_verify_locations(cadata=AUTHORITY.certificate.decode())
    if credentials is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(credentials)
            file.flush()
            made.load_cert_chain(file.name)
    return made


SERVER_CONTEXT = context(ssl.PROTOCOL_TLS_SERVER, SERVER)
SERVER_CONTEXT.verify_mode = ssl.CERT_OPTIONAL
CLIENT_CONTEXT = context(ssl.PROTOCOL_TLS_CLIENT, CLIENT)
NOBODY_CONTEXT = context(ssl.PROTOCOL_TLS_CLIENT, None)


class Side(Protocol):
    """Remembers what came and how it ended."""

    def __init__(self) -> None:
        self.received = b""
        self.calls = 0
        self.ended: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.calls += 1

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason


class Wire(StringTransport):
    """One end of a connection in memory."""

    def setTcpNoDelay(self, enabled: bool) -> None: ...


class Pair:
    """Two layers, a clock, and the wires between them, which carry ``step`` bytes at a time."""

    def __init__(self, client: ssl.SSLContext = CLIENT_CONTEXT, step: int = 1 << 20) -> None:
        self.clock = Clock()
        self.step = step
        self.failures: list[str] = []
        self.here, self.there = Side(), Side()
        self.client = self.layer(client, self.here, server_name="node1.example.com")
        self.server = self.layer(SERVER_CONTEXT, self.there)
        self.wires = Wire(), Wire()
        self.server.makeConnection(self.wires[1])
        self.client.makeConnection(self.wires[0])
        self.carry()

    def layer(self, context: ssl.SSLContext, side: Side, **named: Any) -> TlsLayer:
        return TlsLayer(
            context,
            side,
            self.clock,
            lambda _: None,
            lambda _, reason: self.failures.append(words(reason)),
            **named,
        )

    def carry(self) -> None:
        """Deliver what was written until nobody writes any more."""
        while any(wire.value() for wire in self.wires):
            for wire, other in zip(self.wires, (self.server, self.client), strict=True):
                data = wire.value()
                wire.clear()
                for start in range(0, len(data), self.step):
                    other.dataReceived(data[start : start + self.step])

    def end(self) -> None:
        for layer in (self.client, self.server):
            layer.connectionLost(Failure(connectionDone.value))


class LayerTests(SynchronousTestCase):
    def pair(self, *args: Any, **named: Any) -> Pair:
        pair = Pair(*args, **named)
        self.addCleanup(lambda: self.assertEqual(pair.clock.getDelayedCalls(), []))
        self.addCleanup(pair.end)
        return pair

    def test_each_side_knows_the_other_by_its_certificate(self) -> None:
        pair = self.pair()
        self.assertEqual(pair.client.peer_name, "node1.example.com")
        self.assertEqual(pair.server.peer_name, "node2")
        verifyObject(ISSLTransport, pair.client)

    def test_who_shows_no_certificate_has_no_name(self) -> None:
        self.assertIsNone(self.pair(NOBODY_CONTEXT).server.peer_name)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.binary(max_size=40_000), max_size=4), st.integers(1, 5000))
    def test_bytes_arrive_whole_however_they_are_chopped(
        self, pieces: list[bytes], step: int
    ) -> None:
        pair = Pair(step=max(step, 50))
        for piece in pieces:
            pair.client.write(piece)
        pair.carry()
        self.assertEqual(pair.there.received, b"".join(pieces))
        pair.end()

    def test_a_side_that_pauses_gets_nothing_until_it_resumes(self) -> None:
        pair = self.pair()
        pair.server.pauseProducing()
        pair.client.write(b"hello")
        pair.carry()
        self.assertEqual((pair.there.received, pair.wires[1].producerState), (b"", "paused"))
        pair.server.resumeProducing()
        pair.clock.advance(0)
        self.assertEqual(pair.there.received, b"hello")

    def test_what_was_written_arrives_before_the_end(self) -> None:
        pair = self.pair()
        pair.client.write(b"last words")
        pair.client.loseConnection()
        pair.client.write(b"too late")
        pair.carry()
        self.assertEqual(pair.there.received, b"last words")
        self.assertTrue(pair.wires[0].disconnecting and pair.wires[1].disconnecting)

    def test_a_goodbye_alone_is_an_end_without_data(self) -> None:
        pair = self.pair()
        pair.client.loseConnection()
        pair.carry()
        self.assertTrue(pair.wires[1].disconnecting)
        self.assertEqual(pair.there.calls, 0)

    def test_the_end_waits_for_who_still_produces(self) -> None:
        pair = self.pair()
        pair.client.registerProducer(object(), True)
        pair.client.loseConnection()
        self.assertFalse(pair.wires[0].disconnecting)
        pair.client.unregisterProducer()
        self.assertTrue(pair.wires[0].disconnecting)

    def test_a_changed_byte_ends_the_connection(self) -> None:
        pair = self.pair()
        pair.client.write(b"hello")
        data = bytearray(pair.wires[0].value())
        pair.wires[0].clear()
        data[-1] ^= 1
        pair.server.dataReceived(bytes(data))
        self.assertTrue(pair.wires[1].disconnecting)
        pair.end()
        assert pair.there.ended is not None
        self.assertIsInstance(pair.there.ended.value, ssl.SSLError)
        self.assertEqual(pair.there.received, b"")


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        site: Any = Site(Resource(), reactor=self.clock)
        self.site = site
        self.factory = TlsFactory(SERVER_CONTEXT, self.site, self.clock)
        self.wire = Wire()
        layer = self.factory.buildProtocol(None)
        assert isinstance(layer, TlsLayer)
        self.layer = layer
        self.layer.makeConnection(self.wire)

    def test_who_does_not_speak_tls_is_told_goodbye(self) -> None:
        self.layer.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(self.wire.disconnecting)
        self.layer.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_says_nothing_is_not_awaited_for_ever(self) -> None:
        self.clock.advance(HANDSHAKE_PATIENCE)
        self.assertTrue(self.wire.disconnected)
        self.layer.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_of_too_many_who_shake_hands_the_oldest_goes(self) -> None:
        factory = TlsFactory(SERVER_CONTEXT, self.site, self.clock, most_shaking=2)
        wires = [Wire() for _ in range(4)]
        layers = []
        for wire in wires:
            layer = factory.buildProtocol(None)
            assert isinstance(layer, TlsLayer)
            layer.makeConnection(wire)
            layers.append(layer)
        self.assertEqual([wire.disconnected for wire in wires], [True, True, False, False])
        for layer in (*layers, self.layer):
            layer.connectionLost()
        self.assertEqual(factory._shaking, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(st.binary(min_size=1))
    def test_garbage_never_breaks_the_layer(self, data: bytes) -> None:
        layer = self.factory.buildProtocol(None)
        assert isinstance(layer, TlsLayer)
        layer.makeConnection(Wire())
        layer.dataReceived(data + os.urandom(20))
        layer.connectionLost()
