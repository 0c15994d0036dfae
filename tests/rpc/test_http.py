# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from http import HTTPStatus
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rpc.http import Broken, Message, MessageReader, answered, asked, request, response


def read(*pieces: bytes, body_limit: int = 100) -> list[Message]:
    reader = MessageReader(body_limit=body_limit)
    return [message for piece in pieces for message in reader.receive(piece)]


class ReaderTests(SynchronousTestCase):
    def broken(self, *pieces: bytes) -> HTTPStatus:
        broken: Broken = self.assertRaises(Broken, read, *pieces)
        return broken.status

    def test_a_request_is_read_as_it_was_written(self) -> None:
        [message] = read(request("version", "node1", "X-Ganeti-Term: 3\r\n", b"{}"))
        self.assertEqual(asked(message.start), ("POST", "/version"))
        self.assertEqual((message.headers[b"x-ganeti-term"], message.body), (b"3", b"{}"))

    def test_an_answer_is_read_as_it_was_written(self) -> None:
        [message] = read(response(HTTPStatus.NOT_FOUND, b"no", last=True))
        self.assertEqual((answered(message), message.body, message.last), (404, b"no", True))

    @given(
        st.lists(st.binary(max_size=100), max_size=4),
        st.lists(st.integers(min_value=0, max_value=400), max_size=6),
    )
    def test_messages_chopped_anywhere_come_out_whole(
        self, bodies: list[bytes], cuts: list[int]
    ) -> None:
        stream = b"".join(request("x", "y", "", body) for body in bodies)
        places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        pieces = [stream[a:b] for a, b in pairwise(places)]
        self.assertEqual([message.body for message in read(*pieces)], bodies)

    @given(st.binary() | st.text(alphabet="GET /:\r\nxHTP1.").map(str.encode))
    def test_any_bytes_are_messages_or_broken_ones(self, data: bytes) -> None:
        try:
            for message in read(data + b"\r\n\r\n"):
                asked(message.start)
        except Broken:
            pass

    def test_endless_headers_are_refused(self) -> None:
        self.assertEqual(self.broken(b"POST /x HTTP/1.1\r\n", b"a" * 9000), 431)

    def test_a_body_that_is_too_long_is_refused_before_it_comes(self) -> None:
        head = b"POST /x HTTP/1.1\r\nContent-Length: 101\r\n\r\n"
        self.assertEqual(self.broken(head), 413)

    def test_a_body_that_is_not_of_interest_is_dropped_as_it_arrives(self) -> None:
        reader = MessageReader(
            body_limit=10**6, admit=lambda start, _: None if b"/x" in start else 5
        )
        stream = request("x", "y", "", b"a" * 10**5) + request("z", "y", "", b"short")
        found = [
            message
            for at in range(0, len(stream), 999)
            for message in reader.receive(stream[at : at + 999])
        ]
        self.assertEqual([(m.discarded, m.body) for m in found], [(True, b""), (False, b"short")])

    def test_how_much_is_read_follows_from_the_head(self) -> None:
        reader = MessageReader(body_limit=10**6, admit=lambda *_: 5)
        broken = self.assertRaises(Broken, list, reader.receive(request("x", "y", "", b"longer")))
        self.assertEqual(broken.status, 413)

    def test_lengths_and_headers_that_smugglers_use_are_refused(self) -> None:
        for line, status in (
            (b"Content-Length: -1", 400),
            (b"Content-Length: 1, 1", 400),
            (b"Content-Length: 1\r\ncontent-length: 1", 400),
            (b"Transfer-Encoding: chunked", 501),
            (b"X : y", 400),
            (b" folded", 400),
        ):
            self.assertEqual(self.broken(b"POST /x HTTP/1.1\r\n" + line + b"\r\n\r\n"), status)
