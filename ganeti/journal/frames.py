# SPDX-License-Identifier: BSD-2-Clause
"""The bytes of the log: one frame for each commit, chained, and a line of text before them.

A frame is a marker, a CRC-32 of all that follows it, the length of its body, how far back the
write began that it was part of, the SHA-256 digest of the frame before, and the commit as JSON.
What was written before that write began was durable, which is how a torn write is told from damage.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

import msgspec

from ganeti.journal.interfaces import Commit, JournalDamaged, LogPosition

MARKER = b"\xf7\xfeGJ"
"""Begins every frame; no text in UTF-8 has these bytes, so no body does."""

_HEAD = struct.Struct(">4sIII32s")
_CHECKED = struct.Struct(">II32s")
_CRC_FROM = 8
_SECTOR = 512

_HEADER = re.compile(rb"ganeti journal 1 after=(\d+) digest=([0-9a-f]{64}) crc=([0-9a-f]{8})\n")
_MAGIC = b"ganeti journal "

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Commit)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that verifies: where it is in its bytes, and the mark that it ends with."""

    mark: LogPosition
    start: int
    stop: int


def encode(commit: Commit, before: bytes, back: int) -> bytes:
    """The frame of ``commit``, which follows the one with the digest ``before``.

    ``back`` is the number of bytes that go before it in the same write.
    """
    body = _encoder.encode(commit)
    checked = _CHECKED.pack(len(body), back, before)
    return b"".join((MARKER, crc32(body, crc32(checked)).to_bytes(4, "big"), checked, body))


def digest_of(frame: bytes) -> bytes:
    """What the next frame has to say of this one."""
    return sha256(frame).digest()


def commit_of(data: bytes, frame: Frame) -> Commit:
    """The commit in a frame that was found in ``data``."""
    # A copy: the values of a commit are views of what they were read from, and would keep it.
    return _decoder.decode(bytes(data[frame.start + _HEAD.size : frame.stop]))


def scan(data: bytes, after: LogPosition, *, source: str, start: int = 0) -> Iterator[Frame]:
    """The frames of ``data`` from ``start`` on, which follow ``after``.

    Ends at the end of the data or at a torn write: what is behind the last frame's ``stop`` was
    never acknowledged and is to be cut off.

    :raises Damaged: a frame does not verify, and it is not the torn end of ``source``.
    """
    view = memoryview(data)
    while start < len(data):
        stop = _whole(view, start)
        if stop is None:
            if _is_damage(data, view, start):
                raise _damaged(source, start, after, "does not verify, but later ones do")
            return
        if view[start + _HEAD.size - 32 : start + _HEAD.size] != after.digest:
            raise _damaged(source, start, after, "does not follow the one before it")
        after = LogPosition(after.position + 1, sha256(view[start:stop]).digest())
        yield Frame(after, start, stop)
        start = stop


def _whole(view: memoryview, start: int) -> int | None:
    """Where the frame at ``start`` stops; None if there is none, or not a whole one."""
    if start + _HEAD.size > len(view):
        return None
    marker, crc, length, _, _ = _HEAD.unpack_from(view, start)
    stop = start + _HEAD.size + int(length)
    if marker != MARKER or stop > len(view) or crc32(view[start + _CRC_FROM : stop]) != crc:
        return None
    return stop


def _is_damage(data: bytes, view: memoryview, bad: int) -> bool:
    """Whether the bad frame at ``bad`` is more than a write that was cut short by a crash.

    Of a write that was never synced, a disk may have kept later sectors without earlier ones.
    Those are read as zeros, and whole frames after them are of the same write.
    """
    found = data.find(MARKER, bad + 1)
    while found >= 0:
        if _whole(view, found) is not None:
            began = found - int.from_bytes(view[found + 12 : found + 16], "big")
            if began > bad or not _misses_a_sector(data, max(began, 0), bad, found):
                return True
        found = data.find(MARKER, found + 1)
    return False


def _misses_a_sector(data: bytes, began: int, bad: int, found: int) -> bool:
    """Whether a sector that was to hold a part of the bad frame has only zeros of that write."""
    for sector in range(bad - bad % _SECTOR, found - _SECTOR + 1, _SECTOR):
        part = data[max(sector, began) : sector + _SECTOR]
        if part.count(0) == len(part):
            return True
    return False


def _damaged(source: str, offset: int, after: LogPosition, what: str) -> JournalDamaged:
    return JournalDamaged(
        f"{source} is damaged: the frame at byte {offset} (commit {after.position + 1}) {what}. "
        "Make a master candidate that is in sync the master, or copy its journal folder here; "
        f"if there is none, cut the file at that byte (truncate -s {offset}) and remove later "
        "segments to give up that commit and all after it"
    )


def header(after: LogPosition) -> bytes:
    """The first line of a segment whose frames follow ``after``."""
    line = b"%safter=%d digest=%s" % (
        _MAGIC + b"1 ",
        after.position,
        after.digest.hex().encode("ascii"),
    )
    return b"%s crc=%08x\n" % (line, crc32(line))


def read_header(data: bytes, *, source: str) -> tuple[LogPosition, int]:
    """The mark that a segment follows, and where its frames start.

    :raises Damaged: this is not the first line of a segment, or of a later format.
    """
    line = data[: data.find(b"\n", 0, 256) + 1]
    found = _HEADER.fullmatch(line)
    if found is None and line.startswith(_MAGIC) and not line.startswith(_MAGIC + b"1 "):
        raise JournalDamaged(
            f"{source} was written by a later release; run that release, or a newer one"
        )
    if found is None or crc32(line[: found.start(3) - 5]) != int(found[3], 16):
        raise JournalDamaged(
            f"{source} is damaged: its first line does not verify. Make a master candidate that is "
            "in sync the master, or copy its journal folder here"
        )
    return LogPosition(int(found[1]), bytes.fromhex(found[2].decode("ascii"))), len(line)
