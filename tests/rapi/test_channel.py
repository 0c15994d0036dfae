# SPDX-License-Identifier: BSD-2-Clause
"""Connections are served in turn, and bounded in time, number and memory."""

from __future__ import annotations

import gc
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ganeti.rapi.channel import MAX_BODY, TIMEOUTS, Channel
from ganeti.rapi.response import CHUNK_SIZE, Response, send
from ganeti.rapi.site import ApiRequest, ApiSite
from ganeti.web.channel import MAX_HEADERS
from tests.rapi.asking import Answer, answers

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKS = (
    b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\n[1,\r\n2\r\n2]\r\n0\r\nTrailer: x\r\n\r\n"
)
ASK = b"GET /1 HTTP/1.1\r\nHost: x\r\n"
DONE = Failure(ConnectionDone())
LARGE = bytes(3 * CHUNK_SIZE)


class Sizes(Resource):
    """Answers ``/N`` with N bytes, ``/body`` with the body, and ``/wait`` when told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[ApiRequest] = []
        self.hung_up: list[ApiRequest] = []

    def render(self, request: ApiRequest) -> int:
        path = request.path[1:]
        if path == b"wait":
            self.waiting.append(request)
            request.notifyFinish().addErrback(lambda _: self.hung_up.append(request))
        elif path == b"large":
            send(request, Response(200, memoryview(LARGE)))
        elif path == b"body":
            assert request.content is not None
            send(request, Response(200, request.content.getvalue()))
        else:
            send(request, Response(200, b"x" * int(path)))
        return NOT_DONE_YET


class ChannelCase(SynchronousTestCase):
    limits: dict[str, Any] = {"max_connections": 3}

    def setUp(self) -> None:
        self.clock = Clock()
        self.resource = Sizes()
        self.site = ApiSite(self.resource, self.clock, **self.limits)
        self.channel, self.transport = self.connect()

    def tearDown(self) -> None:
        self.site.hang_up()
        for channel in self.site.deadlines:
            assert isinstance(channel, Channel)
            channel.connectionLost(DONE)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.site.unsent.total, self.site.unread.total), (0, 0))
        self.assertEqual(len(self.site.connections), 0)

    def connect(self) -> tuple[Channel, StringTransport]:
        client, transport = self.site.buildProtocol(None), StringTransport()
        client.makeConnection(transport)
        return client, transport

    def wait(self, seconds: float) -> None:
        self.clock.pump([1.0] * (int(seconds) + 2))

    def answers(self) -> list[Answer]:
        return answers(self.transport.value())

    def sizes(self) -> list[int]:
        return [len(answer.body) - 1 for answer in self.answers()]

    def answered(self, data: bytes) -> Answer:
        """The one answer to what is sent."""
        self.transport.clear()
        self.channel.dataReceived(data)
        (answer,) = self.answers()
        return answer


class ReadingTests(ChannelCase):
    def test_a_body_comes_with_a_length_or_in_chunks(self) -> None:
        sized = b"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[1,2]"
        self.channel.dataReceived(sized + CHUNKS + sized)
        self.assertEqual([each.body for each in self.answers()], [b"[1,2]\n"] * 3)

    @given(st.lists(st.integers(1, 40)))
    def test_requests_are_answered_however_they_are_cut(self, cuts: list[int]) -> None:
        channel, transport = self.connect()
        left = GET % b"1" + CHUNKS + PUT % 3 + b"abc" + GET % b"2"
        for cut in [*cuts, len(left)]:
            channel.dataReceived(left[:cut])
            left = left[cut:]
        sizes = [len(answer.body) - 1 for answer in answers(transport.value())]
        self.assertEqual((sizes, channel.idle), ([1, 5, 1, 2], True))
        channel.connectionLost(DONE)

    def test_a_proxy_may_send_the_whole_address(self) -> None:
        for address in (b"http://x:5080/1", b"HTTPS://x/1?a=b"):
            self.assertEqual(self.answered(GET.replace(b"/%b", address)).body, b"x\n")

    def test_a_client_that_waits_to_go_on_is_told(self) -> None:
        head = PUT.replace(b"Host", b"Expect: 100-continue\r\nHost") % 1
        self.channel.dataReceived(head)
        self.assertEqual(self.transport.value(), b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_what_cannot_be_served_has_a_status_and_a_reason(self) -> None:
        for data, status in (
            (b"nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/2.0\r\n\r\n", 400),
            (ASK + b"no colon\r\n\r\n", 400),
            (ASK + b"A: b\nC: d\r\n\r\n", 400),
            (ASK + b"Host: y\r\n\r\n", 400),
            (ASK + b"Authorization: y\r\nauthorization: z\r\n\r\n", 400),
            (ASK + b"Content-Length: +1\r\n\r\n", 400),
            (ASK + b"Content-Length: %b\r\n\r\n" % (b"1" * 5000), 400),
            (ASK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            (ASK + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
            (ASK + b"Transfer-Encoding: gzip\r\n\r\n", 400),
            (CHUNKS.replace(b"Host", b"Content-Length: 1\r\nHost"), 400),
            (CHUNKS.replace(b"\r\n3;", b"\r\n4;"), 400),
            (CHUNKS.replace(b"\r\n3;", b"\r\nx;"), 400),
            (CHUNKS.partition(b"3;")[0] + b"%x\r\n" % (MAX_BODY + 1) + b"[" * (MAX_BODY + 1), 413),
            (b"GET /" + b"x" * 9000, 414),
            (ASK + b"A: %b\r\n" % (b"x" * 9000), 431),
            (ASK + (b"A: %b\r\n" % (b"x" * 5000)) * 4, 431),
            (ASK + b"A: b\r\n" * MAX_HEADERS + b"\r\n", 431),
        ):
            self.channel.connectionLost(DONE)
            self.channel, self.transport = self.connect()
            answer = self.answered(data)
            self.assertEqual((answer.status, bool(answer.message)), (status, True), data[:80])
            self.assertEqual(answer.headers["Connection"], "close")

    @given(st.binary(max_size=200))
    def test_anything_is_answered_or_refused_and_nothing_worse(self, data: bytes) -> None:
        for start in (b"", GET[:-2] % b"1", CHUNKS[:90]):
            channel, transport = self.connect()
            channel.dataReceived(start + data)
            for answer in answers(transport.value().replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")):
                self.assertIn(answer.status, (200, 400, 405, 500))
            channel.connectionLost(DONE)
        self.flushLoggedErrors(ValueError)  # of paths that are no numbers

    def test_after_a_refusal_nothing_is_read(self) -> None:
        self.channel.dataReceived(b"garbage\r\n\r\n" + GET % b"1")
        self.channel.dataReceived(GET % b"1")
        self.assertEqual([answer.status for answer in self.answers()], [400])
        self.wait(TIMEOUTS.linger)
        self.assertTrue(self.transport.disconnected)


class TurnTests(ChannelCase):
    def test_requests_sent_at_once_are_answered_in_order(self) -> None:
        self.channel.dataReceived(GET % b"1" + GET % b"wait" + GET % b"3" + GET % b"4")
        self.assertEqual(self.sizes(), [1])
        send(self.resource.waiting[0], Response(200, b"22"))
        self.assertEqual(self.sizes(), [1, 2, 3, 4])

    def test_a_request_hears_that_its_client_has_hung_up(self) -> None:
        self.channel.dataReceived(GET % b"wait" + GET % b"wait")
        self.channel.connectionLost(DONE)
        self.assertEqual(self.resource.hung_up, self.resource.waiting)

    def test_an_answer_for_a_client_that_is_gone_is_dropped(self) -> None:
        self.channel.dataReceived(GET % b"wait")
        self.channel.connectionLost(DONE)
        send(self.resource.waiting[0], Response(200, b"x" * 2 * CHUNK_SIZE))
        self.assertEqual(self.transport.value(), b"")

    def test_the_connection_closes_after_the_last_request(self) -> None:
        self.channel.dataReceived(ASK + b"Connection: close\r\n\r\n" + GET % b"1")
        self.assertEqual(self.sizes(), [1])
        self.assertTrue(self.transport.disconnecting)

    def test_no_more_is_read_while_an_answer_is_awaited(self) -> None:
        self.channel.dataReceived(GET % b"wait")
        self.channel.dataReceived(GET % b"1" * 200)
        self.assertEqual(self.transport.producerState, "paused")
        send(self.resource.waiting[0], Response(200, b""))
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.sizes(), [0] + [1] * 200)

    def test_what_breaks_is_answered_and_logged_under_a_reference(self) -> None:
        answer = self.answered(GET % b"nonsense")
        self.assertEqual(answer.status, 500)
        self.assertRegex(answer.message, "reference [0-9a-f]{12}")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class DeadlineTests(ChannelCase):
    def test_a_rest_between_requests_is_bounded(self) -> None:
        self.channel.dataReceived(GET % b"1")
        self.wait(TIMEOUTS.idle - 5)
        self.assertFalse(self.transport.disconnecting)
        self.wait(5)
        self.assertTrue(self.transport.disconnecting)

    def test_a_request_that_trickles_is_refused(self) -> None:
        for each in GET % b"1" * 2:
            self.channel.dataReceived(bytes([each]))
            self.clock.advance(1.0)
        self.assertEqual([answer.status for answer in self.answers()], [408])
        self.wait(TIMEOUTS.linger)
        self.assertTrue(self.transport.disconnected)

    def test_a_body_that_trickles_after_another_request_is_refused(self) -> None:
        self.channel.dataReceived(GET % b"1" + PUT % 5)
        for each in b"[1,":
            self.wait(TIMEOUTS.read / 3)
            self.channel.dataReceived(bytes([each]))
        self.assertEqual([answer.status for answer in self.answers()], [200, 408])

    def test_a_client_that_sends_nothing_is_cut_off(self) -> None:
        self.wait(TIMEOUTS.read)
        self.assertTrue(self.transport.disconnecting)

    def test_an_answer_may_take_as_long_as_it_takes(self) -> None:
        self.channel.dataReceived(GET % b"wait")
        self.wait(10 * TIMEOUTS.read)
        self.assertFalse(self.transport.disconnecting or self.transport.disconnected)

    def test_a_connection_that_does_not_close_is_cut_off(self) -> None:
        self.channel.dataReceived(ASK + b"Connection: close\r\n\r\n")
        self.wait(TIMEOUTS.write)
        self.assertTrue(self.transport.disconnected)


class WritingTests(ChannelCase):
    limits: dict[str, Any] = {"max_unsent": 5 * CHUNK_SIZE}

    def test_a_large_answer_goes_out_as_fast_as_it_is_read(self) -> None:
        self.channel.pauseProducing()
        self.channel.dataReceived(GET % str(3 * CHUNK_SIZE).encode())
        self.assertLess(len(self.transport.value()), 1000)
        self.channel.resumeProducing()
        self.assertEqual(self.sizes(), [3 * CHUNK_SIZE])

    def test_the_next_request_waits_until_the_answer_is_read(self) -> None:
        self.channel.pauseProducing()
        self.channel.dataReceived(GET % b"1" + GET % b"2")
        self.assertEqual(self.sizes(), [1])
        self.channel.resumeProducing()
        self.assertEqual(self.sizes(), [1, 2])

    def test_a_client_that_does_not_read_is_cut_off(self) -> None:
        self.channel.pauseProducing()
        self.channel.dataReceived(GET % b"1")
        self.wait(TIMEOUTS.write)
        self.assertTrue(self.transport.disconnected)

    def test_of_large_answers_that_are_not_read_the_oldest_is_given_up(self) -> None:
        clients = [self.connect() for _ in range(2)]
        for client, _ in clients:
            client.pauseProducing()
            client.dataReceived(GET % str(3 * CHUNK_SIZE).encode())
        self.assertEqual([transport.disconnected for _, transport in clients], [True, False])

    def test_nothing_refers_to_an_answer_whose_client_is_given_up(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        before = sys.getrefcount(LARGE)
        for end in (Channel.abort, lambda channel: channel.connectionLost(DONE)):
            channel, _ = self.connect()
            channel.pauseProducing()
            channel.dataReceived(GET % b"large")
            self.assertGreater(sys.getrefcount(LARGE), before)
            end(channel)
            self.assertEqual(sys.getrefcount(LARGE), before)

    def test_answers_that_were_read_do_not_count(self) -> None:
        for _ in range(3):
            self.channel.dataReceived(GET % str(3 * CHUNK_SIZE).encode())
        self.assertFalse(self.transport.disconnected)


class LargeRequestTests(ChannelCase):
    limits: dict[str, Any] = {"max_unread": 5 * CHUNK_SIZE}

    def test_of_large_requests_that_are_not_whole_the_oldest_is_refused(self) -> None:
        clients = [self.connect() for _ in range(2)]
        for client, _ in clients:
            client.dataReceived(PUT % 900000 + b"[" * 3 * CHUNK_SIZE)
        told = [[each.status for each in answers(sent.value())] for _, sent in clients]
        self.assertEqual(told, [[503], []])

    def test_large_requests_that_are_whole_do_not_count(self) -> None:
        clients = [self.connect() for _ in range(2)]
        for client, sent in clients:
            client.dataReceived(PUT % (3 * CHUNK_SIZE) + b"[" * (3 * CHUNK_SIZE - 1))
            client.dataReceived(b"[")
            self.assertEqual([each.status for each in answers(sent.value())], [200])


class CrowdTests(ChannelCase):
    def test_one_too_many_replaces_an_idle_connection(self) -> None:
        self.channel.dataReceived(GET % b"wait")
        _, idle = self.connect()
        begun, _ = self.connect()
        begun.dataReceived(b"GET")
        _, last = self.connect()
        self.assertEqual(
            [each.disconnected for each in (self.transport, idle, last)], [False, True, False]
        )
