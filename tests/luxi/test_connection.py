# SPDX-License-Identifier: BSD-2-Clause
"""Requests of a client are answered in order, and end when it hangs up."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ganeti.errors import Failed, Refused
from ganeti.luxi.connection import MOST_WAITING, Connection, LuxiService, make_room
from ganeti.luxi.server import Methods


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.under_way: list[Deferred[list[str]]] = []
        self.canceled = 0
        self.connection = Connection(Methods({"QueryTags": self.tags}))
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)

    async def tags(self, kind: str, name: str | None) -> list[str]:
        if kind == "cluster":
            return ["at once"]
        self.under_way.append(Deferred(self.cancel))
        return await self.under_way[-1]

    def cancel(self, _: Deferred[list[str]]) -> None:
        self.canceled += 1

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

    def test_who_does_not_read_gets_no_more_answers(self) -> None:
        self.connection.pauseProducing()
        self.ask("cluster", "cluster", "cluster")
        self.assertEqual(list(self.answers()), ["at once"])
        self.connection.resumeProducing()
        self.assertEqual(list(self.answers()), ["at once"] * 3)

    def test_who_asks_too_much_at_once_is_not_read_from(self) -> None:
        self.ask("node", *["cluster"] * (MOST_WAITING + 1))
        self.assertEqual(self.transport.producerState, "paused")
        self.under_way[0].callback(["later"])
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(len(list(self.answers())), MOST_WAITING + 2)


class ServiceTests(TestCase):
    async def test_both_sockets_are_made_for_owner_and_group(self) -> None:
        paths = [self.mktemp() for _ in range(2)]
        service = LuxiService(cast(IReactorUNIX, reactor), paths, Methods({}))
        service.start()
        try:
            modes = {stat.S_IMODE(os.stat(path).st_mode) for path in paths}
            self.assertEqual(modes, {0o660})
            self.assertRaisesRegex(Refused, "another master daemon", make_room, paths[0])
        finally:
            await service.stop()


class MakeRoomTests(SynchronousTestCase):
    def test_a_socket_without_a_listener_goes_away(self) -> None:
        path = self.mktemp()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        make_room(path)
        self.assertFalse(os.path.exists(path))

    def test_other_files_and_endless_paths_are_refused(self) -> None:
        path = self.mktemp()
        with open(path, "w"):
            pass
        self.assertRaisesRegex(Failed, "no socket", make_room, path)
        self.assertRaisesRegex(Failed, "too long", make_room, "/x" * 60)
