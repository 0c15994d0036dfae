# SPDX-License-Identifier: BSD-2-Clause
"""Bulk lists: sent again only if they have changed, and compressed for clients that accept that."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import QueryObjectPages, QueryObjects, Request
from ganeti.rapi.request_arguments import parse_tags
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import AUTO, NodeClient

PATH = "/2/instances?bulk=1"
ROWS = [{"name": f"web{number}", "tags": ["x" * 40]} for number in range(2000)]


def tagged(asked: Any) -> dict[str, Any]:
    """Answer as a master whose list has the tag ``now``."""
    return {"tag": "now", "objects": None if "now" in asked.known else ROWS}


def dechunked(data: bytes) -> bytes:
    """Return the body of an answer in chunks (RFC 9112 section 7.1)."""
    body, rest = b"", data
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


class LargeListTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({QueryObjects: tagged})
        self.asker = NodeClient(self.master, self.mktemp())

    def list(self, headers: str) -> tuple[bytes, bytes]:
        """The head and the body of the answer."""
        connection, transport = self.asker.connect()
        request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{AUTO}{headers}\r\n"
        connection.dataReceived(request.encode())
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return head, body

    def test_a_list_has_a_tag(self) -> None:
        head, body = self.list("")
        self.assertIn(b'ETag: W/"now"', head)
        self.assertEqual(json.loads(body), ROWS)

    def test_what_the_client_has_is_not_sent_again(self) -> None:
        head, body = self.list('If-None-Match: "old", W/"now"\r\n')
        self.assertIn(b"304 Not Modified", head)
        self.assertIn(b'ETag: W/"now"', head)
        self.assertNotIn(b"Content-Length", head)
        self.assertEqual(body, b"")

    def test_a_list_that_has_changed_is_sent(self) -> None:
        head, body = self.list('If-None-Match: W/"old"\r\n')
        self.assertIn(b"200 OK", head)
        self.assertEqual(json.loads(body), ROWS)

    def test_it_is_compressed_for_who_accepts_that(self) -> None:
        head, body = self.list("Accept-Encoding: deflate, gzip;q=0.5\r\n")
        self.assertIn(b"Content-Encoding: gzip", head)
        self.assertIn(b"Vary: Accept-Encoding", head)
        self.assertEqual(json.loads(gzip.decompress(dechunked(body))), ROWS)
        self.assertLess(len(body), len(json.dumps(ROWS)) / 5)

    def test_it_is_not_compressed_for_who_refuses_that(self) -> None:
        for accepted in ("", "Accept-Encoding: br, gzip;q=0\r\n", "Accept-Encoding: identity\r\n"):
            head, body = self.list(accepted)
            self.assertNotIn(b"Content-Encoding", head)
            self.assertEqual(json.loads(body), ROWS)


class PagedMaster(MemoryMaster):
    """A master that answers with pages of 500 objects, when ``answer_page`` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[QueryObjectPages, Deferred[msgspec.Raw]]] = []

    async def ask_raw(self, request: Request[object], caller: Caller | None = None) -> msgspec.Raw:
        if not isinstance(request, QueryObjectPages):
            return await super().ask_raw(request, caller)
        answer: Deferred[msgspec.Raw] = Deferred()
        self.waiting.append((request, answer))
        return await answer

    def answer_page(self) -> None:
        request, answer = self.waiting.pop(0)
        objects = ROWS[500 * request.page : 500 * request.page + 500]
        head = {} if request.tag else {"tag": "now", "size": len(WHOLE), "pages": 4}
        answer.callback(msgspec.Raw(msgspec.json.encode({**head, "objects": objects})))


WHOLE = msgspec.json.encode(ROWS)


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = PagedMaster()
        asker = NodeClient(self.master, self.mktemp())
        self.connection, self.transport = asker.connect()
        request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{AUTO}\r\n"
        self.connection.dataReceived(request.encode())

    def body(self) -> bytes:
        body: bytes = self.transport.value().partition(b"\r\n\r\n")[2]
        return body

    def test_pages_are_sent_as_one_list_of_known_length(self) -> None:
        for _ in range(4):
            self.master.answer_page()
        self.assertIn(b"Content-Length: %d\r\n" % (len(WHOLE) + 1), self.transport.value())
        self.assertEqual(self.body(), WHOLE + b"\n")
        self.assertEqual(self.master.waiting, [])

    def test_a_page_is_sent_before_the_next_one_is_there(self) -> None:
        self.master.answer_page()
        self.assertEqual(self.body(), msgspec.json.encode(ROWS[:500])[:-1])
        [(request, _)] = self.master.waiting
        self.assertEqual((request.tag, request.page), ("now", 1))

    def test_a_client_that_reads_nothing_has_one_page_fetched_ahead(self) -> None:
        self.master.answer_page()
        self.connection.pauseProducing()
        self.master.answer_page()
        self.master.answer_page()
        sent = len(self.body())
        self.assertEqual(len(self.master.waiting), 0)
        self.connection.resumeProducing()
        self.assertGreater(len(self.body()), sent)

    def test_a_client_that_reads_slowly_gets_all(self) -> None:
        def write(data: bytes) -> None:
            write_at_once(data)
            self.connection.pauseProducing()

        write_at_once = self.transport.write
        self.patch(self.transport, "write", write)
        for _ in range(50):
            if self.master.waiting:
                self.master.answer_page()
            self.connection.resumeProducing()
        self.assertEqual(self.body(), WHOLE + b"\n")

    def test_a_list_that_cannot_be_completed_is_cut_off(self) -> None:
        self.master.answer_page()
        _, page = self.master.waiting.pop()
        page.errback(Refused("the list has changed too often"))
        self.assertTrue(self.transport.disconnected)
        self.assertLess(len(self.body()), len(WHOLE))

    def test_a_client_that_hangs_up_has_no_more_fetched(self) -> None:
        self.master.answer_page()
        self.connection.connectionLost(Failure(ConnectionDone()))
        [(_, page)] = self.master.waiting
        self.assertTrue(page.called)
        self.assertFalse(self.master.waiting[1:])


class TagTests(SynchronousTestCase):
    def test_tags_are_compared_weakly_and_an_asterisk_is_none(self) -> None:
        self.assertEqual(parse_tags([b'W/"a", "b"', b'"c"']), ("a", "b", "c"))
        self.assertEqual(parse_tags([b"*"]), ())
        self.assertEqual(parse_tags([b'"a\x00b", unquoted']), ())
