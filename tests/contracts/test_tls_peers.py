# SPDX-License-Identifier: BSD-2-Clause
"""Peers of a transfer over loopback addresses: each end knows the other before data moves.

``test_streams`` has whole transfers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import ssl
import time
from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.pki.authority import create_self_signed
from ganeti.system.cancellation import Cancelled, CancelSwitch
from ganeti.system.interfaces import ConnectingEndpoint, ListeningEndpoint, StreamPeer
from ganeti.system.tls_peers import (
    Listening,
    TlsConnection,
    WrongPeer,
    accept,
    call,
    common_name,
    is_truncated,
)

NAME, HERE, GREETING = "ganeti.example.com", "127.0.0.1", b"greeting"
JOIN_TIMEOUT = 30.0
"""Seconds that a thread of a test may take at most; it takes milliseconds."""


class PeersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        made = {
            each: create_self_signed(NAME, time.time(), timedelta(hours=1)) for each in ("s", "r")
        }
        for each, one in made.items():
            for suffix, content in (("key", one.key), ("crt", one.certificate)):
                with open(f"{self.folder}/{each}.{suffix}", "wb") as file:
                    file.write(content)
        pem = {each: one.certificate.decode() for each, one in made.items()}
        self.sender = StreamPeer(*self.paths("s"), pem["r"], NAME)
        self.receiver = StreamPeer(*self.paths("r"), pem["s"], NAME)
        der = ssl.PEM_cert_to_DER_cert(pem["s"])
        self.sender_digest = hashlib.sha256(der).hexdigest()
        self.switch, self.other = CancelSwitch(), CancelSwitch()
        self.addCleanup(self.switch.close)
        self.addCleanup(self.other.close)

    def paths(self, name: str) -> tuple[str, str]:
        return f"{self.folder}/{name}.key", f"{self.folder}/{name}.crt"

    def accept(self, patience: float = 0.0, **over: Any) -> tuple[Listening, list[Any], Thread]:
        """Accept a peer in another thread; what it returns or raises is in the list."""
        listening, outcome = Listening.at(HERE), list[Any]()
        party = replace(self.receiver, **over)
        end = ListeningEndpoint(listening, party, GREETING, patience)

        def run() -> None:
            try:
                outcome.append(accept(end, self.switch))
            except Exception as e:
                outcome.append(e)

        thread = Thread(target=run)
        thread.start()
        return listening, outcome, thread

    def call(self, port: int, greeting: bytes = GREETING, **over: Any) -> TlsConnection:
        party = replace(self.sender, **over)
        connection = call(ConnectingEndpoint(HERE, port, party, greeting, 5.0, 1), self.other)
        self.addCleanup(connection.close)
        return connection

    def connect(self, **over: Any) -> tuple[TlsConnection, TlsConnection]:
        """A sender and a receiver that know each other."""
        listening, outcome, thread = self.accept(patience=JOIN_TIMEOUT, **over)
        sender = self.call(listening.port)
        thread.join(JOIN_TIMEOUT)
        [receiver] = outcome
        assert isinstance(receiver, TlsConnection), receiver
        self.addCleanup(receiver.close)
        return sender, receiver

    # --- data

    def test_data_and_its_end_arrive_and_the_end_is_confirmed(self) -> None:
        sender, receiver = self.connect(accepted=frozenset({self.sender_digest}))
        sender.write_from(bytearray(b"dataXX"), 4)
        completed = Thread(target=sender.complete)
        completed.start()
        buffer = bytearray(16)
        self.assertEqual(receiver.read_into(memoryview(buffer)), 4)
        self.assertEqual(bytes(buffer[:4]), b"data")
        receiver.answer_close_notify()
        completed.join(JOIN_TIMEOUT)
        self.assertFalse(completed.is_alive())

    def test_a_buffer_is_filled_before_it_is_returned(self) -> None:
        sender, receiver = self.connect()
        for _ in range(3):
            sender.write_from(bytearray(b"abc"), 3)
        buffer = bytearray(8)
        self.assertEqual(receiver.read_into(memoryview(buffer)), 8)
        self.assertEqual(bytes(buffer), b"abcabcab")

    def test_a_sender_that_disconnects_has_not_ended(self) -> None:
        sender, receiver = self.connect()
        self.other.release()  # which has a duplicate of the socket
        sender.close()
        with self.assertRaises(OSError) as caught:
            receiver.read_into(memoryview(bytearray(8)))
        self.assertTrue(is_truncated(caught.exception))

    def test_a_receiver_that_disconnects_has_not_stored_everything(self) -> None:
        sender, receiver = self.connect()
        self.switch.release()
        receiver.close()
        with self.assertRaises(OSError):
            sender.complete()

    # --- what is refused

    def rejection(self, greeting: bytes = GREETING, trust: Any = None, **over: Any) -> str:
        """Why a receiver rejects a peer that has connected before it accepts; it waits no more.

        ``trust`` are certificates that the sender accepts, ``over`` fields of the receiver.
        """
        listening = Listening.at(HERE)
        party = replace(self.sender, accepted=trust)
        end = ConnectingEndpoint(HERE, listening.port, party, greeting, JOIN_TIMEOUT, 1)

        def run() -> None:
            with contextlib.suppress(OSError):
                call(end, self.other).close()
            self.other.release()  # which has a duplicate of the socket

        thread = Thread(target=run)
        thread.start()
        select.select([listening.listener], [], [])
        receiver = ListeningEndpoint(listening, replace(self.receiver, **over), GREETING, 0.0)
        with self.assertRaises(TimeoutError) as caught:
            accept(receiver, self.switch)
        thread.join(JOIN_TIMEOUT)
        return str(caught.exception)

    def test_a_peer_that_is_not_accepted_is_rejected_with_the_reason(self) -> None:
        said = self.rejection(accepted=frozenset({"ab" * 32}))
        self.assertIn("no connection within 0 seconds; rejected 127.0.0.1: ", said)
        shown = f"certificate (SHA-256 {self.sender_digest[:16]}...)"
        self.assertIn(f"its {shown} does not belong to a member of the cluster", said)

    def test_a_peer_with_another_name_is_rejected(self) -> None:
        said = self.rejection(name="other.example.com")
        self.assertIn("its certificate does not name other.example.com", said)

    def test_a_peer_with_another_greeting_is_rejected(self) -> None:
        self.assertIn("it sent a wrong greeting", self.rejection(b"GREETING"))

    def test_a_peer_that_does_not_accept_the_receiver_sends_no_greeting(self) -> None:
        said = self.rejection(trust=frozenset())
        self.assertIn("rejected 127.0.0.1", said)
        self.assertNotIn("wrong greeting", said)

    def test_a_sender_says_whom_it_does_not_accept(self) -> None:
        listening, _, thread = self.accept(patience=JOIN_TIMEOUT)
        with self.assertRaisesRegex(OSError, "does not belong to a member of the cluster"):
            self.call(listening.port, accepted=frozenset())
        self.switch.pull()
        self.other.release()
        thread.join(JOIN_TIMEOUT)

    def test_a_sender_learns_that_it_is_rejected_before_it_sends_data(self) -> None:
        # In TLS 1.3, its own handshake succeeds before the receiver looks at its certificate.
        key, certificate = self.paths("r")
        listening, outcome, thread = self.accept(patience=JOIN_TIMEOUT)
        # The alert says why, unless the connection is closed while the greeting is written.
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.call(listening.port, key=key, certificate=certificate)
        self.other.release()  # which has a duplicate of the socket
        self.call(listening.port)
        thread.join(JOIN_TIMEOUT)
        outcome[0].close()

    def test_a_rejected_receiver_is_called_once(self) -> None:
        listening, _, thread = self.accept(patience=JOIN_TIMEOUT)
        party = replace(self.sender, accepted=frozenset())
        end = ConnectingEndpoint(HERE, listening.port, party, GREETING, 5.0, 1000)
        with self.assertRaisesRegex(WrongPeer, "does not belong to a member of the cluster"):
            call(end, self.other)
        self.switch.pull()
        self.other.release()
        thread.join(JOIN_TIMEOUT)

    def test_an_earlier_release_does_not_answer_the_greeting(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.receiver.certificate, self.receiver.key)
        received = []

        def serve(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as tls:
                received.append(tls.recv(len(GREETING)))

        with socket.create_server((HERE, 0)) as listener:
            thread = Thread(target=serve, args=(listener,))
            thread.start()
            self.call(listener.getsockname()[1])
            thread.join(JOIN_TIMEOUT)
        self.assertEqual(received, [GREETING])

    def test_another_peer_is_accepted_after_one_that_is_rejected(self) -> None:
        listening, outcome, thread = self.accept(patience=JOIN_TIMEOUT)
        with socket.create_connection((HERE, listening.port)) as other:
            other.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                other.recv(1)
        self.call(listening.port)
        thread.join(JOIN_TIMEOUT)
        [receiver] = outcome
        self.assertIsInstance(receiver, TlsConnection)
        receiver.close()

    # --- when there is no peer

    def test_a_port_is_closed_when_its_time_is_over(self) -> None:
        listening, outcome, thread = self.accept()
        thread.join(JOIN_TIMEOUT)
        self.assertEqual(str(outcome[0]), "no connection within 0 seconds")
        with self.assertRaisesRegex(OSError, f"127.0.0.1 port {listening.port} cannot be reached"):
            self.call(listening.port)

    def test_a_wait_for_a_peer_is_canceled(self) -> None:
        _, outcome, thread = self.accept(patience=JOIN_TIMEOUT)
        self.switch.pull()
        thread.join(JOIN_TIMEOUT)
        self.assertIsInstance(outcome[0], Cancelled)

    def test_a_call_that_was_canceled_is_not_repeated(self) -> None:
        listening = Listening.at(HERE)
        listening.close()
        self.other.pull()
        with self.assertRaises(Cancelled):
            call(
                ConnectingEndpoint(HERE, listening.port, self.sender, GREETING, 5.0, 99), self.other
            )


class CertificateTests(SynchronousTestCase):
    def test_the_common_name_is_found_among_other_parts_of_the_subject(self) -> None:
        subject = ((("organizationName", "x"),), (("commonName", "node1"),))
        self.assertEqual(common_name({"subject": subject}), "node1")

    def test_a_certificate_without_a_common_name_has_none(self) -> None:
        for certificate in (None, {}, {"subject": ((("organizationName", "x"),),)}):
            self.assertIsNone(common_name(certificate))

    def test_other_errors_are_no_truncated_connection(self) -> None:
        self.assertFalse(is_truncated(ConnectionResetError()))
        self.assertTrue(is_truncated(ssl.SSLEOFError()))
