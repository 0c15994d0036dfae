# SPDX-License-Identifier: BSD-2-Clause
"""Blocking calls to node daemons, over TLS on the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.node_client import NodeEndpoint, decode_answer
from ganeti.errors import Failed, ProtocolError, Refused
from ganeti.pki.authority import Authority

AUTHORITY = Authority.founded("cluster1", time.time())
CREDENTIALS = AUTHORITY.credentials(["node1"], time.time())
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
HERE = "127.0.0.1"


class NodeEndpointTests(SynchronousTestCase):
    """A node daemon on a thread that gives one answer."""

    def setUp(self) -> None:
        pem = self.mktemp()
        with open(pem, "wb") as file:
            file.write(CREDENTIALS.pem)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(pem)
        self.context = ssl.create_default_context(cadata=AUTHORITY.certificate.decode())
        self.listener = socket.create_server((HERE, 0))
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]
        self.request = b""

    def serve(self, answer: bytes) -> None:
        with (
            contextlib.suppress(OSError),
            self.server.wrap_socket(self.listener.accept()[0], True) as peer,
        ):
            while not self.request.endswith(b"}"):
                self.request += peer.recv(65536)
            peer.sendall(answer)

    def ask(self, answer: bytes, name: str = "node1") -> bytes:
        serving = Thread(target=self.serve, args=(answer,))
        serving.start()
        try:
            node = NodeEndpoint(name, HERE, self.port)
            return node.ask(self.context, "version", b"{}", {"X-Ganeti-Term": "3"})
        finally:
            serving.join()

    def test_a_node_is_asked_at_its_address_and_by_its_name(self) -> None:
        self.assertEqual(self.ask(OK % (3, b"yes")), b"yes")
        self.assertTrue(self.request.startswith(b"POST /version HTTP/1.1\r\n"))
        self.assertIn(b"X-Ganeti-Term: 3\r\n", self.request)

    def test_another_node_at_the_address_is_not_asked(self) -> None:
        with self.assertRaisesRegex(Failed, "node2 .* is unreachable: .*node2"):
            self.ask(OK % (3, b"yes"), "node2")
        self.assertEqual(self.request, b"")

    def test_a_node_without_a_daemon_cannot_be_asked(self) -> None:
        self.listener.close()
        node = NodeEndpoint("node1", HERE, self.port)
        with self.assertRaisesRegex(Failed, "refused; check that its node daemon is running"):
            node.ask(self.context, "version", b"{}")

    def test_what_is_no_success_or_no_answer_is_an_error(self) -> None:
        denied = b'HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\n\r\n{"explain":"no call"}'
        for answer, told in (
            (denied.replace(b"20", b"21"), "answered with HTTP status 403: no call"),
            (b"HTTP/1.1 500 Broken\r\nContent-Length: 1\r\n\r\n1", "no explanation given"),
            (b"SSH-2.0-OpenSSH\r\n", "sent a malformed answer: BadStatusLine"),
            (OK % (10, b"half"), "closed the connection in the middle of its answer"),
            (b"", "sent a malformed answer: RemoteDisconnected"),
            (OK % (1 << 21, b" " * (1 << 21)), "has more than"),
        ):
            self.request = b""
            with self.assertRaisesRegex(ProtocolError, told):
                self.ask(answer)

    def test_an_error_in_the_answer_is_raised(self) -> None:
        node = NodeEndpoint("node1", HERE, self.port)
        refusal = b'[false,["OpPrereqError",["no","wrong_state"]]]'
        self.assertRaises(Refused, decode_answer, refusal, node)
        self.assertEqual(decode_answer(b"[true,1]", node), 1)
        for nonsense in (b"1", b"[", b"[" * 10_000):
            self.assertRaises(ProtocolError, decode_answer, nonsense, node)
