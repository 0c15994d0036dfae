# SPDX-License-Identifier: BSD-2-Clause
"""Messages of NBD, the protocol in which QEMU exports disks; the side of a client that reads.

The protocol is the document ``doc/proto.md`` of the project nbd: the fixed newstyle handshake,
structured replies, and block status with metadata contexts. The names of bitmaps are those of
QEMU's ``docs/interop/nbd.txt``. Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GREETING = b"NBDMAGICIHAVEOPT"
FIXED_NEWSTYLE, NO_ZEROES = 1, 2

_OPTION_MAGIC = b"IHAVEOPT"
_OPTION_REPLY_MAGIC = 0x0003E889045565A9
GO, STRUCTURED_REPLY, SET_META_CONTEXT = 7, 8, 10
ACK, INFO, META_CONTEXT = 1, 3, 4
_ERROR_BIT = 1 << 31
INFO_EXPORT = 0

_REQUEST_MAGIC = 0x25609513
READ, DISCONNECT, BLOCK_STATUS = 0, 2, 7

_STRUCTURED_MAGIC = 0x668E33EF
DONE = 1
OFFSET_DATA, OFFSET_HOLE, STATUS = 1, 2, 5
_REPLY_ERROR = 1 << 15

ALLOCATION = "base:allocation"
ZERO_FLAG, DIRTY_FLAG = 2, 1

OPTION_REPLY_HEAD = struct.Struct(">QIII")
REPLY_HEAD = struct.Struct(">IHHQI")
_REQUEST = struct.Struct(">IHHQQI")
_EXTENT = struct.Struct(">II")

MAX_PAYLOAD = 64 << 20
"""Maximum length of a reply, in bytes; QEMU sends at most 32 MiB."""


class NbdError(Exception):
    """The server reports an error, or does not speak this protocol."""


def bitmap_context(name: str) -> str:
    """Return the metadata context of a bitmap of QEMU."""
    return f"qemu:dirty-bitmap:{name}"


def encode_option(option: int, data: bytes = b"") -> bytes:
    """Return an option of the handshake."""
    return _OPTION_MAGIC + struct.pack(">II", option, len(data)) + data


def encode_contexts(export: str, contexts: Sequence[str]) -> bytes:
    """Return the option that selects metadata contexts."""
    parts = [_text(export), struct.pack(">I", len(contexts)), *map(_text, contexts)]
    return encode_option(SET_META_CONTEXT, b"".join(parts))


def encode_go(export: str) -> bytes:
    """Return the option that selects an export and ends the handshake."""
    return encode_option(GO, _text(export) + struct.pack(">H", 0))


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">I", len(raw)) + raw


def parse_option_reply(head: bytes, option: int) -> tuple[int, int]:
    """Return the type of the reply to ``option``, and the length of its data.

    :raises NbdError: it is none.
    """
    magic, answered, kind, length = OPTION_REPLY_HEAD.unpack(head)
    if magic != _OPTION_REPLY_MAGIC or answered != option or length > MAX_PAYLOAD:
        raise NbdError("the server does not speak NBD")
    return kind, length


def check_option_reply(kind: int, data: bytes) -> None:
    """:raises NbdError: the reply is an error."""
    if kind & _ERROR_BIT:
        raise NbdError(data.decode("utf-8", "replace") or f"error {kind & ~_ERROR_BIT}")


def parse_export_size(data: bytes) -> int | None:
    """Return the size in bytes in an ``INFO`` reply; None if it is about something else."""
    if len(data) >= 12 and struct.unpack(">H", data[:2])[0] == INFO_EXPORT:
        return int(struct.unpack(">Q", data[2:10])[0])
    return None


def parse_context(data: bytes) -> tuple[int, str]:
    """Return the number and name in a ``META_CONTEXT`` reply."""
    if len(data) < 4:
        raise NbdError("the server sent a malformed context")
    return int(struct.unpack(">I", data[:4])[0]), data[4:].decode("utf-8", "replace")


def encode_request(kind: int, cookie: int, offset: int = 0, length: int = 0) -> bytes:
    """Return a request."""
    return _REQUEST.pack(_REQUEST_MAGIC, 0, kind, cookie, offset, length)


@dataclass(frozen=True)
class Reply:
    """The head of a part of a structured reply."""

    last: bool
    kind: int
    cookie: int
    length: int


def parse_reply(head: bytes) -> Reply:
    """Return the head of a part of a reply.

    :raises NbdError: it is none.
    """
    magic, flags, kind, cookie, length = REPLY_HEAD.unpack(head)
    if magic != _STRUCTURED_MAGIC or length > MAX_PAYLOAD:
        raise NbdError("the server sent a malformed reply")
    return Reply(bool(flags & DONE), kind, cookie, length)


def check_reply(reply: Reply, payload: bytes) -> None:
    """:raises NbdError: the reply is an error; with its message."""
    if reply.kind & _REPLY_ERROR:
        if len(payload) < 6:
            raise NbdError("the server reports an error")
        number, length = struct.unpack(">IH", payload[:6])
        said = payload[6 : 6 + length].decode("utf-8", "replace")
        raise NbdError(said or f"error {number}")


def parse_status(payload: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Return the context of a block status, and its areas as lengths and flags."""
    if len(payload) < 4 or (len(payload) - 4) % _EXTENT.size:
        raise NbdError("the server sent a malformed block status")
    [context] = struct.unpack(">I", payload[:4])
    areas = list(_EXTENT.iter_unpack(payload[4:]))
    if not areas or not all(length for length, _ in areas):
        raise NbdError("the server sent a block status without areas")
    return int(context), areas


def merge_areas(
    one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, int]]:
    """Yield the areas that two lists cover in common: length, and the flags of each."""
    left, right = list(one), list(other)
    while left and right:
        length = min(left[0][0], right[0][0])
        yield length, left[0][1], right[0][1]
        for areas in (left, right):
            rest = areas[0][0] - length
            areas[0:1] = [(rest, areas[0][1])] if rest else []
