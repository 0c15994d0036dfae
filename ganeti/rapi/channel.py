# SPDX-License-Identifier: BSD-2-Clause
"""Connections of clients: the HTTP channel of ``twisted.web``, with deadlines and limits.

A connection is in one of these phases, each with a deadline: the TLS handshake; idle between two
requests; reading a request; working on the answer (without a deadline); writing it; closing.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener, INegotiated
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from zope.interface import implementer

from ganeti.rapi.problems import problem
from ganeti.rapi.response import END, JSON, SERVER

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest, ApiSite

MAX_LINE = 8192
MAX_HEAD = 16384
MAX_HEADERS = 100
MAX_BODY = 1024 * 1024

HANDSHAKE_TIMEOUT = 10.0

IDLE_TIMEOUT = 75.0
"""How long a connection may rest between two requests."""

READ_TIMEOUT = 20.0
"""How long a request may take to arrive, from its first byte to its last."""

LINGER_TIMEOUT = 2.0
"""How long a client may go on sending after its request was refused."""

WRITE_TIMEOUT = 30.0

MIN_READ_RATE = 20000
"""A client that reads its answer more slowly than this (bytes per second) is cut off."""

_ONCE = (b"Host", b"Content-Type", b"Authorization")
"""Headers that two readers of the same request must not understand differently (RFC 9112, section
11.2); twisted.web refuses a second length itself."""


def body_too_long() -> tuple[HTTPStatus, str]:
    """Return what a body is refused with that is longer than ``MAX_BODY``."""
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {MAX_BODY} bytes"


@implementer(IHandshakeListener)
class Channel(HTTPChannel):
    """One client's connection; ``deadline`` is when it must have got on, None while we work."""

    MAX_LENGTH = MAX_LINE
    totalHeadersSize = MAX_HEAD
    maxHeaders = MAX_HEADERS

    # What is read ahead while an answer is under way. Kept small, as twisted.web adds up the
    # lengths of all its pieces whenever a piece arrives.
    _optimisticEagerReadSize = 4096

    site: ApiSite
    requests: list[ApiRequest]
    transport: Any  # ITransport, IConsumer and IPushProducer at once
    length: int | None

    def __init__(self) -> None:
        super().__init__()
        self.deadline: float | None = None
        self.congested = False
        """Whether the client has not read what was written so far."""
        self._handshaking = False
        self._begun = False  # a request has begun to arrive
        self._working = False  # on the answer to a request
        self._closing = False
        self._upgraded: Callable[[bytes], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether closing the connection loses no request and no answer."""
        return not self._working and not self._begun

    @property
    def peer(self) -> str:
        """The client's address, for the log."""
        address = self.transport.getPeer()
        return f"{address.host}:{address.port}"

    # --- opening and closing

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.deadlines.watch(self)
        if INegotiated.providedBy(self.transport):
            self._handshaking = True
            self._within(HANDSHAKE_TIMEOUT)
            self.site.handshakes.hold(self, 1)
        else:
            self._admit()

    def handshakeCompleted(self) -> None:
        """The TLS handshake has succeeded; called by the transport."""
        self._handshaking = False
        self.site.handshakes.release(self)
        self._admit()

    def _admit(self) -> None:
        self._within(READ_TIMEOUT)
        self.site.connections.admit(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        super().connectionLost(reason)
        site = self.site
        site.deadlines.forget(self)
        site.connections.release(self)
        site.handshakes.release(self)
        site.unread.release(self)
        site.unsent.release(self)
        if self._handshaking and reason.check("OpenSSL.SSL.Error"):
            site.warn(
                "the TLS handshake with {peer} failed: {why}",
                peer=self.peer,
                why=reason.getErrorMessage(),
            )

    def loseConnection(self) -> None:
        """Close the connection once what was written has left."""
        if self._closing:
            return
        self._closing = True
        self._within(WRITE_TIMEOUT)
        super().loseConnection()

    def abort(self) -> None:
        """Close the connection at once, and let go of the memory that it takes."""
        self._closing = True
        for request in self.requests:
            request.drop()
        self.transport.abortConnection()

    def refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer instead of a resource, as the request cannot be read, and read no further."""
        if self._closing:
            return
        if self._working:
            self.abort()
            return
        self._closing = True
        self._begun = False
        self.length = None  # so that twisted.web takes no request for whole
        for request in self.requests:
            request.drop()
        self.site.unread.release(self)
        response = problem(status, why)
        headers = Headers()
        for name, value in (
            (b"Server", SERVER),
            (b"Date", datetimeToString()),
            (b"Connection", b"close"),
            (b"Content-Type", JSON),
            (b"Content-Length", b"%d" % (len(response.body) + len(END))),
        ):
            headers.addRawHeader(name, value)
        phrase = status.phrase.encode("ascii")
        self.writeHeaders(b"HTTP/1.1", b"%d" % status, phrase, headers)
        self.write(b"".join((response.body, END)))
        # Not closed yet: with bytes of the client unread, that would take the answer from it.
        self._within(LINGER_TIMEOUT)

    # --- reading

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if self._upgraded is not None:
            self._upgraded(data)
            return
        if not self._begun and not self._working:
            self._begun = True
            self._within(READ_TIMEOUT)
        try:
            super().dataReceived(data)
        except ValueError:
            # Of a length with thousands of digits, which int() refuses.
            self._respondToBadRequestAndDisconnect()
        if not self._working and not self._closing:
            self._see_what_is_left()

    def upgrade(self, received: Callable[[bytes], None]) -> None:
        """Speak HTTP no more: ``received`` gets all that the client sends from now on."""
        self._upgraded = received
        ahead, self._dataBuffer = b"".join(self._dataBuffer), []
        if ahead:
            received(ahead)

    def _see_what_is_left(self) -> None:
        midway = bool(self.requests or self._buffer)
        if midway == self._begun:
            return
        self._begun = midway
        self._within(READ_TIMEOUT if midway else IDLE_TIMEOUT)

    def lineReceived(self, line: bytes) -> None:
        if not self._closing:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._closing:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        if self.requests:
            self._refuse_headers()
        else:
            self.refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG, f"the first line is longer than {MAX_LINE} bytes"
            )

    def allHeadersReceived(self) -> None:
        headers = self.requests[-1].requestHeaders
        if self.length is not None and self.length > MAX_BODY:
            self.refuse(*body_too_long())
        elif self._version != b"HTTP/1.0" and not headers.hasHeader(b"Host"):
            self.refuse(HTTPStatus.BAD_REQUEST, "a request of HTTP/1.1 needs a Host header")
        elif twice := [name for name in _ONCE if len(headers.getRawHeaders(name, ())) > 1]:
            name = twice[0].decode("ascii")
            self.refuse(HTTPStatus.BAD_REQUEST, f"the header {name} is sent twice")
        else:
            super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self._closing:
            return
        self._begun = False
        self._working = True
        self.deadline = None
        self.site.unread.release(self)
        super().allContentReceived()

    def requestDone(self, request: ApiRequest) -> None:
        self._working = False
        self._within(IDLE_TIMEOUT)
        super().requestDone(request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse what is not HTTP; twisted.web calls this wherever it gives up a client."""
        if self._receivedHeaderSize > MAX_HEAD or self._receivedHeaderCount > MAX_HEADERS:
            self._refuse_headers()
        else:
            self.refuse(HTTPStatus.BAD_REQUEST, "this is not a request of HTTP/1.1")

    def _refuse_headers(self) -> None:
        self.refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"there are more than {MAX_HEADERS} headers, or more than {MAX_HEAD} bytes of them,"
            f" or more than {MAX_LINE} bytes of one",
        )

    # --- writing

    def writing(self, size: int) -> None:
        """Note that ``size`` bytes of an answer wait to be read by the client."""
        self._within(WRITE_TIMEOUT + size / MIN_READ_RATE)
        if size:
            self.site.unsent.hold(self, size)

    def written(self) -> None:
        """Note that the transport has taken all of the answer."""
        self.site.unsent.release(self)

    def caught_up(self) -> None:
        """Note that the client has read all that was written of an answer that goes on."""
        self.site.unsent.release(self)
        if self._working and not self._closing:
            self.deadline = None

    def pauseProducing(self) -> None:
        self.congested = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.congested = False
        super().resumeProducing()

    # --- deadlines

    def deadline_passed(self) -> None:
        """Close the connection in the way that fits its phase."""
        if self._handshaking:
            self.site.warn(
                "{peer} did not finish the TLS handshake within {timeout:g} seconds",
                peer=self.peer,
                timeout=HANDSHAKE_TIMEOUT,
            )
            self.abort()
        elif self._closing or self._working:
            self.abort()
        elif self._begun:
            why = f"send a request within {READ_TIMEOUT:g} seconds"
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, why)
        else:
            self.loseConnection()

    def _within(self, seconds: float) -> None:
        self.deadline = self.site.clock.seconds() + seconds
