# SPDX-License-Identifier: BSD-2-Clause
"""Connections are served in turn, and bounded in time, number and memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi import connection
from ganeti.rapi.connection import (
    IDLE_SECONDS,
    LINGER_SECONDS,
    PIECE,
    READ_AHEAD,
    READ_SECONDS,
    Connection,
    Site,
)
from ganeti.rapi.http import Request, Response
from tests.rapi.asking import answers

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.under_way: list[Deferred[Response]] = []
        self.canceled: list[Deferred[Response]] = []
        self.site = Site(self.answer, self.clock, self.clock.seconds, most_connections=3)
        self.connection, self.transport = self.connect()

    def tearDown(self) -> None:
        self.site.hang_up()
        for each in list(self.site._connections):
            each.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self) -> tuple[Connection, StringTransport]:
        client, transport = self.site.buildProtocol(None), StringTransport()
        client.makeConnection(transport)
        return client, transport

    async def answer(self, request: Request) -> Response:
        if request.path == "/wait":
            self.under_way.append(Deferred(self.canceled.append))
            return await self.under_way[-1]
        return Response(200, b"x" * int(request.path[1:]))

    def wait(self, seconds: float) -> None:
        self.clock.pump([1.0] * (int(seconds) + 2))

    def sizes(self) -> list[int]:
        return [len(answer.body) - 1 for answer in answers(self.transport.value())]

    def test_requests_sent_at_once_are_answered_in_order(self) -> None:
        self.connection.dataReceived(GET % b"1" + GET % b"wait" + GET % b"3" + GET % b"4")
        self.assertEqual(self.sizes(), [1])
        self.under_way[0].callback(Response(200, b"22"))
        self.assertEqual(self.sizes(), [1, 2, 3, 4])

    def test_who_hangs_up_cancels_the_answer(self) -> None:
        self.connection.dataReceived(GET % b"wait" + GET % b"wait")
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.canceled, self.under_way)

    def test_the_connection_closes_after_the_last_request(self) -> None:
        self.connection.dataReceived((GET % b"1").replace(b"1.1", b"1.0"))
        self.assertEqual(self.sizes(), [1])
        self.assertTrue(self.transport.disconnecting)

    def test_a_rest_between_requests_is_bounded(self) -> None:
        self.connection.dataReceived(GET % b"1")
        self.wait(IDLE_SECONDS - 5)
        self.assertFalse(self.transport.disconnecting)
        self.wait(5)
        self.assertTrue(self.transport.disconnecting)

    def test_a_request_that_trickles_is_cut_off(self) -> None:
        for each in GET % b"1" * 2:
            self.connection.dataReceived(bytes([each]))
            self.clock.advance(1.0)
        (answer,) = answers(self.transport.value())
        self.assertEqual(answer.status, 408)
        self.wait(LINGER_SECONDS)
        self.assertTrue(self.transport.disconnected)

    def test_a_client_that_sends_nothing_is_cut_off(self) -> None:
        self.wait(READ_SECONDS)
        self.assertTrue(self.transport.disconnecting)

    def test_garbage_is_answered_and_read_no_further(self) -> None:
        self.connection.dataReceived(b"garbage\r\n\r\n" + GET % b"1")
        self.connection.dataReceived(GET % b"1")
        (answer,) = answers(self.transport.value())
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.headers["Connection"], "close")

    def test_a_large_answer_goes_out_as_fast_as_it_is_read(self) -> None:
        self.connection.pauseProducing()
        self.connection.dataReceived(GET % str(3 * PIECE).encode())
        self.assertLess(len(self.transport.value()), 1000)
        self.connection.resumeProducing()
        self.assertEqual(self.sizes(), [3 * PIECE])

    def test_large_answers_that_are_not_read_are_bounded(self) -> None:
        self.patch(connection, "MOST_UNSENT", 5 * PIECE)
        clients = [self.connect() for _ in range(2)]
        for client, _ in clients:
            client.pauseProducing()
            client.dataReceived(GET % str(3 * PIECE).encode())
        self.assertEqual([transport.disconnected for _, transport in clients], [True, False])

    def test_who_does_not_read_at_all_is_cut_off(self) -> None:
        self.connection.pauseProducing()
        self.connection.dataReceived(GET % b"1" + GET % b"2")
        self.assertEqual(self.sizes(), [1])
        self.wait(31)
        self.assertTrue(self.transport.disconnected)

    def test_no_more_is_read_while_an_answer_is_awaited(self) -> None:
        self.connection.dataReceived(GET % b"wait")
        self.connection.dataReceived(GET % b"1" * (READ_AHEAD // 20))
        self.assertEqual(self.transport.producerState, "paused")
        self.under_way[0].callback(Response(200, b""))
        self.assertEqual(self.transport.producerState, "producing")

    def test_large_requests_that_are_not_whole_are_bounded(self) -> None:
        self.patch(connection, "MOST_UNREAD", 5 * PIECE)
        clients = [self.connect() for _ in range(2)]
        for client, _ in clients:
            client.dataReceived(PUT % 900000 + b"[" * 3 * PIECE)
        told = [[each.status for each in answers(sent.value())] for _, sent in clients]
        self.assertEqual(told, [[503], []])

    def test_large_requests_that_came_do_not_count_any_more(self) -> None:
        self.patch(connection, "MOST_UNREAD", 5 * PIECE)
        clients = [self.connect() for _ in range(2)]
        for client, sent in clients:
            client.dataReceived(PUT % (3 * PIECE) + b"[" * (3 * PIECE - 1))
            client.dataReceived(b"[")
            self.assertEqual([each.status for each in answers(sent.value())], [200])

    def test_one_too_many_replaces_an_idle_connection(self) -> None:
        self.connection.dataReceived(GET % b"wait")
        _, idle = self.connect()
        self.connect()
        _, last = self.connect()
        self.assertEqual(
            [each.disconnected for each in (self.transport, idle, last)], [False, True, False]
        )

    def test_whoever_waits_to_go_on_is_told(self) -> None:
        head = b"PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        self.connection.dataReceived(head)
        self.assertEqual(self.transport.value(), b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_an_answer_that_breaks_closes_the_connection(self) -> None:
        self.connection.dataReceived(GET % b"nonsense")
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
