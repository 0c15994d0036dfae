# SPDX-License-Identifier: BSD-2-Clause
"""The server's end of a WebSocket (RFC 6455) on the connection of a request that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError
from zope.interface import implementer

if TYPE_CHECKING:
    from ganeti.web.channel import LimitedChannel
    from ganeti.web.request import MemoryRequest


MAX_TEXT = 1024
"""How long a text message of a client may be, in characters."""

MAX_REASON = 120
"""How long the reason for closing may be, in characters of ASCII (RFC 6455, section 5.5)."""


PING_SECONDS = 20.0
"""How often the client is asked whether it is there; one that does not answer in time is gone."""


class BadHandshake(Exception):
    """A request is not one that opens a WebSocket; the message says why."""


class Receiver(Protocol):
    """Takes what the client sends; nothing more is called after ``lost``."""

    def received(self, data: bytes) -> None:
        """Take a piece of a binary message."""
        ...

    def received_text(self, text: str) -> None:
        """Take a whole text message."""
        ...

    def paused(self, *, paused: bool) -> None:
        """The client reads more slowly than it is sent to, or does not any more."""
        ...

    def lost(self) -> None:
        """The connection is gone."""
        ...


@implementer(IPushProducer)
class ServerWebSocket:
    """Sends messages, and hands on what is received: binary messages in pieces of any length."""

    def __init__(self, request: MemoryRequest) -> None:
        """Read the handshake.

        :raises BadHandshake: the request is none.
        """
        assert request.channel is not None
        self._request = request
        self._channel: LimitedChannel = request.channel
        self._receiver: Receiver | None = None
        self._heard = True
        self._text = ""
        self._timer: IDelayedCall | None = None
        self._handshake = H11Handshake(ConnectionType.SERVER)
        headers = [
            (name, value)
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        try:
            self._handshake.initiate_upgrade_connection(headers, request.path)
        except RemoteProtocolError as e:
            raise BadHandshake(str(e)) from None

    def accept(self, receiver: Receiver, *headers: tuple[bytes, bytes]) -> None:
        """Answer the handshake, with further headers; ``receiver`` gets what comes."""
        self._receiver = receiver
        self._request.notifyFinish().addBoth(lambda _: self._lost())
        self._request.registerProducer(self, True)
        self._channel.write(self._handshake.send(AcceptConnection(extra_headers=list(headers))))
        # After the answer, as what the client has sent already is delivered at once.
        self._channel.upgrade(self._received)
        self._beat()

    def send(self, data: bytes) -> None:
        """Send a binary message."""
        self._send(BytesMessage(data=data))

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._send(TextMessage(data=text))

    def close(self, why: str, code: int = CloseReason.NORMAL_CLOSURE) -> None:
        """Say why, and close the connection."""
        if self._receiver is None:
            return
        self._send(CloseConnection(code=code, reason=why[:MAX_REASON]))
        self._end()

    def abort(self) -> None:
        """Close the connection at once; what was sent and not read is lost."""
        self._channel.abort()
        self._lost()

    def pause_reading(self) -> None:
        """Take nothing from the client for now."""
        self._channel.pause_reading()

    def resume_reading(self) -> None:
        """Take what the client sends again."""
        self._channel.resume_reading()

    # --- what the connection tells

    def pauseProducing(self) -> None:
        if self._receiver is not None:
            self._receiver.paused(paused=True)

    def resumeProducing(self) -> None:
        if self._receiver is not None:
            self._receiver.paused(paused=False)

    def stopProducing(self) -> None:
        self._lost()

    def _beat(self) -> None:
        self._timer = None
        if not self._heard:
            # A computer that went to sleep, or has lost its network, does not say so.
            self.abort()
            return
        self._heard = False
        self._send(Ping())
        self._timer = self._channel.site.clock.callLater(PING_SECONDS, self._beat)

    def _received(self, data: bytes) -> None:
        self._heard = True
        connection = self._connection()
        try:
            connection.receive_data(data)
            for event in connection.events():
                if isinstance(event, Ping):
                    self._send(event.response())
                elif isinstance(event, CloseConnection):
                    self._send(event.response())
                    self._end()
                    return
                elif isinstance(event, TextMessage):
                    self._received_text(event)
                elif isinstance(event, BytesMessage) and self._receiver is not None:
                    self._receiver.received(bytes(event.data))
        except (LocalProtocolError, RemoteProtocolError):
            self._channel.abort()

    def _received_text(self, event: TextMessage) -> None:
        self._text += event.data
        if len(self._text) > MAX_TEXT:
            why = f"a text message may have {MAX_TEXT} characters"
            self.close(why, CloseReason.MESSAGE_TOO_BIG)
        elif event.message_finished and self._receiver is not None:
            text, self._text = self._text, ""
            self._receiver.received_text(text)

    def _end(self) -> None:
        self._lost()
        # A connection with a producer would stay open until that has ended.
        self._request.unregisterProducer()
        self._channel.loseConnection()

    def _lost(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()

    def _send(self, event: Event) -> None:
        try:
            self._channel.write(self._connection().send(event))
        except LocalProtocolError:
            return  # it was closed before

    def _connection(self) -> Connection:
        connection = self._handshake.connection
        assert connection is not None
        return connection
