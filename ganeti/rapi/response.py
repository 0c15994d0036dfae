# SPDX-License-Identifier: BSD-2-Clause
"""Responses, written no faster than the client reads them."""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti import __version__
from ganeti.rapi.list_pages import ListPages

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

SERVER = f"Ganeti {__version__}".encode("ascii")
JSON = b"application/json"

MIN_COMPRESSED = 16 * 1024
"""Bytes of an answer beyond which it is compressed, if the client accepts that."""

COMPRESSION_LEVEL = 1
"""The fastest level, which makes a list a tenth as long; others take several times as long."""

END = b"\n"
"""Sent after the body of an answer."""

BODYLESS = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))
"""Statuses of answers that have no body (RFC 9110, section 6.4.1)."""

CHUNK_SIZE = 64 * 1024
"""How many bytes of a large answer are encrypted and queued at once."""


PAGES_IN_MEMORY = 1 << 20
"""Bytes of an answer in pages that are in memory at a time, about: a page that is written, and the
next one as it was received and as it is sent."""


class Response(msgspec.Struct, frozen=True):
    """A response; the body is JSON or text, and is sent with a trailing newline.

    Without ``line_end`` the body is that of a file, and is sent unchanged. ``pages`` are a body
    that is not in memory as a whole.
    """

    status: int
    body: bytes | memoryview = b""
    headers: tuple[tuple[str, str], ...] = ()
    """Additional headers."""
    content_type: bytes = JSON
    line_end: bool = True
    pages: ListPages | None = None


def send(request: ApiRequest, response: Response) -> None:
    """Answer ``request``, and finish it when the transport has taken the whole answer."""
    if request.channel is None:
        return  # the client has disconnected
    request.setResponseCode(int(response.status))
    pages = response.pages
    length = len(response.body) if pages is None else pages.size
    empty, large = response.status in BODYLESS, length > MIN_COMPRESSED
    # Files, without a line end, are compressed already if they can be.
    packed = response.line_end and large and not empty and _accepts_gzip(request)
    set_header = request.responseHeaders.setRawHeaders
    set_header(b"Server", [SERVER])
    for name in dict.fromkeys(name for name, _ in response.headers):
        set_header(name, [value for each, value in response.headers if each == name])
    rest = response.body
    end = END if response.line_end else b""
    if not empty:
        set_header(b"Content-Type", [response.content_type])
    if packed:
        set_header(b"Content-Encoding", [b"gzip"])
    elif not empty:
        set_header(b"Content-Length", [b"%d" % (length + len(end))])
    if request.method == b"HEAD" or empty:
        request.write(b"")
        rest, pages = b"", None
    elif pages is None and length <= CHUNK_SIZE and not packed:
        request.write(b"".join((rest, end)))
        rest = b""
    if rest or pages is not None or request.channel.congested:
        AnswerProducer(request, rest, Gzip(end) if packed else PlainBody(end), pages).start(length)
    else:
        request.finish()


def _accepts_gzip(request: ApiRequest) -> bool:
    """Return whether the client accepts gzip (RFC 9110 section 12.5.3)."""
    if request.clientproto == b"HTTP/1.0":
        return False  # the length is not known before, and there are no chunks
    for line in request.requestHeaders.getRawHeaders(b"accept-encoding") or ():
        for each in line.lower().split(b","):
            coding, *parameters = (part.strip() for part in each.split(b";"))
            if coding in (b"gzip", b"x-gzip"):
                return not any(_REFUSES.fullmatch(part) for part in parameters)
    return False


_REFUSES = re.compile(rb"q\s*=\s*0(\.0*)?")


class PlainBody:
    """An answer that is sent as it is; ``flush`` returns what is sent after its last piece."""

    def __init__(self, end: bytes) -> None:
        self._end = end

    def encode(self, piece: bytes) -> bytes:
        """Return a piece of the answer as it is sent."""
        return piece

    def flush(self) -> bytes:
        """Return what is sent after the last piece."""
        return self._end


class Gzip:
    """An answer that is compressed piece by piece, with little memory."""

    def __init__(self, end: bytes) -> None:
        self._end = end
        self._packer = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)

    def encode(self, piece: bytes) -> bytes:
        return self._packer.compress(piece)

    def flush(self) -> bytes:
        return self._packer.compress(self._end) + self._packer.flush()


@implementer(IPushProducer)
class AnswerProducer:
    """Writes ``rest``, or ``pages``, as fast as the client reads it, then finishes the request.

    The request is finished only when the transport accepts more data: otherwise pipelined requests
    would be answered, however many answers the client has not read.
    """

    _log = Logger()

    def __init__(
        self,
        request: ApiRequest,
        rest: bytes | memoryview,
        form: PlainBody | Gzip | None = None,
        pages: ListPages | None = None,
    ) -> None:
        self._form = form or PlainBody(END)
        self._request = request
        self._channel: Any = request.channel
        self._rest: bytes | memoryview = rest
        self._pages = pages
        self._fetching = False
        self._paused = False
        self._ended = False

    def start(self, length: int) -> None:
        """Begin to write an answer of this length."""
        # A pause before the registration is not reported.
        self._paused = self._channel.congested
        self._channel.writing(length, None if self._pages is None else PAGES_IN_MEMORY)
        self._request.registerProducer(self, True)
        self.resume_writing()

    def resumeProducing(self) -> None:
        """Continue: the client has read what was sent."""
        self._paused = False
        self.resume_writing()

    def pauseProducing(self) -> None:
        """Pause: the client reads more slowly than we write."""
        self._paused = True

    def stopProducing(self) -> None:
        """Drop the rest of the answer: the connection is lost or must be closed."""
        self._ended = True
        self._rest = b""
        if self._pages is not None:
            self._pages.stop()

    def resume_writing(self) -> None:
        while self._rest and not self._paused:
            # A short last chunk is sent with the one before it, which saves a reactor iteration.
            size = CHUNK_SIZE if len(self._rest) >= 2 * CHUNK_SIZE else len(self._rest)
            piece, self._rest = self._form.encode(bytes(self._rest[:size])), self._rest[size:]
            if not self._rest and self._pages is None:
                piece += self._form.flush()
            if piece:  # else the packer waits for more
                self._request.write(piece)
        if self._paused or self._ended:
            return
        if self._pages is not None:
            self._fetch(self._pages)
            return
        self._ended = True
        self._channel.written()
        self._request.unregisterProducer()
        self._request.finish()

    def _fetch(self, pages: ListPages) -> None:
        """Continue to write when the next page is there."""
        if not self._fetching:
            self._fetching = True
            taking = Deferred.fromCoroutine(self._take_page(pages))
            taking.addErrback(self._on_fetch_failed)

    async def _take_page(self, pages: ListPages) -> None:
        page = await pages.next()
        self._fetching = False
        if self._ended:
            return
        if page is None:
            self._pages = None
            self._request.write(self._form.flush())
        else:
            self._rest = memoryview(page)
        self.resume_writing()

    def _on_fetch_failed(self, failure: Failure) -> None:
        if not self._ended:
            # A client must not take what it has got for the whole answer.
            why = failure.getErrorMessage()
            self._log.warn("an answer ends before its last page: {why}", why=why)
            self.stopProducing()
            self._channel.abort()
