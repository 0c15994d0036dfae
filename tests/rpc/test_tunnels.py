# SPDX-License-Identifier: BSD-2-Clause
"""The client's end of a tunnel through a node daemon."""

from __future__ import annotations

from http import HTTPStatus

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.rpc.resource import explained
from ganeti.rpc.tunnels import MAX_HEAD, TunnelClient

OPENED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: ganeti-luxi\r\n\r\n"


class Inner(Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost = True


class TunnelClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.inner = Inner()
        self.client = TunnelClient("node1", "luxi", self.inner)
        self.transport = StringTransport()
        self.client.makeConnection(self.transport)

    def end(self) -> None:
        self.client.connectionLost(Failure(ConnectionDone()))

    def test_an_open_tunnel_belongs_to_the_inner_protocol(self) -> None:
        self.assertIn(b"GET /luxi HTTP/1.1\r\nHost: node1\r\n", self.transport.value())
        for byte in OPENED + b"first":
            self.client.dataReceived(bytes([byte]))
        self.successResultOf(self.client.opened)
        self.client.dataReceived(b" second")
        self.assertEqual(self.inner.received, b"first second")
        self.assertIs(self.inner.transport, self.transport)
        self.end()
        self.assertTrue(self.inner.lost)

    def test_a_refusal_is_given_with_its_reason(self) -> None:
        body = explained(HTTPStatus.CONFLICT, "the master daemon is not running")
        head = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.client.dataReceived(head + body[:5])
        self.assertFalse(self.transport.disconnecting)
        self.client.dataReceived(body[5:])
        self.assertTrue(self.transport.disconnecting)
        self.end()
        error = self.failureResultOf(self.client.opened, Failed).value
        self.assertEqual(str(error), "node node1: the master daemon is not running")

    def test_a_lost_connection_is_a_failure(self) -> None:
        self.end()
        self.assertIn("node1", str(self.failureResultOf(self.client.opened, Failed).value))
        self.assertFalse(self.inner.lost)

    def test_an_endless_answer_is_cut_off(self) -> None:
        self.client.dataReceived(b"x" * (MAX_HEAD + 1))
        self.assertTrue(self.transport.disconnecting)
        self.end()
        self.failureResultOf(self.client.opened, Failed)

    def test_cancelling_closes_the_connection(self) -> None:
        self.client.opened.cancel()
        self.failureResultOf(self.client.opened)
        self.assertTrue(self.transport.disconnected)
        self.end()
