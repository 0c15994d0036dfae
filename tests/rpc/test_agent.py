# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of requests to nodes, over connections in memory."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refusal
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.model.node import Node
from ganeti.rpc.agent import CHUNK_SIZE, IDLE_TIMEOUT, MAX_IDLE, HttpTransport
from ganeti.rpc.node_client import BadAnswer, TransportError
from ganeti.rpc.wire import CallRequest
from ganeti.testing.builders import a_node

NODE = a_node("node1", primary_ip="192.0.2.1")
REQUEST = CallRequest("version", 3, b"{}")
LARGE = CallRequest("blob", 3, bytes(3 * CHUNK_SIZE))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
SENT = (
    b"POST /version HTTP/1.1\r\nContent-Length: 2\r\nHost: node1\r\nX-Ganeti-Term: 3\r\n"
    b"X-Ganeti-Protocol: 1-2\r\n"
    b"Content-Type: application/json\r\n\r\n{}"
)


class SlowTransport(StringTransport):
    """Wants no more for the moment, whatever is written."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None:
            self.producer.pauseProducing()


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects at once, or as ``outcome`` says."""

    def __init__(self) -> None:
        self.outcome: Deferred[IProtocol] | None = None
        self.slow = False
        self.connections: list[tuple[IProtocol, StringTransport]] = []

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.outcome is not None:
            return self.outcome
        protocol = factory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        transport = SlowTransport() if self.slow else StringTransport()
        protocol.makeConnection(transport)
        self.connections.append((protocol, transport))
        return succeed(protocol)


class AgentCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = Endpoint()
        self.way = HttpTransport(self.reach, self.clock)
        self.addCleanup(self.close)

    def close(self) -> None:
        self.way.close()
        for connection, _ in self.endpoint.connections:
            connection.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def reach(self, node: Node) -> Endpoint:
        self.assertEqual(node, NODE)
        return self.endpoint

    def ask(self, request: CallRequest = REQUEST) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self.way.exchange(NODE, request))

    def answer(self, data: bytes, connection: int = -1) -> None:
        self.endpoint.connections[connection][0].dataReceived(data)

    def transport(self, connection: int = -1) -> StringTransport:
        return self.endpoint.connections[connection][1]

    def why(self, answer: Deferred[bytes]) -> str:
        return str(self.failureResultOf(answer, TransportError).value)


class ExchangeTests(AgentCase):
    def test_a_request_is_answered_and_its_connection_used_again(self) -> None:
        for _ in range(2):
            answer = self.ask()
            self.assertEqual(self.transport().value(), SENT)
            self.transport().clear()
            self.answer(OK % (3, b"yes"))
            self.assertEqual(self.successResultOf(answer), b"yes")
        self.assertEqual(len(self.endpoint.connections), 1)

    def test_requests_under_way_at_once_have_a_connection_each(self) -> None:
        answers = [self.ask() for _ in range(3)]
        for number in range(3):
            self.answer(OK % (1, b"%d" % number), number)
        self.assertEqual([self.successResultOf(each) for each in answers], [b"0", b"1", b"2"])

    def test_an_answer_that_is_no_success_says_what_the_node_said(self) -> None:
        for body, told in (
            (b'{"explain": "no call"}', "no call"),
            (b"[" * 10_000, "no reason given"),
        ):
            answer = self.ask()
            self.answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            failure = self.failureResultOf(answer, BadAnswer)
            self.assertIn(
                "the node answered version with HTTP status 404", failure.getErrorMessage()
            )
            self.assertIn(told, failure.getErrorMessage())

    def test_nonsense_is_no_answer(self) -> None:
        for nonsense in (
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 fine\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        ):
            answer = self.ask()
            self.answer(nonsense)
            self.assertIn("the node sent a malformed answer", self.why(answer))
            self.assertTrue(self.transport().disconnecting)

    def test_an_answer_that_is_too_long_is_not_kept(self) -> None:
        self.way = HttpTransport(self.reach, self.clock, answer_limit=10)
        answer = self.ask()
        self.answer(OK % (11, b"x" * 11))
        self.assertEqual(self.why(answer), "the answer is longer than 10 bytes")


