# SPDX-License-Identifier: BSD-2-Clause
"""Requests of the remote API to an OpenID provider, on loopback."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from ganeti.daemon.rapi_services.fetching import MAX_BYTES, SECONDS, fetcher
from ganeti.rapi.problems import HttpProblem
from tests.daemon.connections.silent_resolver import SilentResolverReactor

reactor: Any = installed


class Provider(Resource):
    """Answers with the body of the request, or with more than anyone wants."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setResponseCode(404)
        return b"x" * (MAX_BYTES + 1)

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        body: bytes = request.content.read()
        return (request.getHeader("accept") or "").encode() + body


class FetchTests(TestCase):
    def setUp(self) -> None:
        self.port: Any = reactor.listenTCP(0, Site(Provider()), interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port.getHost().port}/token"
        self.fetch = fetcher(reactor, "the provider")
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        await maybeDeferred(self.port.stopListening)
        while any(isinstance(each, Connection) for each in reactor.getReaders()):
            await deferLater(reactor, 0.005)

    async def failure(self) -> str:
        try:
            await self.fetch("GET", self.url, {}, b"")
        except HttpProblem as e:
            self.assertEqual(e.status, 502)
            return str(e)
        raise AssertionError("it answered")

    async def test_status_and_body_of_the_answer_are_returned(self) -> None:
        answer = await self.fetch("POST", self.url, {"Accept": "any:"}, b"code")
        self.assertEqual(answer, (200, b"any:code"))

    async def test_an_answer_that_is_too_long_is_cut_off(self) -> None:
        self.assertIn("the provider does not answer", await self.failure())

    async def test_a_closed_port_is_explained(self) -> None:
        await self.port.stopListening()
        self.assertIn("the provider does not answer: connection refused", await self.failure())


class BodyTests(SynchronousTestCase):
    """Bodies that end, or do not, on a connection in memory."""

    def fetching(self, answer: bytes) -> Deferred[tuple[int, bytes]]:
        self.reactor = MemoryReactorClock()
        fetch = fetcher(self.reactor, "the provider")

        async def ask() -> tuple[int, bytes]:
            return await fetch("GET", "http://192.0.2.1/", {}, b"")

        fetching = Deferred.fromCoroutine(ask())
        [(_, _, factory, *_)] = self.reactor.tcpClients
        client = factory.buildProtocol(None)
        assert client is not None
        self.client = client
        self.transport = StringTransport()
        self.client.makeConnection(self.transport)
        self.client.dataReceived(answer)
        return fetching

    def test_a_body_that_is_cut_off_is_no_answer(self) -> None:
        for head, begun in (
            (b"Content-Length: 10", b"code"),
            (b"Transfer-Encoding: chunked", b"4\r\ncode\r\n"),
        ):
            fetching = self.fetching(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + begun)
            self.client.connectionLost(Failure(ConnectionLost()))
            error = self.failureResultOf(fetching, HttpProblem).value
            self.assertIn("the provider does not answer: the answer is cut off", str(error))

    def test_the_end_of_the_connection_ends_a_body_of_unknown_length(self) -> None:
        fetching = self.fetching(b"HTTP/1.1 200 OK\r\n\r\ncode")
        self.assertNoResult(fetching)
        self.client.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.successResultOf(fetching), (200, b"code"))

    def test_the_connection_is_closed_when_the_time_for_an_answer_is_over(self) -> None:
        fetching = self.fetching(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncode")
        self.reactor.advance(SECONDS)
        self.assertTrue(self.transport.disconnecting)
        self.failureResultOf(fetching, HttpProblem)


class SilentResolverTests(SynchronousTestCase):
    def test_a_host_name_that_is_not_resolved_in_time_is_not_called_unknown(self) -> None:
        silent = SilentResolverReactor()
        fetch = fetcher(silent, "the provider")

        async def ask() -> None:
            await fetch("GET", "http://login.example/", {}, b"")

        fetching = Deferred.fromCoroutine(ask())
        silent.advance(SECONDS)
        error = self.failureResultOf(fetching, HttpProblem).value
        self.assertIn("the provider does not answer: nothing within", str(error))
