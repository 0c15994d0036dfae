# SPDX-License-Identifier: BSD-2-Clause
"""The format of the log: a text header, then one frame per commit, chained by digests.

A frame is a marker, a CRC-32 of everything after it, the length of the body, the offset back to the
start of the write that the frame was part of, the SHA-256 digest of the previous frame, and the
commit as JSON. Everything before the start of that write was durable; this distinguishes a torn
write from damage.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

import msgspec

from ganeti.journal.interfaces import LATER_RELEASE, Commit, JournalDamaged, LogPosition
from ganeti.schema.documents import UNREADABLE

MARKER = b"\xf7\xfeGJ"
"""Begins every frame; these bytes never occur in UTF-8 text, and so never in a body."""

_HEAD = struct.Struct(">4sIII32s")
# What the checksum covers: all but the marker and the checksum itself.
_CHECKED = struct.Struct(">II32s")
_CRC_FROM = 8
# The smallest unit of a disk; larger ones are multiples of it.
_SECTOR = 512

RESTORE = "Fail over to a master candidate that is in sync, or copy its journal folder here"
"""The action to take when a log is damaged."""

_HEADER = re.compile(rb"ganeti journal 1 after=(\d+) digest=([0-9a-f]{64}) crc=([0-9a-f]{8})\n")
_MAGIC = b"ganeti journal "

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Commit)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that verifies: its byte range and its log position."""

    mark: LogPosition
    start: int
    stop: int


def encode(commit: Commit, before: bytes, back: int) -> bytes:
    """Return the frame of ``commit``, which follows the frame with the digest ``before``.

    ``back`` is the number of bytes before it in the same write.
    """
    body = _encoder.encode(commit)
    checked = _CHECKED.pack(len(body), back, before)
    return b"".join((MARKER, crc32(body, crc32(checked)).to_bytes(4, "big"), checked, body))


def digest_of(frame: bytes) -> bytes:
    """Return the digest that the next frame stores of this frame."""
    return sha256(frame).digest()


def previous_digest(frame: bytes) -> bytes:
    """Return the digest of the previous frame that a frame stores."""
    return frame[_HEAD.size - 32 : _HEAD.size]


def commit_of(data: bytes, frame: Frame) -> Commit:
    """Return the commit of a frame that was found in ``data``.

    :raises JournalDamaged: the frame verifies, but has the form of a later release.
    """
    # Copy: values of the commit are views into the decoded bytes, and would keep all of data alive.
    body = bytes(data[frame.start + _HEAD.size : frame.stop])
    try:
        return _decoder.decode(body)
    except UNREADABLE as e:
        raise JournalDamaged(
            f"commit {frame.mark.position} has an unknown form ({e}): {LATER_RELEASE}"
        ) from None


def scan(data: bytes, after: LogPosition, *, source: str, start: int = 0) -> Iterator[Frame]:
    """Yield the frames of ``data`` from offset ``start`` on, which follow ``after``.

    Ends at the end of the data or at a torn write: bytes after the last frame's ``stop`` were never
    acknowledged and must be cut off.

    :raises JournalDamaged: a frame does not verify, and it is not the torn end of ``source``.
    """
    view = memoryview(data)
    while start < len(data):
        stop = _find_frame_end(view, start)
        if stop is None:
            if _is_damage(data, view, start):
                raise _damage_error(source, start, after, "does not verify, but later ones do")
            return
        # After the checksum: a frame that verifies and does not follow comes from another log.
        if view[start + _HEAD.size - 32 : start + _HEAD.size] != after.digest:
            raise _damage_error(source, start, after, "does not follow the one before it")
        after = LogPosition(after.position + 1, sha256(view[start:stop]).digest())
        yield Frame(after, start, stop)
        start = stop


def _find_frame_end(view: memoryview, start: int) -> int | None:
    """Return the end offset of the frame at ``start``; None if there is no complete frame."""
    if start + _HEAD.size > len(view):
        return None
    marker, crc, length, _, _ = _HEAD.unpack_from(view, start)
    stop = start + _HEAD.size + int(length)
    if marker != MARKER or stop > len(view) or crc32(view[start + _CRC_FROM : stop]) != crc:
        return None
    return stop


def _is_damage(data: bytes, view: memoryview, bad: int) -> bool:
    """Return whether the bad frame is damaged, rather than part of a write torn by a crash.

    A disk may have stored later sectors of an unsynced write without earlier ones. The missing
    sectors read as zeros, and complete frames after them belong to the same write.
    """
    # The marker may also occur in a digest, so that each place is examined as a frame.
    found = data.find(MARKER, bad + 1)
    while found >= 0:
        if _find_frame_end(view, found) is not None:
            began = found - int.from_bytes(view[found + 12 : found + 16], "big")
            # A frame of a later write proves that the bad one was durable; in the same write, a
            # missing sector shows that it was not.
            if began > bad or not _has_lost_sector(data, max(began, 0), bad, found):
                return True
        found = data.find(MARKER, found + 1)
    return False


def _has_lost_sector(data: bytes, began: int, bad: int, found: int) -> bool:
    """Return whether a sector of the bad frame has only zeros in its part of that write."""
    for sector in range(bad - bad % _SECTOR, found - _SECTOR + 1, _SECTOR):
        part = data[max(sector, began) : sector + _SECTOR]
        if part.count(0) == len(part):
            return True
    return False


def _damage_error(source: str, offset: int, after: LogPosition, what: str) -> JournalDamaged:
    return JournalDamaged(
        f"{source} is damaged: the frame at byte {offset} (commit {after.position + 1}) {what}. "
        f"{RESTORE}; without such a candidate, truncate the file there (truncate -s {offset}) "
        "and remove later segments, which gives up that commit and all later ones"
    )


def header(after: LogPosition) -> bytes:
    """Return the header line of a segment whose frames follow ``after``."""
    line = b"%safter=%d digest=%s" % (
        _MAGIC + b"1 ",
        after.position,
        after.digest.hex().encode("ascii"),
    )
    return b"%s crc=%08x\n" % (line, crc32(line))


def read_header(data: bytes, *, source: str) -> tuple[LogPosition, int]:
    """Return the log position that a segment follows, and the offset of its first frame.

    :raises JournalDamaged: the data has no valid header, or that of a later format.
    """
    # In a file without such a line, the search must not go through all of it.
    line = data[: data.find(b"\n", 0, 256) + 1]
    found = _HEADER.fullmatch(line)
    # A later format is told from damage, since another release can read it.
    if found is None and line.startswith(_MAGIC) and not line.startswith(_MAGIC + b"1 "):
        raise JournalDamaged(
            f"{source} has a format that is not known to this release: {LATER_RELEASE}"
        )
    if found is None or crc32(line[: found.start(3) - 5]) != int(found[3], 16):
        raise JournalDamaged(f"{source} is damaged: its header does not verify. {RESTORE}")
    return LogPosition(int(found[1]), bytes.fromhex(found[2].decode("ascii"))), len(line)
