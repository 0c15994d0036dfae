# SPDX-License-Identifier: BSD-2-Clause
"""The stream in which a disk is sent to a repository: the areas that were read, in order.

It begins with ``GBS1``, whether it has changes only, and the size of the disk. Each area has its
kind, offset and length; data follow. The last area has the kind ``END``, without which the stream
is incomplete. Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ganeti.errors import Code, Failed

_MAGIC = b"GBS1"
_HEAD = struct.Struct(">4s?Q")
_AREA = struct.Struct(">BQQ")
_DATA, _ZEROS, _END = 1, 2, 3

MAX_DATA = 1 << 20
"""Maximum number of bytes of one area with data."""


@dataclass(frozen=True)
class StreamHead:
    """The begin of a stream: ``changes`` says that areas it does not contain have not changed.

    ``size`` is that of the disk in bytes.
    """

    size: int
    changes: bool = False


@dataclass(frozen=True)
class Extent:
    """An area of a disk: offset and length in bytes, and its data; without data, it is zeros."""

    offset: int
    length: int
    data: bytes | None = None


def encode_head(head: StreamHead) -> bytes:
    """Return the begin of a stream."""
    return _HEAD.pack(_MAGIC, head.changes, head.size)


def encode_extent(extent: Extent) -> bytes:
    """Return an area in a stream."""
    kind = _ZEROS if extent.data is None else _DATA
    return _AREA.pack(kind, extent.offset, extent.length) + (extent.data or b"")


def encode_end() -> bytes:
    """Return the end of a complete stream."""
    return _AREA.pack(_END, 0, 0)


def read_head(read: Callable[[int], bytes]) -> StreamHead:
    """Read the begin of a stream; ``read`` returns exactly so many bytes, fewer only at the end.

    :raises Failed: it is not such a stream.
    """
    content = read(_HEAD.size)
    if len(content) < _HEAD.size:
        raise _incomplete()
    magic, changes, size = _HEAD.unpack(content)
    if magic != _MAGIC:
        raise Failed("the sender of a disk speaks another protocol", Code.ENVIRONMENT)
    return StreamHead(size, changes)


def read_extents(read: Callable[[int], bytes], size: int) -> Iterator[Extent]:
    """Yield the areas of a stream in order, until its end.

    :raises Failed: the stream is incomplete, or an area is not within the disk.
    """
    after = 0
    while True:
        content = read(_AREA.size)
        if len(content) < _AREA.size:
            raise _incomplete()
        kind, offset, length = _AREA.unpack(content)
        if kind == _END:
            return
        if offset < after or offset + length > size or kind not in (_DATA, _ZEROS):
            raise Failed("the sender of a disk sent an impossible area", Code.ENVIRONMENT)
        after = offset + length
        if kind == _ZEROS:
            yield Extent(offset, length)
            continue
        if length > MAX_DATA:
            raise Failed("the sender of a disk sent too much at once", Code.ENVIRONMENT)
        data = read(length)
        if len(data) < length:
            raise _incomplete()
        yield Extent(offset, length, data)


def _incomplete() -> Failed:
    return Failed("the data of a disk ended early", Code.ENVIRONMENT)
