# SPDX-License-Identifier: BSD-2-Clause
"""Server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from ganeti.events.event import Event
from ganeti.events.stream_position import StreamPosition
from ganeti.rapi.events.live_subscribers import Encode
from ganeti.rapi.events.stream import HEARTBEAT
from ganeti.rapi.response import SERVER

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

EVENT_STREAM = "text/event-stream"

RECONNECT_MILLISECONDS = 1000
"""How long a client waits before it reconnects."""


def encode_events(events: Sequence[Event]) -> bytes:
    """Encode events as a stream of server-sent events."""
    return b"".join(
        b"id: %b\nevent: %b\ndata: %b\n\n"
        % (str(event.cursor).encode("ascii"), event.kind.encode("ascii"), event.data)
        for event in events
    )


class ServerSentEvents:
    """The event stream as server-sent events in the answer to a request."""

    encode: Encode = staticmethod(encode_events)

    def __init__(self, request: ApiRequest) -> None:
        self._request = request

    def send_head(self) -> None:
        """Answer a HEAD request."""
        self._set_head()
        self._request.write(b"")
        self._request.finish()

    def begin(self) -> None:
        self._set_head()
        self._request.write(b"retry: %d\n\n" % RECONNECT_MILLISECONDS)

    def notice(self, kind: str, position: StreamPosition) -> bytes:
        text = str(position)
        if kind == HEARTBEAT:
            # An id without data dispatches no event, but a client sends it as Last-Event-ID when it
            # reconnects.
            return f": heartbeat\nid: {text}\n\n".encode("ascii")
        data = f'{{"position":"{text}"}}'
        return f"id: {text}\nevent: {kind}\ndata: {data}\n\n".encode("ascii")

    def write(self, data: bytes) -> None:
        self._request.write(data)

    def finish(self, kind: str) -> None:
        self._request.finish()

    def _set_head(self) -> None:
        self._request.setResponseCode(HTTPStatus.OK)
        for name, value in (
            (b"Server", SERVER),
            (b"Content-Type", EVENT_STREAM.encode("ascii")),
            (b"Cache-Control", b"no-store"),
            (b"Connection", b"close"),
            # Tells nginx not to buffer the answer, which would delay events.
            (b"X-Accel-Buffering", b"no"),
        ):
            self._request.responseHeaders.setRawHeaders(name, [value])
