# SPDX-License-Identifier: BSD-2-Clause
"""Events as messages over a WebSocket (RFC 6455).

wsproto parses the handshake and the client's frames. Events are framed here, once for all clients:
the WebSocket resource of ``twisted.web`` frames them for each client, accepts messages of any
length, and bypasses the end of the connection in :class:`~ganeti.rapi.channel.Channel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Pong
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ganeti.events.event import Event
from ganeti.events.stream_position import StreamPosition
from ganeti.rapi.events.live_subscribers import Encode
from ganeti.rapi.events.stream import LAGGED
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.same_origin import require_same_origin

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

_FINAL_TEXT = b"\x81"


def is_upgrade(request: ApiRequest) -> bool:
    """Return whether the client requests a WebSocket."""
    return b"websocket" in (request.getHeader(b"upgrade") or b"").lower()


def text_frame(payload: bytes) -> bytes:
    """Return a text message in one unmasked frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"%b%c%b" % (_FINAL_TEXT, size, payload)
    if size < 1 << 16:
        return b"%b\x7e%b%b" % (_FINAL_TEXT, size.to_bytes(2, "big"), payload)
    return b"%b\x7f%b%b" % (_FINAL_TEXT, size.to_bytes(8, "big"), payload)


def encode_messages(events: Sequence[Event]) -> bytes:
    """Encode events as text messages."""
    return b"".join(text_frame(event.data) for event in events)


class WebSocketMessages:
    """The event stream as messages on the connection of a request that asks for an upgrade."""

    encode: Encode = staticmethod(encode_messages)

    def __init__(self, request: ApiRequest) -> None:
        """Parse the handshake in ``request``.

        :raises HttpProblem: 400 if it is malformed, 403 if it comes from a page of another site.
        """
        require_same_origin(request)
        self._channel: Any = request.channel
        self._handshake = H11Handshake(ConnectionType.SERVER)
        headers = [
            (name, value)
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        try:
            self._handshake.initiate_upgrade_connection(headers, request.path)
        except RemoteProtocolError as e:
            raise HttpProblem(
                HTTPStatus.BAD_REQUEST, f"malformed WebSocket handshake: {e}"
            ) from None

    def begin(self) -> None:
        self._channel.write(self._handshake.send(AcceptConnection()))
        self._channel.upgrade(self.received)

    def notice(self, kind: str, position: StreamPosition) -> bytes:
        return text_frame(f'{{"kind":"{kind}","position":"{position}"}}'.encode("ascii"))

    def write(self, data: bytes) -> None:
        self._channel.write(data)

    def finish(self, kind: str) -> None:
        code = CloseReason.TRY_AGAIN_LATER if kind == LAGGED else CloseReason.POLICY_VIOLATION
        self._close(CloseConnection(code=code, reason=kind))

    def received(self, data: bytes) -> None:
        """Handle bytes from the client, which may only ping and close."""
        connection = self._connection()
        try:
            connection.receive_data(data)
            for event in connection.events():
                if isinstance(event, Ping):
                    self._channel.write(connection.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self._close(event.response())
                    self._channel.loseConnection()
                    return
                elif not isinstance(event, Pong):
                    why = "the event stream accepts no messages"
                    self._close(CloseConnection(code=CloseReason.UNSUPPORTED_DATA, reason=why))
                    self._channel.loseConnection()
                    return
        except (LocalProtocolError, RemoteProtocolError):
            self._channel.abort()

    def _close(self, event: CloseConnection) -> None:
        try:
            self._channel.write(self._connection().send(event))
        except LocalProtocolError:
            return  # the connection was closed before

    def _connection(self) -> Connection:
        connection = self._handshake.connection
        assert connection is not None
        return connection
