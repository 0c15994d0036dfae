# SPDX-License-Identifier: BSD-2-Clause
"""What TLS connections to a server have, by a client of another library."""

from __future__ import annotations

import os
import ssl
import time
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.daemon.connections.server_certificate import ServerCertificate
from ganeti.errors import Failed
from ganeti.pki.authority import Authority
from tests.rapi.tls_client import TlsClient, client_context

NOW = time.time()
AUTHORITY = Authority.founded("cluster", NOW)
FIRST, SECOND = (AUTHORITY.credentials(["localhost"], NOW).pem for _ in range(2))
TLS_1_2 = ssl.TLSVersion.TLSv1_2


class Echo(Protocol):
    """Sends back what it gets."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class CertificateCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()

    def write(self, content: bytes, path: str | None = None) -> str:
        path = path or self.path
        with open(path, "wb") as file:
            file.write(content)
        return path


class ConnectionTests(CertificateCase):
    def setUp(self) -> None:
        super().setUp()
        self.write(FIRST)
        self.certificate = ServerCertificate(self.path, self.path)
        verifyObject(IOpenSSLServerConnectionCreator, self.certificate)
        self.clock = Clock()
        factory = Factory.forProtocol(Echo)
        self.factory = TLSMemoryBIOFactory(self.certificate, False, factory, self.clock)

    def connect(
        self, session: ssl.SSLSession | None = None, context: Any = None, **settings: Any
    ) -> TlsClient:
        self.context = context or client_context(AUTHORITY.certificate, **settings)
        client = TlsClient(self.factory, self.clock, self.context, session)
        client.shake_hands()
        self.assertEqual(client.ask(b"hello"), b"hello")
        return client

    def test_tls_1_3_is_spoken_by_default(self) -> None:
        self.assertEqual(self.connect().tls.version(), "TLSv1.3")

    def test_tls_1_2_is_spoken_with_forward_secrecy(self) -> None:
        cipher = self.connect(maximum_version=TLS_1_2).tls.cipher()
        assert cipher is not None
        self.assertTrue(cipher[0].startswith("ECDHE-"), cipher)

    def test_older_versions_are_refused(self) -> None:
        context = client_context(AUTHORITY.certificate)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assertRaises(ssl.SSLError, self.connect, context=context)

    def test_ciphers_without_forward_secrecy_are_refused(self) -> None:
        context = client_context(AUTHORITY.certificate, maximum_version=TLS_1_2)
        context.set_ciphers("kRSA:@SECLEVEL=0")
        self.assertRaises(ssl.SSLError, self.connect, context=context)

    def test_certificates_of_authorities_between_are_sent_along(self) -> None:
        self.write(FIRST + AUTHORITY.certificate)
        self.certificate.reload()
        context = client_context(AUTHORITY.certificate, maximum_version=TLS_1_2)
        client = TlsClient(self.factory, self.clock, context)
        client.greet()
        # In TLS 1.2 certificates are sent as they are.
        second = ssl.PEM_cert_to_DER_cert(AUTHORITY.certificate.decode())
        self.assertIn(second, client.wire.value())

    def test_a_session_is_resumed(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_3, TLS_1_2):
            first = self.connect(maximum_version=version)
            again = self.connect(first.tls.session, self.context)
            self.assertEqual((first.tls.session_reused, again.tls.session_reused), (False, True))

    def test_http_1_1_is_agreed_on(self) -> None:
        context = client_context(AUTHORITY.certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        client = self.connect(context=context)
        self.assertEqual(client.tls.selected_alpn_protocol(), "http/1.1")

    def test_a_client_that_offers_other_protocols_only_is_served_without_an_agreement(self) -> None:
        context = client_context(AUTHORITY.certificate)
        context.set_alpn_protocols(["http/1.0"])
        self.assertIsNone(self.connect(context=context).tls.selected_alpn_protocol())

    def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on(self) -> None:
        old = self.connect()
        self.write(SECOND)
        self.certificate.reload()
        new = self.connect()
        self.assertNotEqual(old.tls.getpeercert(True), new.tls.getpeercert(True))
        self.assertEqual(old.ask(b"still there"), b"still there")

    def test_one_that_cannot_be_used_leaves_the_old_one_in_use(self) -> None:
        before = self.connect().tls.getpeercert(True)
        self.write(b"nonsense")
        self.assertRaises(Failed, self.certificate.reload)
        self.assertEqual(self.connect().tls.getpeercert(True), before)


class FileTests(CertificateCase):
    def refusal(self, key: str | None = None) -> str:
        error: Failed = self.assertRaises(Failed, ServerCertificate, self.path, key or self.path)
        return str(error)

    def test_files_that_are_not_there_are_named_with_what_makes_them(self) -> None:
        self.assertIn(f"no certificate in {self.path}", self.refusal())
        self.assertIn("gnt-cluster renew-crypto", self.refusal())

    def test_the_key_of_another_certificate_is_refused(self) -> None:
        self.write(FIRST)
        other = self.write(SECOND, self.path + ".key")
        self.assertIn("the key belongs to another certificate", self.refusal(other))

    def test_a_key_with_a_password_is_refused_without_asking_for_it(self) -> None:
        key: Any = load_pem_private_key(FIRST, None)
        secret = BestAvailableEncryption(b"secret")
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
        self.write(FIRST)
        path = self.write(locked, self.path + ".key")
        self.assertIn("cannot be used", self.refusal(path))

    def test_what_is_no_certificate_or_cannot_be_read_is_refused(self) -> None:
        self.write(b"nonsense")
        self.assertIn("cannot be used", self.refusal())
        os.unlink(self.path)
        os.mkdir(self.path)
        self.assertIn("cannot be used", self.refusal())