class BrokenConnectionTests(AgentCase):
    def test_a_connection_that_ends_instead_of_an_answer_says_how(self) -> None:
        for reason, told in (
            (ConnectionDone(), "the node closed the connection without an answer"),
            (ConnectionLost(), "lost in a non-clean fashion"),
        ):
            for begun in (b"", b"HTTP/1.1 200", OK % (10, b"half")):
                answer = self.ask()
                self.answer(begun)
                connection, _ = self.endpoint.connections.pop()
                connection.connectionLost(Failure(reason))
                self.assertIn(told, self.why(answer))

    def test_no_request_is_sent_twice(self) -> None:
        self.successResultOf(self.answered())
        answer = self.ask()
        connection, _ = self.endpoint.connections.pop()
        connection.connectionLost(Failure(ConnectionDone()))
        self.why(answer)
        self.assertEqual(self.endpoint.connections, [])

    def test_a_node_that_cannot_be_reached_is_lost(self) -> None:
        self.endpoint.outcome = fail(Refusal())
        self.assertIn("refused", self.why(self.ask()))

    def answered(self) -> Deferred[bytes]:
        answer = self.ask()
        self.answer(OK % (0, b""))
        return answer


class CancelTests(AgentCase):
    def test_cancelling_ends_the_connection(self) -> None:
        for begun in (b"", OK % (10, b"half")):
            answer = self.ask()
            self.answer(begun)
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
            ended = self.transport().disconnecting or self.transport().disconnected
            self.assertTrue(ended)

    def test_a_connection_that_is_being_made_is_given_up(self) -> None:
        made: Deferred[IProtocol] = Deferred(lambda it: it.errback(ConnectingCancelledError(None)))
        self.endpoint.outcome = made
        answer = self.ask()
        answer.cancel()
        self.failureResultOf(answer, CancelledError)

    def test_a_request_that_is_being_sent_is_given_up(self) -> None:
        self.endpoint.slow = True
        answer = self.ask(LARGE)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertTrue(self.transport().disconnected)
        self.assertLess(len(self.transport().value()), 2 * CHUNK_SIZE)


class LargeRequestTests(AgentCase):
    def test_a_large_request_is_sent_as_fast_as_the_node_reads(self) -> None:
        self.endpoint.slow = True
        answer = self.ask(LARGE)
        while (producer := self.transport().producer) is not None:
            self.assertNoResult(answer)
            producer.resumeProducing()
        self.assertTrue(self.transport().value().endswith(LARGE.body))
        self.answer(OK % (3, b"yes"))
        self.assertEqual(self.successResultOf(answer), b"yes")

    def test_an_answer_before_the_request_was_sent_ends_the_connection(self) -> None:
        self.endpoint.slow = True
        answer = self.ask(LARGE)
        self.answer(b"HTTP/1.1 413 Too Long\r\nContent-Length: 2\r\n\r\n{}")
        self.assertTrue(self.transport().disconnecting)
        self.failureResultOf(answer, BadAnswer)


class ClosingTests(AgentCase):
    def test_an_idle_connection_is_closed_in_the_end(self) -> None:
        answer = self.ask()
        self.answer(OK % (0, b""))
        self.successResultOf(answer)
        self.clock.advance(IDLE_TIMEOUT - 1)
        self.assertFalse(self.transport().disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport().disconnecting)

    def test_connections_in_use_are_closed_after_their_answers(self) -> None:
        answer = self.ask()
        self.way.close()
        self.assertFalse(self.transport().disconnecting)
        self.answer(OK % (3, b"yes"))
        self.assertEqual(self.successResultOf(answer), b"yes")
        self.clock.advance(0)
        self.assertTrue(self.transport().disconnecting)

    def test_a_bounded_number_of_connections_is_kept(self) -> None:
        answers = [self.ask() for _ in range(MAX_IDLE + 2)]
        for number, answer in enumerate(answers):
            self.answer(OK % (0, b""), number)
            self.successResultOf(answer)
        closed = [transport.disconnecting for _, transport in self.endpoint.connections]
        self.assertEqual(closed.count(True), 2)
