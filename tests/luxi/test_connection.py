# SPDX-License-Identifier: BSD-2-Clause
"""Requests of a client are answered in order, and end when it hangs up."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ganeti.errors import Failed, Refused
from ganeti.luxi.connection import MAX_WAITING, LuxiConnection, LuxiService, remove_stale_socket
from ganeti.luxi.methods import METHODS
from ganeti.luxi.server import LuxiMethods


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.under_way: list[Deferred[list[str]]] = []
        self.canceled = 0
        self.nevertheless: list[str] = []
        self.connection = LuxiConnection(LuxiMethods({"QueryTags": self.tags}))
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)

    async def tags(self, kind: str, name: str | None) -> list[str]:
        if kind == "cluster":
            return ["at once"]
        self.under_way.append(Deferred(self.cancel))
        return await self.under_way[-1]

    def cancel(self, waiting: Deferred[list[str]]) -> None:
        self.canceled += 1
        if self.nevertheless:
            waiting.callback(self.nevertheless)

    def ask(self, *kinds: str) -> None:
        message = '{"method": "QueryTags", "args": ["%s"]}\x03'
        self.connection.dataReceived("".join(message % kind for kind in kinds).encode())

    def answers(self) -> Iterator[str]:
        for answer in self.transport.value().split(b"\x03")[:-1]:
            yield answer.decode().split('"')[-2]

    def test_answers_come_in_the_order_of_the_requests(self) -> None:
        self.ask("node", "cluster", "node")
        self.assertEqual(list(self.answers()), [])
        self.under_way[0].callback(["later"])
        self.assertEqual(list(self.answers()), ["later", "at once"])
        self.under_way[1].callback(["last"])
        self.assertEqual(list(self.answers()), ["later", "at once", "last"])

    def test_a_client_that_hangs_up_cancels_what_it_asked_for(self) -> None:
        self.ask("node", "node")
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.canceled, len(self.under_way)), (1, 1))

    def test_nothing_is_sent_to_a_client_that_has_hung_up(self) -> None:
        class Closed(StringTransport):
            def write(self, data: bytes) -> None:
                raise AssertionError(f"written after the end: {data!r}")

        self.ask("node")
        self.connection.transport = Closed()
        self.nevertheless = ["done"]
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_connection_stays_after_nonsense(self) -> None:
        self.connection.dataReceived(b"nonsense\x03")
        self.ask("cluster")
        self.assertEqual(list(self.answers())[1:], ["at once"])
        self.assertFalse(self.transport.disconnecting)

    def test_a_transport_that_fails_ends_the_connection(self) -> None:
        def write(data: bytes) -> None:
            raise MemoryError("no room for the answer")

        self.transport.write = write  # type: ignore[method-assign]  # as a full host would
        self.ask("cluster", "cluster")
        self.assertTrue(self.transport.disconnected or self.transport.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(MemoryError)), 1)

    def test_a_request_without_end_is_cut_off(self) -> None:
        for _ in range(65):
            self.connection.dataReceived(b"x" * 1024 * 1024)
        self.assertTrue(self.transport.disconnecting)
        self.assertIn(b"longer than", self.transport.value())

    def test_a_request_without_end_is_answered_after_those_before_it(self) -> None:
        self.ask("node")
        for _ in range(66):
            self.connection.dataReceived(b"x" * 1024 * 1024)
        self.assertEqual((self.transport.value(), self.transport.disconnecting), (b"", False))
        self.under_way[0].callback(["first"])
        self.assertRegex(self.transport.value(), rb"^[^\x03]*first[^\x03]*\x03[^\x03]*longer than")
        self.assertEqual(self.transport.value().count(b"\x03"), 2)
        self.assertTrue(self.transport.disconnecting)

    def test_work_that_something_else_cancels_is_answered(self) -> None:
        self.ask("node", "cluster")
        self.under_way[0].errback(CancelledError())
        self.assertIn(b'"OpPrereqError",["the request was cancelled', self.transport.value())
        self.assertEqual(list(self.answers())[1:], ["at once"])

    def test_who_does_not_read_gets_no_more_answers(self) -> None:
        self.connection.pauseProducing()
        self.ask("cluster", "cluster", "cluster")
        self.assertEqual(list(self.answers()), ["at once"])
        self.connection.resumeProducing()
        self.assertEqual(list(self.answers()), ["at once"] * 3)

    def test_who_asks_too_much_at_once_is_not_read_from(self) -> None:
        self.ask("node", *["cluster"] * (MAX_WAITING + 1))
        self.assertEqual(self.transport.producerState, "paused")
        self.under_way[0].callback(["later"])
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(len(list(self.answers())), MAX_WAITING + 2)


class ServiceTests(TestCase):
    async def test_both_sockets_are_made_for_owner_and_group(self) -> None:
        paths = [self.mktemp() for _ in range(2)]
        service = LuxiService(cast(IReactorUNIX, reactor), paths, LuxiMethods({}))
        service.startService()
        try:
            modes = {stat.S_IMODE(os.stat(path).st_mode) for path in paths}
            self.assertEqual(modes, {0o660})
            self.assertRaisesRegex(Refused, "another master daemon", remove_stale_socket, paths[0])
        finally:
            await service.stopService()


def deep(opening: bytes, closing: bytes) -> bytes:
    return opening * 5000 + b"1" + closing * 5000


class OddRequestTests(TestCase):
    """Through a real socket, as a client has it."""

    async def tags(self, kind: str, name: str | None) -> Any:
        match kind:
            case "memory":
                raise MemoryError
            case "deep":
                # As the encoder does; how deep an answer may be depends on the version of Python.
                raise RecursionError
            case _:
                return {b"\xff": object()}

    async def asked(self, *requests: bytes) -> list[bytes]:
        """Return what each request is answered with; all share one connection."""
        path = self.mktemp()
        service = LuxiService(
            cast(IReactorUNIX, reactor), [path], LuxiMethods({"QueryTags": self.tags})
        )
        service.startService()
        try:
            return await deferToThread(exchange, path, requests)
        finally:
            await service.stopService()

    async def test_whatever_is_asked_is_answered(self) -> None:
        odd = [
            b'{"method":"%b","args":%b}' % (name.encode(), args)
            for name in METHODS
            for args in (
                deep(b"[", b"]"),
                deep(b'{"a":', b"}"),
                b"[" + deep(b"[", b"]") + b"]",
                b'["\xff"]',
                b'["\\ud800", "\\u0000"]',
                b"[" + b"9" * 5000 + b"]",
                b"[1e999]",
                b"null",
            )
        ]
        odd += [b"", b"\0", b"\xff\xfe", b"[" * 100_000, b'{"method":{},"args":[]}', b'{"args":[]}']
        for request, answer in zip(odd, await self.asked(*odd), strict=True):
            self.assertFalse(msgspec.json.decode(answer)["success"], request[:60])

    async def test_whatever_goes_wrong_is_answered_and_logged(self) -> None:
        request = b'{"method":"QueryTags","args":["%b"]}'
        for answer in await self.asked(*(request % each for each in (b"memory", b"deep", b"odd"))):
            self.assertIn(
                b"internal error; details are in the log of the master daemon under", answer
            )
        logged = [each.type for each in self.flushLoggedErrors()]
        self.assertEqual(logged, [MemoryError, RecursionError, TypeError])


def exchange(path: str, requests: Iterable[bytes]) -> list[bytes]:
    """Send requests one by one on a connection; the answer to each."""
    answers = []
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        for request in requests:
            client.sendall(request + b"\x03")
            answer = bytearray()
            while not answer.endswith(b"\x03"):
                answer += client.recv(65536) or b"the connection was closed\x03"
            answers.append(bytes(answer[:-1]))
    return answers


class MakeRoomTests(SynchronousTestCase):
    def test_a_socket_without_a_listener_goes_away(self) -> None:
        path = self.mktemp()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        remove_stale_socket(path)
        self.assertFalse(os.path.exists(path))

    def test_other_files_and_endless_paths_are_refused(self) -> None:
        path = self.mktemp()
        with open(path, "w"):
            pass
        self.assertRaisesRegex(Failed, "not a socket", remove_stale_socket, path)
        self.assertRaisesRegex(Failed, "too long", remove_stale_socket, "/x" * 60)
