# SPDX-License-Identifier: BSD-2-Clause
"""Connections of clients of the remote API, and the errors for requests that are not parsed."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ganeti.errors import GanetiError
from ganeti.rapi.problems import answer_to_client, problem
from ganeti.rapi.response import END, SERVER
from ganeti.web.channel import LimitedChannel, Timeouts

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiSite

MAX_BODY = 1024 * 1024

TIMEOUTS = Timeouts(idle=75.0, read=20.0)

MIN_READ_RATE = 20000
"""The minimum rate at which a client must read its answer, in bytes per second."""

_SINGLE_HEADERS = (
    b"Host",
    b"Content-Type",
    b"Authorization",
    b"Cookie",
    b"Origin",
    b"X-CSRF-Token",
)
"""Headers that two readers of the same request must not understand differently (RFC 9112, section
11.2); twisted.web refuses a second length itself."""


def body_size_error() -> tuple[HTTPStatus, str]:
    """Return the status and message for a body longer than ``MAX_BODY``."""
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {MAX_BODY} bytes"


class Channel(LimitedChannel):
    """A connection of a client of the remote API."""

    timeouts = TIMEOUTS
    server = SERVER

    # How much is read ahead while a request is answered. Small, as twisted.web sums the lengths of
    # all buffered pieces each time one arrives.
    _optimisticEagerReadSize = 4096

    site: ApiSite

    def __init__(self) -> None:
        super().__init__()
        self.congested = False
        """Whether the transport has paused writing because the client does not read."""
        self._admitting: Deferred[None] | None = None

    def problem(self, status: HTTPStatus, why: str) -> bytes:
        return b"".join((problem(status, why).body, END))

    # --- reading

    def allHeadersReceived(self) -> None:
        headers = self.requests[-1].requestHeaders
        long = self.length is not None and self.length > MAX_BODY
        if long and not self.site.streams(self._command, self._path):
            self.refuse(*body_size_error())
        elif self._version != b"HTTP/1.0" and not headers.hasHeader(b"Host"):
            self.refuse(HTTPStatus.BAD_REQUEST, "an HTTP/1.1 request needs a Host header")
        elif twice := [
            name for name in _SINGLE_HEADERS if len(headers.getRawHeaders(name, ())) > 1
        ]:
            name = twice[0].decode("ascii")
            self.refuse(HTTPStatus.BAD_REQUEST, f"the header {name} is sent twice")
        elif self.length == 0:
            super().allHeadersReceived()
        else:
            self._admit()

    def _admit(self) -> None:
        """Read no body before it is known that its sender may send it."""
        request = self.requests[-1]
        admitting = Deferred.fromCoroutine(self.site.admit(request, self._command, self._path))
        self._admitting = admitting
        admitting.addCallbacks(self._admitted, self._not_admitted)
        # The decision may have been made at once.
        if self._admitting is not None:
            self.paused = True
            # The client is not to blame for the time that the master takes.
            self._deadline = None
            self._networkProducer.pauseProducing()

    def _admitted(self, _: None) -> None:
        self._admitting = None
        super().allHeadersReceived()
        self._go_on()

    def _not_admitted(self, failure: Failure) -> None:
        self._admitting = None
        if failure.check(CancelledError):
            # The client has closed the connection.
            return
        error = failure.value
        if isinstance(error, GanetiError):
            answer = answer_to_client(self.requests[-1].requestHeaders, error)
            self.refuse(HTTPStatus(answer.status), str(error), answer.headers)
        else:
            self.requests[-1].processingFailed(failure)
        self._go_on()

    def _go_on(self) -> None:
        """Read on, if reading had to wait."""
        if not self.paused:
            return
        self.paused = False
        if not self._closing:
            self._set_deadline(self.timeouts.read)
        self._networkProducer.resumeProducing()
        # Continue with the bytes that came in the meantime.
        self.dataReceived(b"")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._admitting is not None:
            self._admitting.cancel()
        super().connectionLost(reason)

    def body_ended(self) -> None:
        self.site.unread.release_amount(self)

    def pause_body(self) -> None:
        """Take nothing from the client for now; it is not to blame for the time that this takes."""
        self._deadline = None
        self.pause_reading()

    def resume_body(self) -> None:
        """Take what the client sends again."""
        if self._reading and not self._closing:
            self._set_deadline(self.timeouts.read)
        self.resume_reading()

    def extend_deadline(self) -> None:
        """Give the client time for the next bytes of a long body."""
        if self._reading and not self._closing:
            self._set_deadline(self.timeouts.read)

    # --- writing

    def writing(self, size: int, in_memory: int | None = None) -> None:
        """Set the deadline for the client to read ``size`` more bytes of an answer.

        So many of them are ``in_memory`` at a time, or all.
        """
        self._set_deadline(self.timeouts.write + size / MIN_READ_RATE)
        if held := size if in_memory is None else min(size, in_memory):
            self.site.unsent.set_amount(self, held)

    def written(self) -> None:
        """Release the quota of an answer that the transport has taken completely."""
        self.site.unsent.release_amount(self)

    def clear_write_deadline(self) -> None:
        """Clear the deadline of a stream whose client has read all that was written so far."""
        self.site.unsent.release_amount(self)
        if self._answering and not self._closing:
            self._deadline = None

    def pauseProducing(self) -> None:
        self.congested = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.congested = False
        super().resumeProducing()
