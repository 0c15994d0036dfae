# SPDX-License-Identifier: BSD-2-Clause
"""Requests to webhooks over real connections, and mail by a program."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from ganeti.daemon.master_services.notification_senders import (
    REQUEST_TIMEOUT,
    NotificationSenders,
)
from ganeti.errors import Failed
from ganeti.master.notifications.senders import WebhookRequest
from ganeti.pki.authority import Authority
from ganeti.testing.processes import MemoryProcesses, Script
from tests.daemon.connections.silent_resolver import SilentResolverReactor

reactor: Any = installed
SENDMAIL = "/usr/sbin/sendmail"


class Receiver(Resource):
    """Answers with ``status``, or not at all if that is 0."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 204
        self.body = b""
        self.requests: list[tuple[bytes, dict[bytes, bytes], bytes]] = []
        self.clients: list[Any] = []
        self.asked: Deferred[None] = Deferred()

    def render(self, request: Request) -> Any:
        assert request.content is not None
        self.requests.append((request.method, request.getAllHeaders(), request.content.read()))
        self.clients.append(request.getClientAddress())
        if self.status == 0:
            self.asked.callback(None)
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        if self.status // 100 == 3:
            request.setHeader(b"location", b"/elsewhere")
        return self.body


class WebhookTests(TestCase):
    def setUp(self) -> None:
        self.receiver = Receiver()
        site = Site(self.receiver)
        self.port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.senders = NotificationSenders(reactor, MemoryProcesses(Clock(), {}), SENDMAIL)
        self.addCleanup(self.senders.close)

    def request(self, **over: Any) -> WebhookRequest:
        fields: dict[str, Any] = {
            "url": f"http://127.0.0.1:{self.port.getHost().port}/hook?key=confidential",
            "headers": {"webhook-id": "1.1", "Content-Type": "application/json"},
            "body": b'{"kind":"job"}',
            **over,
        }
        return WebhookRequest(**fields)

    async def failure(self, request: WebhookRequest) -> str:
        try:
            await self.senders.post(request)
        except Failed as e:
            self.assertNotIn("confidential", str(e))
            return str(e)
        raise AssertionError("it did not fail")

    async def test_a_request_has_the_headers_and_the_body(self) -> None:
        self.assertEqual(await self.senders.post(self.request()), 204)
        [(method, headers, body)] = self.receiver.requests
        self.assertEqual((method, body), (b"POST", b'{"kind":"job"}'))
        self.assertEqual(headers[b"webhook-id"], b"1.1")

    async def test_connections_are_used_again(self) -> None:
        for _ in range(3):
            await self.senders.post(self.request())
        self.assertEqual(len(set(map(str, self.receiver.clients))), 1)

    async def test_redirects_are_not_followed(self) -> None:
        self.receiver.status = 302
        self.assertEqual(await self.senders.post(self.request()), 302)
        self.assertEqual(len(self.receiver.requests), 1)

    async def test_a_long_answer_is_cut_off(self) -> None:
        self.receiver.status, self.receiver.body = 200, b"x" * 1_000_000
        self.assertEqual(await self.senders.post(self.request()), 200)

    async def test_a_receiver_that_hangs_is_given_up(self) -> None:
        clock, self.receiver.status = Clock(), 0
        self.senders = NotificationSenders(
            reactor, MemoryProcesses(clock, {}), SENDMAIL, clock=clock
        )
        self.addCleanup(self.senders.close)
        failing = Deferred.fromCoroutine(self.failure(self.request()))
        await self.receiver.asked
        clock.advance(REQUEST_TIMEOUT)
        self.assertIn(f"did not answer within {REQUEST_TIMEOUT:g} s", await failing)

    def test_a_host_name_that_is_not_resolved_in_time_is_not_called_unknown(self) -> None:
        silent = SilentResolverReactor()
        senders = NotificationSenders(silent, MemoryProcesses(silent, {}), SENDMAIL)
        posting = Deferred.fromCoroutine(senders.post(self.request(url="http://hooks.example/")))
        silent.advance(REQUEST_TIMEOUT)
        error = self.failureResultOf(posting, Failed).value
        self.assertIn("did not answer within", str(error))

    async def test_a_closed_port_is_explained(self) -> None:
        request = self.request()
        await self.port.stopListening()
        self.assertEqual(await self.failure(request), "connection refused")

    async def test_malformed_certificates_are_explained(self) -> None:
        url = self.request().url.replace("http:", "https:")
        pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        said = await self.failure(self.request(url=url, authority=pem))
        self.assertIn("the CA certificates cannot be read", said)


class TlsTests(TestCase):
    """A receiver with a certificate of an authority that the host does not trust."""

    def setUp(self) -> None:
        now = time.time()
        self.authority = Authority.founded("receivers", now)
        pem = self.authority.credentials(["localhost"], now).pem
        self.receiver = Receiver()
        tls = PrivateCertificate.loadPEM(pem).options()
        self.port: Any = reactor.listenSSL(0, Site(self.receiver), tls, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.senders = NotificationSenders(reactor, MemoryProcesses(Clock(), {}), SENDMAIL)
        self.addCleanup(self.senders.close)

    async def post(self, host: str, authority: Authority | None) -> int | str:
        url = f"https://{host}:{self.port.getHost().port}/"
        pem = "" if authority is None else authority.certificate.decode()
        try:
            return await self.senders.post(WebhookRequest(url, {}, b"", pem))
        except Failed as e:
            return str(e)

    async def test_one_that_the_given_authority_has_certified_gets_the_request(self) -> None:
        self.assertEqual(await self.post("localhost", self.authority), 204)

    async def test_an_unknown_issuer_is_rejected(self) -> None:
        other = Authority.founded("others", time.time())
        await self.post("localhost", self.authority)  # leaves a connection that others must not use
        for authority in (None, other):
            self.assertIn("its issuer is not trusted", str(await self.post("localhost", authority)))
        self.assertEqual(len(self.receiver.requests), 1)

    async def test_another_host_name_is_rejected(self) -> None:
        said = await self.post("127.0.0.1", self.authority)
        self.assertIn("for another host name", str(said))
        self.assertEqual(self.receiver.requests, [])


class MailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.processes = MemoryProcesses(Clock(), {SENDMAIL: Script()})
        self.senders = NotificationSenders(reactor, self.processes, SENDMAIL)

    def test_the_program_reads_the_recipients_from_the_message(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.senders.mail(b"To: root\n\n.\n")))
        [ran] = self.processes.ran
        self.assertEqual(ran.argv, (SENDMAIL, "-t", "-i"))
        self.assertEqual(ran.stdin, b"To: root\n\n.\n")

    def test_its_failure_is_one_line(self) -> None:
        self.processes.programs[SENDMAIL] = Script(code=75, err=b"queue\nfull\x1b[2J")
        failing = Deferred.fromCoroutine(self.senders.mail(b""))
        said = str(self.failureResultOf(failing, Failed).value)
        self.assertEqual(said, f"{SENDMAIL} ended with exit code 75: queue full [2J")

    def test_a_missing_program_is_named(self) -> None:
        del self.processes.programs[SENDMAIL]
        failing = Deferred.fromCoroutine(self.senders.mail(b""))
        self.assertIn(f"cannot start {SENDMAIL}", str(self.failureResultOf(failing, Failed).value))
