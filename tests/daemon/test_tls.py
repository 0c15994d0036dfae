# SPDX-License-Identifier: BSD-2-Clause
"""Real daemons' TLS on loopback: who is let in, and what the others are told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client, Connection
from twisted.trial.unittest import TestCase

from ganeti.daemon.tls import (
    KEEPALIVE,
    Connector,
    NoCertificate,
    client_context,
    peer_of,
    prove,
    server_context,
)
from ganeti.errors import Unreachable
from ganeti.model.node import Node
from ganeti.paths import Paths
from ganeti.pki.authority import SKEW, Authority
from ganeti.rpc.asking import Asker
from ganeti.rpc.client import HttpWay
from ganeti.rpc.node import AskVersion, Delay, Version
from ganeti.rpc.server import Answers
from ganeti.rpc.serving import CallSite
from ganeti.system.tls import TlsFactory, words
from ganeti.testing.builders import a_node
from ganeti.testing.callers import AnyCaller

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


class Placed(TestCase):
    """Hosts with certificates of their own."""

    def place(self, credentials: bytes | None, authority: Authority = OURS) -> Paths:
        paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(paths.data)
        with open(paths.authority, "wb") as file:
            file.write(authority.certificate)
        if credentials is not None:
            with open(paths.node_certificate, "wb") as file:
                file.write(credentials)
        return paths


class LoopbackTests(Placed):
    """A node daemon and a master."""

    def serve(self, credentials: bytes = GOOD, authority: Authority = OURS) -> None:
        answers = Answers(lambda: 0)
        answers.to(AskVersion, self.version)
        answers.to(Delay, self.never)
        self.begun: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.site = CallSite(answers, peer_of, AnyCaller(), reactor)
        context = server_context(self.place(credentials, authority), strangers=True)
        self.factory = TlsFactory(context, self.site, reactor)
        self.port: Any = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        self.way.close()
        await self.site.end()
        await maybeDeferred(self.port.stopListening)
        await eventually(lambda: not any(isinstance(each, Connection) for each in open_ones()))

    async def version(self, _: AskVersion) -> Version:
        return VERSION

    async def never(self, _: Delay) -> None:
        self.begun.callback(None)
        try:
            await Deferred()
        finally:
            self.ended.callback(None)

    def master(self, credentials: bytes = GOOD, authority: Authority = OURS) -> Asker:
        context = client_context(self.place(credentials, authority))
        self.connector = Connector(reactor, context)
        port = self.port.getHost().port
        self.way = HttpWay(self.connector, reactor, port=port, words=words)
        return Asker(self.way, reactor, term=lambda: 0, master="node1")

    async def refusal(self, master: Asker, node: Node = NODE) -> str:
        with self.assertRaises(Unreachable) as refused:
            await master.ask(node, AskVersion())
        return str(refused.exception)

    async def test_a_node_answers_a_master_of_its_cluster(self) -> None:
        self.serve()
        master = self.master()
        for _ in range(3):
            self.assertEqual(await master.ask(NODE, AskVersion()), VERSION)

    async def test_a_new_connection_to_a_node_that_was_met_resumes_its_session(self) -> None:
        self.serve()
        master = self.master()
        await master.ask(NODE, AskVersion())
        self.way.close()
        await eventually(lambda: "node1" in self.connector.sessions)
        self.assertEqual(await master.ask(NODE, AskVersion()), VERSION)

    async def test_an_authority_that_is_trusted_no_more_is_refused_after_a_reload(self) -> None:
        self.serve()
        master = self.master()
        await master.ask(NODE, AskVersion())
        self.way.close()
        self.connector.reload(self.place(FOREIGN, THEIRS))
        self.assertIn("issued by another cluster's authority", await self.refusal(master))

    async def test_a_server_with_another_context_resumes_no_session(self) -> None:
        self.serve()
        master = self.master()
        await master.ask(NODE, AskVersion())
        self.way.close()
        await eventually(lambda: "node1" in self.connector.sessions)
        self.factory.context = server_context(self.place(FOREIGN, THEIRS), strangers=True)
        self.assertIn("another cluster's", await self.refusal(master))

    async def test_a_connection_to_a_host_that_was_restarted_is_noticed(self) -> None:
        self.serve()
        await self.master().ask(NODE, AskVersion())
        [connection] = [each for each in open_ones() if isinstance(each, Client)]
        for level, option, value in KEEPALIVE:
            self.assertEqual(connection.getHandle().getsockopt(level, option), value)

    async def test_a_node_without_a_daemon_refuses(self) -> None:
        self.serve()
        master = self.master()
        await maybeDeferred(self.port.stopListening)
        self.assertIn("connection refused", await self.refusal(master))

    async def test_a_master_of_another_cluster_is_refused(self) -> None:
        self.serve()
        told = await self.refusal(self.master(FOREIGN, OURS))
        self.assertIn("our certificate is another cluster's", told)

    async def test_a_node_of_another_cluster_is_not_asked(self) -> None:
        self.serve(FOREIGN, THEIRS)
        told = await self.refusal(self.master())
        self.assertIn("issued by another cluster's authority", told)

    async def test_a_master_with_an_expired_certificate_is_told_so(self) -> None:
        self.serve()
        self.assertIn("our certificate has expired", await self.refusal(self.master(OLD)))

    async def test_a_node_with_an_expired_certificate_is_not_asked(self) -> None:
        self.serve(OLD)
        self.assertIn("the peer's certificate has expired", await self.refusal(self.master()))

    async def test_a_node_with_a_certificate_of_the_future_is_not_asked(self) -> None:
        self.serve(EARLY)
        self.assertIn("is not valid yet; compare the clocks", await self.refusal(self.master()))

    async def test_another_node_at_the_address_is_not_asked(self) -> None:
        self.serve()
        node = a_node("node2", primary_ip="127.0.0.1")
        self.assertIn("another node's", await self.refusal(self.master(), node))

    async def test_giving_up_ends_long_work_on_the_node(self) -> None:
        self.serve()
        asking = Deferred.fromCoroutine(self.master().ask(NODE, Delay(duration=9)))
        asking.addErrback(lambda _: None)
        await self.begun
        asking.cancel()
        await self.ended


class ProofTests(Placed):
    """What a daemon says at its start about its own certificate."""

    def complaint(self, credentials: bytes | None, authority: Authority = OURS) -> str:
        place = self.place(credentials, authority)
        error: NoCertificate = self.assertRaises(NoCertificate, prove, place, "node1")
        return str(error)

    def test_a_good_certificate_convinces_its_node(self) -> None:
        prove(self.place(GOOD), "node1")

    def test_each_thing_that_can_be_wrong_is_named(self) -> None:
        self.assertIn("has expired; join the node", self.complaint(OLD))
        self.assertIn("not valid yet; set the clock", self.complaint(EARLY))
        self.assertIn("not issued by the authority in ca.pem", self.complaint(FOREIGN))
        self.assertIn("is not part of a cluster yet", self.complaint(None))
        self.assertIn("cannot be used", self.complaint(b"nonsense"))
        other = OURS.credentials(["node2"], NOW).pem
        self.assertIn("is another node's", self.complaint(other))
