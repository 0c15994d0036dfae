# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/1.1 as bytes, as a server sees it: bounded, strict, and without a transport.

Strict where leniency lets two readers of the same bytes disagree (RFC 9112, section 11.2): one
length per message, no folded lines, no bare line ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from http import HTTPStatus

import msgspec

from ganeti import __version__

LONGEST_LINE = 8192
MOST_HEAD = 16384
MOST_BODY = 1024 * 1024

_END_OF_HEAD = b"\r\n\r\n"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/([0-9])\.([0-9])\Z")
_FIELD = re.compile(rf"({_TOKEN}):[ \t]*([^\x00\r\n]*?)[ \t]*\Z")
_TARGET = re.compile(r"(?:https?://[^/?#]+(?=[/?]|\Z))?([^?#]*)(?:\?([^#]*))?\Z", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,15}\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\Z")
_ONCE = frozenset(("host", "content-length", "content-type", "transfer-encoding", "authorization"))


class Malformed(Exception):
    """What arrives cannot be served, and nothing after it; ``status`` says so in HTTP."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request(msgspec.Struct, frozen=True):
    """A request as it was sent: names of headers in lower case, the path not decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    keep: bool
    """Whether its sender wants to go on with the connection."""
    client: str = ""
    """The address of its sender."""


