# SPDX-License-Identifier: BSD-2-Clause
"""Requests come out whole however they are cut, or are refused with the right status."""

from __future__ import annotations

from http import HTTPStatus

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.http import MOST_HEAD, Malformed, Request, RequestReader, Response, head_of

GET = b"GET /2/info?bulk=1 HTTP/1.1\r\nHost: x\r\nAccept: a\r\naccept: b\r\n\r\n"
PUT = b"PUT /2/tags HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[1,2]"
CHUNKS = (
    b"POST /2/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\n[1,\r\n2\r\n2]\r\n0\r\nTrailer: x\r\n\r\n"
)


def read(data: bytes, *, most_body: int = 100) -> list[Request]:
    reader = RequestReader(most_body=most_body)
    reader.feed(data)
    return list(iter(reader.next, None))


class RequestReaderTests(SynchronousTestCase):
    def test_a_request_is_taken_apart(self) -> None:
        headers = {"host": "x", "accept": "a, b"}
        self.assertEqual(read(GET), [Request("GET", "/2/info", "bulk=1", headers, b"", keep=True)])

    def test_bodies_come_with_a_length_or_in_chunks(self) -> None:
        self.assertEqual([each.body for each in read(PUT + CHUNKS + PUT)], [b"[1,2]"] * 3)

    @given(st.lists(st.sampled_from([GET, PUT, CHUNKS])), st.lists(st.integers(1, 40)))
    def test_requests_come_out_however_they_are_cut(
        self, sent: list[bytes], cuts: list[int]
    ) -> None:
        reader, found, left = RequestReader(), [], b"".join(sent)
        for cut in [*cuts, len(left)]:
            reader.feed(left[:cut])
            left = left[cut:]
            found += list(iter(reader.next, None))
        self.assertEqual(found, [read(each)[0] for each in sent])
        self.assertEqual((reader.midway, reader.size), (False, 0))

    def test_who_goes_on_is_said_by_version_and_header(self) -> None:
        for version, header, keep in (
            (b"1.1", b"", True),
            (b"1.1", b"Connection: close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: Keep-Alive\r\n", True),
        ):
            (request,) = read(b"GET / HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, header))
            self.assertEqual(request.keep, keep)

    def test_a_proxy_may_send_the_whole_address(self) -> None:
        (request,) = read(b"GET https://x:5080/2?a=b HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((request.path, request.query), ("/2", "a=b"))

    def test_who_waits_to_go_on_is_told_once(self) -> None:
        reader = RequestReader()
        reader.feed(PUT.replace(b"Host", b"Expect: 100-continue\r\nHost")[:-5])
        self.assertIsNone(reader.next())
        self.assertEqual([reader.wants_go_ahead() for _ in range(2)], [True, False])

    def test_what_cannot_be_served_has_a_status(self) -> None:
        ask = b"GET / HTTP/1.1\r\nHost: x\r\n"
        for data, status in (
            (b"nonsense\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (b"GET /\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (b"GET / HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (b"GET / HTTP/2.0\r\n\r\n", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
            (ask + b"no colon\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (ask + b" folded: x\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (ask + b"A: b\nC: d\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (ask + b"Host: y\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (ask + b"Content-Length: +1\r\n\r\n", HTTPStatus.BAD_REQUEST),
            (ask + b"Content-Length: 101\r\n\r\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
            (ask + b"Transfer-Encoding: gzip\r\n\r\n", HTTPStatus.NOT_IMPLEMENTED),
            (CHUNKS.replace(b"Host", b"Content-Length: 1\r\nHost"), HTTPStatus.BAD_REQUEST),
            (CHUNKS.replace(b"3;", b"4;"), HTTPStatus.BAD_REQUEST),
            (CHUNKS.replace(b"3;", b"x;"), HTTPStatus.BAD_REQUEST),
            (CHUNKS.replace(b"3;", b"fff;"), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
            (b"GET /" + b"x" * 9000, HTTPStatus.REQUEST_URI_TOO_LONG),
            (ask + b"A: b\r\n" * 4000, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        ):
            with self.assertRaises(Malformed) as caught:
                read(data)
            self.assertEqual(caught.exception.status, status, data[:80])

    @given(st.binary(max_size=200))
    def test_anything_is_a_request_or_refused_and_nothing_worse(self, data: bytes) -> None:
        for start in (b"", GET[:-2], CHUNKS[:70]):
            try:
                read(start + data)
            except Malformed:
                continue

    def test_what_is_kept_is_bounded(self) -> None:
        reader = RequestReader()
        with self.assertRaises(Malformed):
            for _ in range(MOST_HEAD):
                reader.feed(b"A")
                reader.next()
        self.assertLess(reader.size, MOST_HEAD)


class HeadTests(SynchronousTestCase):
    def test_a_response_says_what_clients_need(self) -> None:
        lines = head_of(Response(200, b"[]"), 0, keep=False).split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 200 OK")
        self.assertTrue(lines[1].startswith(b"Server: Ganeti "))
        self.assertEqual(
            lines[2:],
            [
                b"Content-Type: application/json",
                b"Content-Length: 3",
                b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
                b"Connection: close",
                b"",
                b"",
            ],
        )
