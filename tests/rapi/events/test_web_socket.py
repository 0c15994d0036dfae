# SPDX-License-Identifier: BSD-2-Clause
"""The same events over a WebSocket, as another implementation of it reads them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from ganeti.rapi.channel import Channel
from ganeti.rapi.events.hub import HEARTBEAT
from ganeti.rapi.events.web_socket import text_frame
from tests.rapi.asking import AUTO, USERS
from tests.rapi.events.case import EventCase


class Client:
    """A client of the WebSocket, and what it has received."""

    def __init__(
        self, channel: Channel, transport: StringTransport, path: str, **headers: str
    ) -> None:
        self.channel = channel
        self.transport = transport
        self._wire = WSConnection(ConnectionType.CLIENT)
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.send(Request(host="x", target=path, extra_headers=given))
        self.received: list[Event] = []

    def send(self, event: Event) -> None:
        self.channel.dataReceived(self._wire.send(event))

    def read(self) -> list[Event]:
        """Everything that has come."""
        self._wire.receive_data(self.transport.value())
        self.transport.clear()
        self.received += self._wire.events()
        return self.received

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(each.data) for each in self.read() if isinstance(each, TextMessage)]

    def closed(self) -> int | None:
        """The code with which the server has closed it."""
        return next((e.code for e in self.read() if isinstance(e, CloseConnection)), None)


class WebSocketTests(EventCase):
    max_bytes = 8000

    def connect(self, query: str = "", **headers: str) -> Client:
        name, _, value = AUTO.strip().partition(": ")
        channel, transport = self.asker.connect()
        client = Client(channel, transport, f"/2/events{query}", **{name: value, **headers})
        self.turn()
        client.read()
        return client

    def test_what_happens_is_a_message(self) -> None:
        client = self.connect()
        self.change("web1", "web2")
        ready, *messages = client.messages()
        self.assertEqual(ready, {"kind": "ready", "position": "1"})
        self.assertEqual(
            [(m["id"], m["name"]) for m in messages], [("2.1", "web1"), ("2.2", "web2")]
        )
        self.assertIsInstance(client.received[0], AcceptConnection)

    def test_it_goes_on_from_a_position_with_a_selection(self) -> None:
        for _ in range(3):
            self.change("web1", "web2")
        client = self.connect("?since=2.2&name=web2")
        self.assertEqual([message["id"] for message in client.messages()], ["3.2", "4.2"])

    def test_it_takes_a_login(self) -> None:
        client = self.connect(Authorization="Basic eDp5")
        [rejected] = [each for each in client.read() if isinstance(each, RejectConnection)]
        self.assertEqual(rejected.status_code, 401)

    def test_pages_of_other_sites_are_refused(self) -> None:
        client = self.connect(Origin="https://elsewhere")
        [rejected] = [each for each in client.read() if isinstance(each, RejectConnection)]
        self.assertEqual(rejected.status_code, 403)
        own = self.connect(Origin="https://x")
        self.assertIsInstance(own.read()[0], AcceptConnection)

    def test_a_handshake_that_is_none_is_refused(self) -> None:
        _, transport = self.request(headers=AUTO + "Upgrade: websocket\r\n")
        self.assertIn(b"400 Bad Request", transport.value())
        self.assertIn(b"malformed WebSocket handshake", transport.value())

    def test_a_heartbeat_tells_the_position(self) -> None:
        client = self.connect("?name=web9")
        self.change("web1")
        self.clock.advance(HEARTBEAT)
        self.assertEqual(client.messages()[-1], {"kind": "heartbeat", "position": "2"})

    def test_a_ping_is_answered(self) -> None:
        client = self.connect()
        client.send(Ping(payload=b"there?"))
        self.assertEqual(client.read()[-1], Pong(payload=b"there?"))

    def test_a_client_that_closes_is_let_go(self) -> None:
        client = self.connect()
        client.send(CloseConnection(code=1000))
        self.assertEqual(client.closed(), 1000)
        self.assertTrue(client.transport.disconnecting)
        self.hang_up(client.channel)
        self.assertEqual((len(self.hub), len(self.asker.site.connections)), (0, 0))

    def test_there_is_nothing_to_be_said(self) -> None:
        for event in (TextMessage(data="x", message_finished=False), BytesMessage(data=b"x")):
            client = self.connect()
            client.send(event)
            self.assertEqual(client.closed(), 1003)
            self.hang_up(client.channel)

    def test_what_is_no_frame_ends_the_connection(self) -> None:
        client = self.connect()
        client.channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(client.transport.disconnecting)

    def test_one_that_falls_behind_is_told_its_position(self) -> None:
        client = self.connect()
        self.change("web1")
        client.channel.pauseProducing()
        for _ in range(50):
            self.change("web1")
        self.assertEqual(client.messages()[-1], {"kind": "lagged", "position": "2"})
        self.assertEqual(client.closed(), 1013)
        self.assertTrue(client.transport.disconnecting)

    def test_a_login_that_is_over_ends_it(self) -> None:
        client = self.connect()
        with open(self.asker.users._path, "w") as file:
            file.write(USERS.replace("xyz789 write", "changed-password write"))
        self.clock.advance(HEARTBEAT)
        self.assertEqual(client.closed(), 1008)


class FrameTests(SynchronousTestCase):
    @given(st.sampled_from((0, 1, 125, 126, 127, 65535, 65536, 70000)))
    def test_messages_of_any_length_can_be_read(self, size: int) -> None:
        connection = Connection(ConnectionType.CLIENT)
        connection.receive_data(text_frame(b"x" * size))
        text = "".join(
            event.data for event in connection.events() if isinstance(event, TextMessage)
        )
        self.assertEqual(text, "x" * size)
