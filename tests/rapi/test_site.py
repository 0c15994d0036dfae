# SPDX-License-Identifier: BSD-2-Clause
"""The site over TLS: handshakes are bounded, and what follows them is HTTP."""

from __future__ import annotations

import os
import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from ganeti.daemon.connections.server_certificate import ServerCertificate
from ganeti.pki.authority import Authority
from ganeti.rapi.channel import TIMEOUTS, Channel
from ganeti.rapi.site import ApiSite
from tests.rapi.tls_client import TlsClient, client_context

AUTHORITY = Authority.founded("cluster", time.time())
CONTEXT = client_context(AUTHORITY.certificate)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
DONE = Failure(ConnectionDone())


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        pem = self.mktemp()
        with open(pem, "wb") as file:
            file.write(AUTHORITY.credentials(["localhost"], time.time()).pem)
        self.clock = Clock()
        root = Resource()
        root.putChild(b"", Data(b"2\n", "application/json"))
        self.site = ApiSite(root, self.clock, max_connections=2, max_handshakes=2)
        self.factory = TLSMemoryBIOFactory(
            ServerCertificate(pem, pem), False, self.site, self.clock
        )
        self.clients: list[TlsClient] = []
        self.logged = self.enterContext(capturedLogs())

    def tearDown(self) -> None:
        for client in self.clients:
            client.server.connectionLost(DONE)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((len(self.site.connections), self.site.handshakes.total), (0, 0))

    def connect(self) -> TlsClient:
        self.clients.append(TlsClient(self.factory, self.clock, CONTEXT))
        return self.clients[-1]

    def wait(self, seconds: float) -> None:
        self.clock.pump([1.0] * (int(seconds) + 2))

    def closed(self) -> list[bool]:
        return [client.wire.disconnected for client in self.clients]

    def warnings(self) -> str:
        return "\n".join(str(event.get("log_format")) for event in self.logged)

    def test_requests_are_answered(self) -> None:
        client = self.connect()
        client.shake_hands()
        for _ in range(2):
            self.assertEqual(client.ask(GET).split(b"\r\n")[0], b"HTTP/1.1 200 OK")

    def test_no_other_protocol_than_http_1_1_is_offered(self) -> None:
        self.assertEqual(list(self.site.acceptableProtocols()), [b"http/1.1"])

    def test_a_client_that_does_not_finish_the_handshake_is_cut_off(self) -> None:
        self.connect()
        self.wait(TIMEOUTS.handshake)
        self.assertEqual(self.closed(), [True])
        self.assertIn("did not complete the TLS handshake", self.warnings())

    def test_a_client_that_sends_nothing_after_the_handshake_is_told_goodbye(self) -> None:
        client = self.connect()
        client.shake_hands()
        self.wait(TIMEOUTS.read)
        client.carry()
        self.assertEqual(client.tls.read(), b"")

    def test_a_client_that_rests_is_told_goodbye(self) -> None:
        client = self.connect()
        client.shake_hands()
        client.ask(GET)
        self.wait(TIMEOUTS.idle)
        client.carry()
        self.assertEqual(client.tls.read(), b"")

    def test_of_too_many_handshakes_the_oldest_gives_way(self) -> None:
        for _ in range(4):
            self.connect()
        self.assertEqual(self.closed(), [True, True, False, False])
        self.assertEqual(self.warnings().count("in the TLS handshake"), 1)

    def test_connections_count_from_the_handshake_on(self) -> None:
        for client in [self.connect(), self.connect()]:
            client.shake_hands()
            client.ask(GET)
        third = self.connect()
        self.assertEqual(self.closed(), [False, False, False])
        third.shake_hands()
        self.assertEqual(self.closed(), [True, False, False])

    def test_a_client_that_does_not_speak_tls_is_refused_and_logged_without_a_flood(self) -> None:
        for _ in range(5):
            client = self.connect()
            client.server.dataReceived(GET)
            self.assertTrue(client.wire.disconnecting)
            client.server.connectionLost(DONE)
            self.clients.remove(client)
        self.assertEqual(self.warnings().count("TLS handshake with"), 1)

    @given(st.binary(min_size=1))
    def test_garbage_never_breaks_a_handshake(self, data: bytes) -> None:
        client = TlsClient(self.factory, self.clock, CONTEXT)
        client.server.dataReceived(data + os.urandom(20))
        client.server.connectionLost(DONE)

    def test_a_daemon_that_ends_says_goodbye_to_its_clients(self) -> None:
        client = self.connect()
        client.shake_hands()
        client.ask(GET)
        self.site.hang_up()
        client.carry()
        self.assertEqual(client.tls.read(), b"")
        assert all(isinstance(each, Channel) for each in self.site.deadlines)
