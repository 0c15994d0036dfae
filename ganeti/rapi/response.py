# SPDX-License-Identifier: BSD-2-Clause
"""Responses, written no faster than the client reads them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ganeti import __version__

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

SERVER = f"Ganeti {__version__}".encode("ascii")
JSON = b"application/json"

END = b"\n"
"""Sent after the body of an answer."""

CHUNK_SIZE = 64 * 1024
"""How many bytes of a large answer are encrypted and queued at once."""


class Response(msgspec.Struct, frozen=True):
    """A response; the body is JSON or text, and is sent with a trailing newline."""

    status: int
    body: bytes | memoryview = b""
    headers: tuple[tuple[str, str], ...] = ()
    """Additional headers."""
    content_type: bytes = JSON


def send(request: ApiRequest, response: Response) -> None:
    """Answer ``request``, and finish it when the transport has taken the whole answer."""
    if request.channel is None:
        return  # the client has disconnected
    request.setResponseCode(int(response.status))
    set_header = request.responseHeaders.setRawHeaders
    set_header(b"Server", [SERVER])
    for name in dict.fromkeys(name for name, _ in response.headers):
        set_header(name, [value for each, value in response.headers if each == name])
    rest = response.body
    if response.status != HTTPStatus.NO_CONTENT:
        set_header(b"Content-Type", [response.content_type])
        set_header(b"Content-Length", [b"%d" % (len(rest) + len(END))])
    if request.method == b"HEAD" or response.status == HTTPStatus.NO_CONTENT:
        request.write(b"")
        rest = b""
    elif len(rest) <= CHUNK_SIZE:
        request.write(b"".join((rest, END)))
        rest = b""
    if rest or request.channel.congested:
        AnswerProducer(request, rest).start()
    else:
        request.finish()


@implementer(IPushProducer)
class AnswerProducer:
    """Writes ``rest`` as fast as the client reads it, then finishes the request.

    The request is finished only when the transport accepts more data: otherwise pipelined requests
    would be answered, however many answers the client has not read.
    """

    def __init__(self, request: ApiRequest, rest: bytes | memoryview) -> None:
        self._request = request
        self._channel: Any = request.channel
        self._rest: bytes | memoryview = rest
        self._paused = False
        self._ended = False

    def start(self) -> None:
        self._paused = self._channel.congested
        self._channel.writing(len(self._rest))
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

    def resume_writing(self) -> None:
        while self._rest and not self._paused:
            # A short last chunk is sent with the one before it, which saves a reactor iteration.
            size = CHUNK_SIZE if len(self._rest) >= 2 * CHUNK_SIZE else len(self._rest)
            piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
            self._request.write(piece if self._rest else piece + END)
        if not self._paused and not self._ended:
            self._ended = True
            self._channel.written()
            self._request.unregisterProducer()
            self._request.finish()
