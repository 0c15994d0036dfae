# SPDX-License-Identifier: BSD-2-Clause
"""Real daemons' TLS on loopback: who is let in, and what the others are told."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Client, Connection
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from ganeti.daemon.connections.node_certificate import (
    NoCertificate,
    NodePolicy,
    NodeServerTLS,
    get_peer,
    verify_own_certificate,
)
from ganeti.errors import Unreachable
from ganeti.model.node import Node
from ganeti.paths import Paths
from ganeti.pki.authority import SKEW, Authority
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.agent import KEEPALIVE_OPTIONS, HttpTransport, TlsEndpoints
from ganeti.rpc.callers import Peer
from ganeti.rpc.channel import TIMEOUTS
from ganeti.rpc.node import AskVersion, DelayCall, Version
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import RpcSite
from ganeti.system.connection_errors import explain
from ganeti.testing.builders import a_node
from ganeti.testing.callers import AnyCaller
from ganeti.web.limits.quota import Quota
from tests.rapi.tls_client import TlsClient, client_context

reactor: Any = installed
NOW = time.time()
OURS, THEIRS = Authority.founded("ours", NOW), Authority.founded("ours", NOW)
GOOD = OURS.credentials(["node1", "127.0.0.1"], NOW).pem
OLD = OURS.credentials(["node1"], NOW - 10**6, life=timedelta(days=1)).pem
EARLY = OURS.credentials(["node1"], NOW + SKEW.total_seconds() + 1000).pem
FOREIGN = THEIRS.credentials(["node1"], NOW).pem
NODE = a_node("node1", primary_ip="127.0.0.1")
VERSION = Version(protocol=1, release="3.0")


def open_ones() -> list[object]:
    """What the reactor still waits for."""
    return [*reactor.getReaders(), *reactor.getWriters()]


async def eventually(true: Callable[[], object]) -> None:
    """Return when something has come true, for which the time-out of a test is the limit."""
    while not true():
        await deferLater(reactor, 0.005)


@dataclass(frozen=True)
class Both:
    """What stands in a file of authorities, while one is replaced."""

    certificate: bytes


class Placed(TestCase):
    """Hosts with certificates of their own."""

    def place(self, credentials: bytes | None, authority: Authority | Both = OURS) -> Paths:
        paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(paths.data)
        with open(paths.authority, "wb") as file:
            file.write(authority.certificate)
        if credentials is not None:
            with open(paths.node_certificate, "wb") as file:
                file.write(credentials)
        return paths


class LoopbackTests(Placed):
    """A node daemon and a master, which accepts the certificates that ``accepts`` says."""

    def accepts(self, name: str, fingerprint: str) -> bool:
        return (name, fingerprint) in self.accepted

    def setUp(self) -> None:
        self.accepted = {("node1", fingerprint(pem)) for pem in (GOOD, OLD, EARLY, FOREIGN)}

    def serve(self, credentials: bytes = GOOD, authority: Authority | Both = OURS) -> None:
        answers = CallHandlers(lambda: 0)
        answers.to(AskVersion, self.version)
        answers.to(DelayCall, self.never)
        self.begun: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.ending: Deferred[None] = Deferred()
        self.site = RpcSite(answers, get_peer, AnyCaller(), reactor)
        self.server = NodeServerTLS(self.place(credentials, authority))
        self.port: Any = reactor.listenSSL(0, self.site, self.server, interface="127.0.0.1")
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        self.way.close()
        await self.site.shut_down()
        await maybeDeferred(self.port.stopListening)
        await eventually(lambda: not any(isinstance(each, Connection) for each in open_ones()))

    async def version(self, _: AskVersion) -> Version:
        return VERSION

    async def never(self, _: DelayCall) -> None:
        self.begun.callback(None)
        try:
            await self.ending
        finally:
            self.ended.callback(None)

    def master(self, credentials: bytes = GOOD, authority: Authority | Both = OURS) -> NodeClient:
        self.policy = NodePolicy(self.place(credentials, authority), self.accepts)
        endpoints = TlsEndpoints(reactor, self.policy, self.port.getHost().port)
        self.way = HttpTransport(endpoints, reactor, explain=explain)
        return NodeClient(self.way, reactor, term=lambda: 0, master="node1")

    async def refusal(self, master: NodeClient, node: Node = NODE) -> str:
        with self.assertRaises(Unreachable) as refused:
            await master.ask(node, AskVersion())
        return str(refused.exception)

    async def test_a_node_answers_a_master_of_its_cluster(self) -> None:
        self.serve()
        master = self.master()
        for _ in range(3):
            self.assertEqual(await master.ask(NODE, AskVersion()), VERSION)

    async def test_a_connection_to_a_host_that_was_restarted_is_noticed(self) -> None:
        self.serve()
        await self.master().ask(NODE, AskVersion())
        [connection] = [each for each in open_ones() if isinstance(each, Client)]
        for level, option, value in KEEPALIVE_OPTIONS:
            self.assertEqual(connection.getHandle().getsockopt(level, option), value)

    async def test_a_node_without_a_daemon_refuses(self) -> None:
        self.serve()
        master = self.master()
        await maybeDeferred(self.port.stopListening)
        self.assertIn("connection refused", await self.refusal(master))

    async def test_a_master_of_another_cluster_is_refused(self) -> None:
        self.serve()
        told = await self.refusal(self.master(FOREIGN, OURS))
        self.assertIn("our certificate: it was issued by another cluster", told)

    async def test_a_node_of_another_cluster_is_not_asked(self) -> None:
        self.serve(FOREIGN, THEIRS)
        told = await self.refusal(self.master())
        self.assertIn("issued by the authority of another cluster", told)

    async def test_a_master_with_an_expired_certificate_is_told_so(self) -> None:
        self.serve()
        self.assertIn("our certificate: it has expired", await self.refusal(self.master(OLD)))

    async def test_a_node_with_an_expired_certificate_is_not_asked(self) -> None:
        self.serve(OLD)
        self.assertIn("the peer's certificate has expired", await self.refusal(self.master()))

    async def test_a_node_with_a_certificate_of_the_future_is_not_asked(self) -> None:
        self.serve(EARLY)
        self.assertIn("is not valid yet; compare the clocks", await self.refusal(self.master()))

    async def test_another_node_at_the_address_is_not_asked(self) -> None:
        self.serve()
        node = a_node("node2", primary_ip="127.0.0.1")
        self.assertIn("belongs to another node", await self.refusal(self.master(), node))

    async def test_a_node_with_a_certificate_that_was_revoked_is_not_asked(self) -> None:
        self.serve()
        self.accepted.clear()
        told = await self.refusal(self.master())
        self.assertIn("was not issued by this cluster or is no longer accepted", told)

    async def test_every_authority_in_the_file_is_trusted_on_both_sides(self) -> None:
        bundle = Both(OURS.certificate + THEIRS.certificate)
        self.serve(FOREIGN, bundle)
        self.assertEqual(await self.master(GOOD, bundle).ask(NODE, AskVersion()), VERSION)

    async def test_new_certificates_are_used_for_connections_made_from_then_on(self) -> None:
        self.serve()
        master = self.master()
        await master.ask(NODE, AskVersion())
        self.server.reload(self.place(FOREIGN, THEIRS))
        self.assertEqual(await master.ask(NODE, AskVersion()), VERSION)
        self.way.close()
        self.assertIn("authority of another cluster", await self.refusal(master))
        self.policy.reload(self.place(FOREIGN, THEIRS))
        self.assertEqual(await master.ask(NODE, AskVersion()), VERSION)

    async def test_files_that_cannot_be_used_change_nothing(self) -> None:
        self.serve()
        master = self.master()
        for each in (self.server, self.policy):
            self.assertRaises(NoCertificate, each.reload, self.place(b"nonsense"))
        self.assertEqual(await master.ask(NODE, AskVersion()), VERSION)

    async def test_a_connection_that_closes_is_closed_after_its_answer(self) -> None:
        self.serve()
        asking = Deferred.fromCoroutine(self.master().ask(NODE, DelayCall(duration=9)))
        await self.begun
        self.way.close()
        self.ending.callback(None)
        await asking
        await eventually(lambda: not self.site.open_channels())

    async def test_giving_up_ends_long_work_on_the_node(self) -> None:
        self.serve()
        asking = Deferred.fromCoroutine(self.master().ask(NODE, DelayCall(duration=9)))
        asking.addErrback(lambda _: None)
        await self.begun
        asking.cancel()
        await self.ended


class ProofTests(Placed):
    """What a daemon says at its start about its own certificate."""

    def complaint(self, credentials: bytes | None, authority: Authority | Both = OURS) -> str:
        place = self.place(credentials, authority)
        error: NoCertificate = self.assertRaises(
            NoCertificate, verify_own_certificate, place, "node1"
        )
        return str(error)

    def test_a_good_certificate_convinces_its_node(self) -> None:
        verify_own_certificate(self.place(GOOD), "node1")

    def test_each_thing_that_can_be_wrong_is_named(self) -> None:
        self.assertIn("has expired; add the node again", self.complaint(OLD))
        self.assertIn("not valid yet; correct the clock", self.complaint(EARLY))
        self.assertIn("not issued by the authority in ca.pem", self.complaint(FOREIGN))
        self.assertIn("is not part of a cluster", self.complaint(None))
        self.assertIn("cannot be used", self.complaint(b"nonsense"))
        other = OURS.credentials(["node2"], NOW).pem
        self.assertIn("belongs to another node", self.complaint(other))


class HandshakeTests(Placed):
    """A node daemon's site over TLS in memory: what it bounds before anybody may make a call."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.site = RpcSite(
            CallHandlers(lambda: 0), get_peer, AnyCaller(), self.clock, explain=explain
        )
        self.site.handshakes = Quota(2, self.site._evict_handshake)
        tls = NodeServerTLS(self.place(GOOD))
        self.factory = TLSMemoryBIOFactory(tls, False, self.site, self.clock)
        self.clients: list[TlsClient] = []
        self.logged = self.enterContext(capturedLogs())
        self.addCleanup(self.close)

    def close(self) -> None:
        for client in self.clients:
            client.server.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((len(self.site.connections), self.site.handshakes.total), (0, 0))

    def connect(self, credentials: bytes | None = GOOD) -> TlsClient:
        context = client_context(OURS.certificate, check_hostname=False)
        if credentials is not None:
            context.load_cert_chain(self.place(credentials).node_certificate)
        self.clients.append(TlsClient(self.factory, self.clock, context))
        return self.clients[-1]

    def closed(self) -> list[bool]:
        return [client.wire.disconnected for client in self.clients]

    def warnings(self) -> str:
        return "\n".join(formatEvent(event) for event in self.logged)

    def test_the_site_knows_its_peers_by_their_certificates(self) -> None:
        for credentials, peer in ((GOOD, Peer("node1", fingerprint(GOOD))), (None, None)):
            client = self.connect(credentials)
            client.shake_hands()
            self.assertEqual(get_peer(client.server), peer)
        self.assertIsNone(get_peer(StringTransport()))

    def test_a_session_cannot_be_resumed(self) -> None:
        context = client_context(OURS.certificate, check_hostname=False)
        session = None
        for _ in range(2):
            client = TlsClient(self.factory, self.clock, context, session)
            self.clients.append(client)
            client.shake_hands()
            session = client.tls.session
            self.assertFalse(client.tls.session_reused)

    def test_older_versions_of_tls_are_refused(self) -> None:
        context = client_context(OURS.certificate, maximum_version=ssl.TLSVersion.TLSv1_2)
        self.clients.append(TlsClient(self.factory, self.clock, context))
        self.assertRaises(ssl.SSLError, self.clients[-1].shake_hands)

    def test_a_certificate_that_does_not_verify_is_refused_and_logged(self) -> None:
        for credentials in (OLD, EARLY, FOREIGN):
            client = self.connect(credentials)
            self.assertRaises(ssl.SSLError, client.shake_hands)
            self.assertTrue(client.wire.disconnecting)
            client.server.connectionLost(Failure(ConnectionDone()))
        self.clients.clear()
        self.assertIn("the peer's certificate is invalid", self.warnings())

    def test_of_too_many_who_shake_hands_the_oldest_goes(self) -> None:
        for _ in range(4):
            self.connect()
        self.assertEqual(self.closed(), [True, True, False, False])
        self.assertIn("too many connections in the TLS handshake", self.warnings())

    def test_who_does_not_finish_the_handshake_is_cut_off(self) -> None:
        self.connect()
        self.clock.pump([1.0] * int(TIMEOUTS.handshake + 2))
        self.assertEqual(self.closed(), [True])

    def test_who_does_not_speak_tls_is_logged(self) -> None:
        client = self.connect()
        client.server.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        client.server.connectionLost(Failure(ConnectionDone()))
        self.clients.clear()
        self.assertIn("the peer speaks HTTP without TLS", self.warnings())
