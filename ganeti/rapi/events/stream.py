# SPDX-License-Identifier: BSD-2-Clause
"""Server-sent events (WHATWG HTML, section 9.2): an answer that does not end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import GanetiError
from ganeti.events.cursor import BEFORE_ALL, Cursor
from ganeti.events.event import Event, Selection
from ganeti.rapi.events.hub import Encode, EventHub
from ganeti.rapi.response import SERVER

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

EVENT_STREAM = "text/event-stream"

RECONNECT_MILLISECONDS = 1000
"""How long a client waits before it connects again."""

Confirm: TypeAlias = Callable[[], Coroutine[Deferred[Any], Any, object]]
"""Returns if the client may still read; raises ``GanetiError`` if not."""


def encode_events(events: Sequence[Event]) -> bytes:
    """Return events as a stream of server-sent events has them."""
    return b"".join(
        b"id: %b\nevent: %b\ndata: %b\n\n"
        % (str(event.cursor).encode("ascii"), event.kind.encode("ascii"), event.data)
        for event in events
    )


def _notice(kind: bytes, position: Cursor) -> bytes:
    """Return an event about the stream itself."""
    text = str(position).encode("ascii")
    return b'id: %b\nevent: %b\ndata: {"position":"%b"}\n\n' % (text, kind, text)


def send_head(request: ApiRequest) -> None:
    """Answer a request that wants to know only what the stream looks like."""
    _set_head(request)
    request.write(b"")
    request.finish()


def _set_head(request: ApiRequest) -> None:
    request.setResponseCode(HTTPStatus.OK)
    for name, value in (
        (b"Server", SERVER),
        (b"Content-Type", EVENT_STREAM.encode("ascii")),
        (b"Cache-Control", b"no-store"),
        (b"Connection", b"close"),
        # A proxy that collects what it passes on would keep events back.
        (b"X-Accel-Buffering", b"no"),
    ):
        request.responseHeaders.setRawHeaders(name, [value])


@implementer(IPushProducer)
class EventStream:
    """A subscriber that is a request whose answer goes on until one of both ends it."""

    _log = Logger()

    encode: Encode = staticmethod(encode_events)

    def __init__(
        self, request: ApiRequest, hub: EventHub, selection: Selection, confirm: Confirm
    ) -> None:
        self.cursor = BEFORE_ALL
        self.paused = False
        self.selection = selection
        self._request = request
        self._channel: Any = request.channel
        self._hub = hub
        self._confirm = confirm
        self._ended = False
        request.notifyFinish().addBoth(self._finished)

    # --- a subscriber of the hub

    def open(self, position: Cursor, *, ready: bool, reset: bool) -> None:
        """Send the head of the answer, and where the events begin."""
        _set_head(self._request)
        self._request.registerProducer(self, True)
        self.paused = self._channel.congested
        first = b"retry: %d\n\n" % RECONNECT_MILLISECONDS
        if reset:
            first += _notice(b"reset", position)
        elif ready:
            first += _notice(b"ready", position)
        self.send(first)

    def send(self, chunk: bytes) -> None:
        self._request.write(chunk)
        if self.paused:
            # It must have read this by some time; until then it is sent nothing.
            self._channel.writing(len(chunk))

    def reset(self, position: Cursor) -> None:
        self.send(_notice(b"reset", position))

    def heartbeat(self, position: Cursor) -> None:
        # An id without data is no event, but where the client goes on when it connects again.
        self.send(b": heartbeat\nid: %b\n\n" % str(position).encode("ascii"))
        Deferred.fromCoroutine(self._confirm()).addErrback(self._refused)

    def lag(self) -> None:
        self._log.info(
            "{peer} reads events too slowly: closing after {position}",
            peer=self._channel.peer,
            position=str(self.cursor),
        )
        self._request.write(_notice(b"lagged", self.cursor))
        self.end()

    # --- its end

    def end(self) -> None:
        """End the answer; the client may connect again."""
        if self._ended:
            return
        channel = self._channel
        self._finished(None)
        if self._request.producer is not None:
            self._request.unregisterProducer()
        self._request.finish()
        channel.loseConnection()

    def _finished(self, _: object) -> None:
        self._ended = True
        self._hub.unsubscribe(self)

    def _refused(self, failure: Failure) -> None:
        if failure.check(GanetiError):
            self._log.info("{peer} may not read events any more", peer=self._channel.peer)
        elif not failure.check(CancelledError):
            self._log.failure("asking whether a client may still read broke", failure)
        self.end()

    # --- how fast the client reads

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._channel.caught_up()
        self._hub.resumed()

    def stopProducing(self) -> None:
        """The connection is lost, or has to be given up."""
        self._finished(None)
