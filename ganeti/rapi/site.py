# SPDX-License-Identifier: BSD-2-Clause
"""The site that serves the remote API, and its requests: ``twisted.web`` within limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from io import BytesIO
from typing import Any
from uuid import uuid4

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ganeti.rapi.channel import MAX_BODY, Channel, body_too_long
from ganeti.rapi.limits.connections import ConnectionLimit
from ganeti.rapi.limits.deadlines import Deadlines
from ganeti.rapi.limits.quota import Quota
from ganeti.rapi.problems import problem
from ganeti.rapi.rate_limited_log import RateLimitedLog
from ganeti.rapi.response import send

MAX_CONNECTIONS = 4000

MAX_HANDSHAKES = 1000
"""How many connections may be in the middle of the TLS handshake."""

MAX_UNSENT = 128 * 1024 * 1024
"""How many bytes of large answers are kept for clients that have not read them."""

MAX_UNREAD = 64 * 1024 * 1024
"""How many bytes of large requests are kept until the rest of them has arrived."""

LARGE = 8192
"""Bodies of fewer bytes are bounded by the number of connections."""

_ORIGIN = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)


class ApiRequest(Request):
    """A request, whose body stays in memory, and whose errors are JSON."""

    channel: Channel | None  # type: ignore[assignment]  # None once the connection is lost
    content: BytesIO | None

    def __init__(self, channel: Channel, *args: Any, **named: Any) -> None:
        super().__init__(channel, *args, **named)
        self.variables: list[str] = []
        """What the variables in the path stand for."""

    # --- reading

    def gotLength(self, length: int | None) -> None:
        # Not a file, as Twisted would take for large bodies: there are none.
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is None or self.channel is None:
            return
        size = self.content.tell() + len(data)
        if size > MAX_BODY:
            self.channel.refuse(*body_too_long())
            return
        self.content.write(data)
        if size > LARGE:
            self.channel.site.unread.hold(self.channel, size)

    def drop(self) -> None:
        """Let go of the memory that the request and its answer take."""
        self.content = None
        if self.producer is not None:
            self.producer.stopProducing()

    def connectionLost(self, reason: Failure) -> None:
        self.drop()
        super().connectionLost(reason)

    # --- answering

    def process(self) -> None:
        if not self.path.startswith((b"/", b"*")):
            # The absolute form, which proxies send (RFC 9112, section 3.2.2).
            self.path = _ORIGIN.sub(b"", self.path, count=1) or b"/"
        super().process()

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer that something unexpected happened; the log has it under a reference."""
        reference = uuid4().hex[:12]
        self._log.failure(
            "{method} {path} failed; reference {reference}",
            reason,
            method=self.method.decode("latin-1"),
            path=self.path.decode("latin-1"),
            reference=reference,
        )
        if self.startedWriting:
            if self.channel is not None:
                self.channel.abort()
        else:
            text = f"internal error; the log of ganeti-rapi has it under {reference}"
            send(self, problem(HTTPStatus.INTERNAL_SERVER_ERROR, text))
        return reason


class ApiSite(Site):
    """Serve a tree of resources within limits; ``clock`` tells when something takes too long."""

    noisy = False
    requestFactory = ApiRequest
    protocol = Channel  # type: ignore[assignment]  # without that of HTTP/2, which is not offered
    _log = Logger()

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_handshakes: int = MAX_HANDSHAKES,
        max_unsent: int = MAX_UNSENT,
        max_unread: int = MAX_UNREAD,
    ) -> None:
        # Without a timeout: Channel has deadlines of its own.
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=clock, timeout=None)
        self.clock = clock
        self.warn = RateLimitedLog(clock, self._log.warn)
        self.deadlines = Deadlines(clock)
        self.connections = ConnectionLimit(max_connections, self.warn)
        self.handshakes: Quota[Channel] = Quota(max_handshakes, self._evict_handshake)
        self.unsent: Quota[Channel] = Quota(max_unsent, self._evict_reader)
        self.unread: Quota[Channel] = Quota(max_unread, self._evict_writer)

    def buildProtocol(self, addr: IAddress | None) -> Channel:  # type: ignore[override]
        channel: Channel = super().buildProtocol(addr)
        return channel

    def acceptableProtocols(self) -> Sequence[bytes]:
        """What ALPN offers; not HTTP/2, whatever is installed, as no limit here is for it."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Start no log of requests: changes are logged by what makes them."""

    def stopFactory(self) -> None:
        """There is no log of requests to be closed."""

    def hang_up(self) -> None:
        """Close every connection once what was written has left."""
        for channel in self.deadlines:
            assert isinstance(channel, Channel)
            channel.loseConnection()

    def _evict_handshake(self, channel: Channel) -> None:
        self.warn(
            "too many connections wait for a handshake: closing the oldest, {peer}",
            peer=channel.peer,
        )
        channel.abort()

    def _evict_reader(self, channel: Channel) -> None:
        self.warn("a client reads its answer too slowly: closing {peer}", peer=channel.peer)
        channel.abort()

    def _evict_writer(self, channel: Channel) -> None:
        self.warn("too many large requests: refusing that of {peer}", peer=channel.peer)
        channel.refuse(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too many large requests arrive at once; send it again later",
        )
