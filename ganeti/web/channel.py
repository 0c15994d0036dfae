# SPDX-License-Identifier: BSD-2-Clause
"""Connections of clients: the HTTP channel of ``twisted.web`` with deadlines.

A connection is in one of these phases, each with a deadline: TLS handshake; idle between two
requests; reading a request; answering (without a deadline); writing the answer; closing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener, INegotiated
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from zope.interface import implementer

if TYPE_CHECKING:
    from ganeti.web.request import MemoryRequest
    from ganeti.web.site import LimitedSite

MAX_LINE_LENGTH = 8192
MAX_HEAD_SIZE = 16384
MAX_HEADERS = 100


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long a connection may stay in each phase, in seconds."""

    handshake: float = 10.0

    idle: float
    """Between two requests."""

    read: float
    """From the first byte of a request to its last."""

    linger: float = 2.0
    """While a client continues to send after its request was rejected."""

    write: float = 30.0
    """While the client reads what was written before the connection is closed."""


@implementer(IHandshakeListener)
class LimitedChannel(HTTPChannel):
    """A connection of a client; ``deadline`` is when its phase must end, None while we answer.

    Subclasses format error bodies and check the headers of requests.
    """

    MAX_LENGTH = MAX_LINE_LENGTH
    totalHeadersSize = MAX_HEAD_SIZE
    maxHeaders = MAX_HEADERS

    timeouts: Timeouts
    content_type = b"application/json"
    server: bytes | None = None
    """The value of the header ``Server``."""

    site: LimitedSite
    requests: list[Any]  # MemoryRequest
    transport: Any  # implements ITransport, IConsumer and IPushProducer
    length: int | None

    def __init__(self) -> None:
        super().__init__()
        self._deadline: float | None = None
        self._handshaking = False
        self._reading = False  # a request has begun to arrive
        self._answering = False  # a request is being answered
        self._closing = False
        self._upgraded: Callable[[bytes], None] | None = None

    def problem(self, status: HTTPStatus, why: str) -> bytes:
        """Return the body of an error response."""
        raise NotImplementedError

    @property
    def idle(self) -> bool:
        """Whether closing the connection loses no request and no answer."""
        return not self._answering and not self._reading

    @property
    def peer(self) -> str:
        """The client's address and port, for the log."""
        address = self.transport.getPeer()
        return f"{address.host}:{address.port}"

    # --- opening and closing

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.deadlines.watch(self)
        if INegotiated.providedBy(self.transport):
            self._handshaking = True
            self._set_deadline(self.timeouts.handshake)
            self.site.handshakes.set_amount(self, 1)
        else:
            self.admit()

    def handshakeCompleted(self) -> None:
        """The TLS handshake has succeeded; called by the transport."""
        self._handshaking = False
        self.site.handshakes.release_amount(self)
        self.admit()

    def admit(self) -> None:
        """Count the connection, after its handshake."""
        self._set_deadline(self.timeouts.read)
        self.site.connections.admit(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        super().connectionLost(reason)
        self.site.lost(self)
        # By name, so that this module does not load OpenSSL.
        if self._handshaking and reason.check("OpenSSL.SSL.Error"):
            self.site.warn(
                "TLS handshake with {peer} failed: {why}",
                peer=self.peer,
                why=self.site.explain(reason),
            )

    def loseConnection(self) -> None:
        """Close the connection when everything written has been sent."""
        if self._closing:
            return
        self._closing = True
        self._set_deadline(self.timeouts.write)
        super().loseConnection()

    def abort(self) -> None:
        """Close the connection at once and release its memory."""
        self._closing = True
        for request in self.requests:
            request.drop()
        self.transport.abortConnection()

    def refuse(self, status: HTTPStatus, why: str, more: Sequence[tuple[str, str]] = ()) -> None:
        """Answer instead of a resource, as the request cannot be read, and read no further.

        ``more`` are further headers.
        """
        if self._closing:
            return
        # A second answer must not be mixed into the one in progress.
        if self._answering:
            self.abort()
            return
        self._closing = True
        self._reading = False
        self.length = None  # so that twisted.web does not take the request for complete
        for request in self.requests:
            request.drop()
        self.body_ended()
        body = self.problem(status, why)
        headers = Headers()
        if self.server is not None:
            headers.addRawHeader(b"Server", self.server)
        for name, value in (
            (b"Date", datetimeToString()),
            (b"Connection", b"close"),
            (b"Content-Type", self.content_type),
            (b"Content-Length", b"%d" % len(body)),
            *((key.encode("ascii"), value.encode("latin-1")) for key, value in more),
        ):
            headers.addRawHeader(name, value)
        phrase = status.phrase.encode("ascii")
        self.writeHeaders(b"HTTP/1.1", b"%d" % status, phrase, headers)
        self.write(body)
        # Do not close yet: closing with unread input makes the kernel send a reset, which may
        # discard the answer (RFC 9112, section 9.6).
        self._set_deadline(self.timeouts.linger)

    # --- reading

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if self._upgraded is not None:
            self._upgraded(data)
            return
        if not self._reading and not self._answering:
            self._reading = True
            self._set_deadline(self.timeouts.read)
        try:
            super().dataReceived(data)
        except ValueError:
            # int() rejects a Content-Length of thousands of digits.
            self._respondToBadRequestAndDisconnect()
        if not self._answering and not self._closing:
            self._update_read_deadline()

    def upgrade(self, received: Callable[[bytes], None]) -> None:
        """Speak HTTP no more: ``received`` gets all that the client sends from now on."""
        self._upgraded = received
        # What has arrived after the request belongs to the new protocol.
        ahead, self._dataBuffer = b"".join(self._dataBuffer), []
        if ahead:
            received(ahead)

    def pause_reading(self) -> None:
        """Take nothing from the client for now."""
        self._networkProducer.pauseProducing()

    def resume_reading(self) -> None:
        """Take what the client sends again."""
        self._networkProducer.resumeProducing()

    def _update_read_deadline(self) -> None:
        midway = bool(self.requests or self._buffer)
        if midway == self._reading:
            return
        self._reading = midway
        self._set_deadline(self.timeouts.read if midway else self.timeouts.idle)

    def lineReceived(self, line: bytes) -> None:
        # After a refusal, Twisted goes on with what it has received already.
        if not self._closing:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        # After a refusal, Twisted goes on with what it has received already.
        if not self._closing:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        if self.requests:
            self._refuse_headers()
        else:
            self.refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the request line is longer than {MAX_LINE_LENGTH} bytes",
            )

    def body_ended(self) -> None:
        """Release the quota of a request body, which has arrived or was dropped."""

    def allContentReceived(self) -> None:
        if self._closing:
            return
        self._reading = False
        self._answering = True
        self._deadline = None
        self.body_ended()
        super().allContentReceived()

    def requestDone(self, request: MemoryRequest) -> None:
        # Before the base class, which goes on with a pipelined request.
        self._answering = False
        if not self._closing:
            self._set_deadline(self.timeouts.idle)
        super().requestDone(request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Reject what is not HTTP; twisted.web calls this wherever it rejects a request."""
        if self._receivedHeaderSize > MAX_HEAD_SIZE or self._receivedHeaderCount > MAX_HEADERS:
            self._refuse_headers()
        else:
            self.refuse(HTTPStatus.BAD_REQUEST, "this is not an HTTP/1.1 request")

    def _refuse_headers(self) -> None:
        self.refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the request has more than {MAX_HEADERS} headers, more than {MAX_HEAD_SIZE} bytes of"
            f" headers, or a header of more than {MAX_LINE_LENGTH} bytes",
        )

    # --- deadlines

    @property
    def deadline(self) -> float | None:
        """When the current phase must end."""
        return self._deadline

    def deadline_passed(self) -> None:
        """Close the connection as appropriate for its phase."""
        if self._handshaking:
            self.site.warn(
                "{peer} did not complete the TLS handshake within {timeout:g} seconds",
                peer=self.peer,
                timeout=self.timeouts.handshake,
            )
            self.abort()
        elif self._closing or self._answering:
            self.abort()
        elif self._reading:
            why = f"the request did not arrive within {self.timeouts.read:g} seconds"
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, why)
        else:
            self.loseConnection()

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self.site.clock.seconds() + seconds