class Response(msgspec.Struct, frozen=True):
    """An answer; the body is JSON, and is sent with a line end after it."""

    status: int
    body: bytes | memoryview = b""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers."""


class _Head(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    keep: bool
    length: int | None
    """Of the body in bytes; None if it comes in chunks."""
    waits: bool
    """Whether the sender waits to be told to go on before it sends the body."""


class RequestReader:
    """Collects bytes and gives back requests, one when it is asked for."""

    def __init__(self, *, most_body: int = MOST_BODY) -> None:
        self._most_body = most_body
        self._pending = bytearray()
        self._head: _Head | None = None
        self._last: tuple[bytes, _Head] = (b"", _NO_HEAD)
        self._chunks = bytearray()
        self._told = False

    @property
    def midway(self) -> bool:
        """Whether a part of a request is here."""
        return bool(self._pending) or self._head is not None

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._pending) + len(self._chunks)

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._pending += data

    def next(self) -> Request | None:
        """The next request, if all of it is here.

        :raises Malformed: nothing more can be read from this sender.
        """
        if self._head is None and not self._read_head():
            return None
        head = self._head
        assert head is not None
        body = self._sized(head.length) if head.length is not None else self._chunked()
        if body is None:
            return None
        self._head = None
        self._told = False
        return Request(head.method, head.path, head.query, head.headers, body, head.keep)

    def wants_go_ahead(self) -> bool:
        """Whether the sender waits for "100 Continue"; true once per request."""
        if self._head is None or not self._head.waits or self._told:
            return False
        self._told = True
        return True

    def _read_head(self) -> bool:
        while self._pending.startswith(b"\r\n"):  # left over by old clients after a body
            del self._pending[:2]
        end = self._pending.find(_END_OF_HEAD, 0, MOST_HEAD)
        if end < 0:
            self._bound_head()
            return False
        head = bytes(self._pending[:end])
        del self._pending[: end + len(_END_OF_HEAD)]
        if head != self._last[0]:
            # Clients that stay send the same head again and again.
            self._last = head, _parse(head, self._most_body)
        self._head = self._last[1]
        return True

    def _bound_head(self) -> None:
        if len(self._pending) < LONGEST_LINE:
            return
        if self._pending.find(b"\r\n", 0, LONGEST_LINE) < 0:
            raise Malformed(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the first line is longer than {LONGEST_LINE} bytes",
            )
        if len(self._pending) >= MOST_HEAD:
            raise Malformed(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the headers are longer than {MOST_HEAD} bytes",
            )

    def _sized(self, length: int) -> bytes | None:
        if not length:
            return b""
        if len(self._pending) < length:
            return None
        body = bytes(self._pending[:length])
        del self._pending[:length]
        return body

    def _chunked(self) -> bytes | None:
        while (end := self._pending.find(b"\r\n", 0, 1024)) >= 0:
            said = _CHUNK.match(self._pending[:end])
            if said is None:
                raise Malformed(HTTPStatus.BAD_REQUEST, "a chunk does not begin with its size")
            size = int(said[1], 16)
            if len(self._chunks) + size > self._most_body:
                raise _too_long(self._most_body)
            if size == 0:
                return self._end_of_chunks(end + 2)
            rest = end + 2 + size
            if len(self._pending) < rest + 2:
                return None
            if self._pending[rest : rest + 2] != b"\r\n":
                raise Malformed(HTTPStatus.BAD_REQUEST, "a chunk is not as long as it says")
            self._chunks += self._pending[end + 2 : rest]
            del self._pending[: rest + 2]
        if len(self._pending) >= 1024:
            raise Malformed(HTTPStatus.BAD_REQUEST, "a chunk does not begin with its size")
        return None

    def _end_of_chunks(self, start: int) -> bytes | None:
        if self._pending.startswith(b"\r\n", start):
            end = start + 2
        else:  # trailers, which nobody needs
            found = self._pending.find(_END_OF_HEAD, start, start + MOST_HEAD)
            if found < 0:
                if len(self._pending) > start + MOST_HEAD:
                    raise Malformed(
                        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the trailers are too long"
                    )
                return None
            end = found + len(_END_OF_HEAD)
        body = bytes(self._chunks)
        self._chunks.clear()
        del self._pending[:end]
        return body


def _parse(head: bytes, most_body: int) -> _Head:
    start, *lines = head.decode("latin-1").split("\r\n")
    line = _LINE.match(start)
    if line is None:
        raise Malformed(HTTPStatus.BAD_REQUEST, "the first line is not a request of HTTP/1.1")
    method, target, major, minor = line.groups()
    if major != "1":
        raise Malformed(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1")
    headers = _headers(lines)
    if minor != "0" and "host" not in headers:
        raise Malformed(HTTPStatus.BAD_REQUEST, "a request of HTTP/1.1 needs a Host header")
    path, query = _target(target)
    wishes = headers.get("connection", "").lower()
    return _Head(
        method,
        path,
        query,
        headers,
        keep="keep-alive" in wishes if minor == "0" else "close" not in wishes,
        length=_length(headers, most_body),
        waits=minor != "0" and headers.get("expect", "").lower() == "100-continue",
    )


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.match(line)
        if field is None:
            raise Malformed(HTTPStatus.BAD_REQUEST, "a header line is not of the form Name: value")
        name, value = field[1].lower(), field[2]
        if name in headers:
            if name in _ONCE:
                raise Malformed(HTTPStatus.BAD_REQUEST, f"the header {name} is sent twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _target(target: str) -> tuple[str, str]:
    parts = _TARGET.match(target)
    if parts is None:
        raise Malformed(HTTPStatus.BAD_REQUEST, "the path cannot be read")
    return parts[1] or "/", parts[2] or ""


def _length(headers: Mapping[str, str], most: int) -> int | None:
    said = headers.get("content-length")
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise Malformed(HTTPStatus.NOT_IMPLEMENTED, "the only transfer encoding is chunked")
        if said is not None:
            raise Malformed(HTTPStatus.BAD_REQUEST, "a body in chunks has no Content-Length")
        return None
    if said is None:
        return 0
    if not _DIGITS.match(said):
        raise Malformed(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
    if int(said) > most:
        raise _too_long(most)
    return int(said)


def _too_long(most: int) -> Malformed:
    return Malformed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {most} bytes")


_NO_HEAD = _Head("", "", "", {}, False, 0, False)

END = b"\n"
"""After the body of an answer."""

GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"


def head_of(response: Response, now: float, *, keep: bool) -> bytes:
    """The head of a response, its length included; ``now`` is in seconds since the epoch."""
    if response.status == HTTPStatus.NO_CONTENT:
        kind = b""
    else:
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % (
            len(response.body) + len(END)
        )
    further = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    return b"%b%bDate: %b\r\n%b%b\r\n" % (
        _opening(response.status),
        kind,
        _date(int(now)),
        further.encode("latin-1"),
        b"" if keep else b"Connection: close\r\n",
    )


@cache
def _opening(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nServer: Ganeti {__version__}\r\n".encode("ascii")


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@lru_cache(maxsize=4)
def _date(second: int) -> bytes:
    year, month, day, hour, minute, sec, weekday, *_ = time.gmtime(second)
    # Not by strftime, which speaks the language of the host.
    return (
        f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{sec:02} GMT"
    ).encode("ascii")
