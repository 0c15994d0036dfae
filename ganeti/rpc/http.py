# SPDX-License-Identifier: BSD-2-Clause
"""The little of HTTP/1.1 that two daemons of ours need to talk to each other; knows no transport.

Bodies have a length that is said beforehand; nothing is sent in chunks, compressed or upgraded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TypeAlias

import msgspec

from ganeti.schema.documents import UNREADABLE

HEAD_LIMIT = 8192
_SHORT = 256
_END_OF_HEAD = b"\r\n\r\n"
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_LENGTH = re.compile(rb"[0-9]{1,15}\Z")
_REQUEST = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.[01]\Z")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\Z)")


class Broken(Exception):
    """What arrives is not a message that can be served; ``status`` says so in HTTP."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Message:
    """A request or response: its first line, its headers by lower-case name, its body.

    Messages with the same head share ``headers``. The body of one that is ``discarded`` was
    thrown away as it arrived.
    """

    start: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    discarded: bool = False

    @property
    def last(self) -> bool:
        """Whether its sender closes the connection after it."""
        return (
            self.headers.get(b"connection", b"").lower() == b"close"
            or b"HTTP/1.0" in self.start  # its rule for staying open is an extension
        )


Admit: TypeAlias = Callable[[bytes, Mapping[bytes, bytes]], int | None]
"""Decides by the first line and the headers of a message how long its body may be, in bytes.

None: the body is not of interest; discard it. Raises ``Broken`` to read nothing more.
"""


class MessageReader:
    """Collects bytes and gives back whole messages.

    ``admit`` is asked before anything of a body is read.
    """

    def __init__(self, *, body_limit: int, admit: Admit | None = None) -> None:
        self._body_limit = body_limit
        self._admit = admit
        self._pending = bytearray()
        self._head: tuple[bytes, dict[bytes, bytes]] | None = None
        self._missing = 0
        self._discarding = False

    @property
    def midway(self) -> bool:
        """Whether a part of a message is here, and the rest is not."""
        return bool(self._pending) or self._head is not None

    @property
    def size(self) -> int:
        """How many bytes are kept of a message that is not whole."""
        return len(self._pending)

    def receive(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes.

        :raises Broken: nothing more can be read from this sender.
        """
        self._pending += data
        while True:
            if self._head is None:
                end = self._pending.find(_END_OF_HEAD, 0, HEAD_LIMIT)
                if end < 0:
                    if len(self._pending) >= HEAD_LIMIT:
                        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                        raise Broken(status, f"headers are longer than {HEAD_LIMIT} bytes")
                    return
                parse = _known if end <= _SHORT else _parse
                self._begin(parse(bytes(self._pending[:end])))
                del self._pending[: end + len(_END_OF_HEAD)]
            if self._discarding:
                dropped = min(len(self._pending), self._missing)
                del self._pending[:dropped]
                self._missing -= dropped
            if len(self._pending) < self._missing:
                return
            assert self._head is not None
            start, headers = self._head
            body = bytes(self._pending[: self._missing])
            del self._pending[: self._missing]
            self._head = None
            yield Message(start, headers, body, self._discarding)

    def _begin(self, head: tuple[bytes, dict[bytes, bytes]]) -> None:
        limit = self._body_limit if self._admit is None else self._admit(*head)
        self._discarding = limit is None
        self._missing = _length(head[1], self._body_limit if limit is None else limit)
        self._head = head


@lru_cache(maxsize=256)
def _known(head: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    # A master says the same again and again: a third of a call's cost was taking it apart.
    return _parse(head)


def _parse(head: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    start, *lines = head.split(b"\r\n")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.match(name):
            raise Broken(HTTPStatus.BAD_REQUEST, "a header line is not of the form Name: value")
        key = name.lower()
        if key in headers:
            raise Broken(HTTPStatus.BAD_REQUEST, f"header {name.decode('ascii')} is sent twice")
        headers[key] = value.strip(b" \t")
    return start, headers


def _length(headers: dict[bytes, bytes], limit: int) -> int:
    if b"transfer-encoding" in headers:
        raise Broken(HTTPStatus.NOT_IMPLEMENTED, "bodies must be sent with a Content-Length")
    said = headers.get(b"content-length", b"0")
    if not _LENGTH.match(said):
        raise Broken(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
    if int(said) > limit:
        raise Broken(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {limit} bytes")
    return int(said)


def request(path: str, host: str, headers: str, body: bytes) -> bytes:
    """A POST of a JSON body; ``headers`` are whole lines."""
    head = (
        f"POST /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def response(status: HTTPStatus, body: bytes, *, last: bool = False) -> bytes:
    """An answer with a JSON body; after the ``last`` one the connection is closed."""
    head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (
        status,
        status.phrase.encode("ascii"),
        len(body),
        b"Connection: close\r\n" if last else b"",
    )
    return head + body


def asked(start: bytes) -> tuple[str, str]:
    """Return method and path, as the first line of a request has them.

    :raises Broken: it is none.
    """
    line = _REQUEST.match(start)
    if line is None:
        raise Broken(HTTPStatus.BAD_REQUEST, "the first line is not a request of HTTP/1.1")
    return line[1].decode("ascii"), line[2].decode("ascii")


def answered(message: Message) -> int:
    """The status of a response.

    :raises Broken: it is none.
    """
    line = _STATUS.match(message.start)
    if line is None:
        raise Broken(HTTPStatus.BAD_GATEWAY, "the first line is not an answer of HTTP/1.1")
    return int(line[1])


def explanation(message: Message) -> str:
    """Return what a response that is no success says about why."""
    try:
        return str(msgspec.json.decode(message.body)["explain"])
    except (*UNREADABLE, TypeError, KeyError):
        return "it does not say why"
