# SPDX-License-Identifier: BSD-2-Clause
"""The segment files of a log, named by their first position; only the last one grows."""

from __future__ import annotations

import errno
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ganeti.errors import GanetiError
from ganeti.journal.frames import RESTORE, Frame, header, read_header, scan
from ganeti.journal.interfaces import BEGINNING, JournalDamaged, LogPosition, Position
from ganeti.system.interfaces import IFiles, ILog

SEGMENT_SIZE = 16 << 20
"""Size in bytes from which on a segment is closed and a new one begins."""

PROBE_SIZE = 64 << 10
"""Number of bytes that a disk must accept after a failure before it is used again."""

_NAME = re.compile(r"segment-(\d{16})")


class PositionNotFound(GanetiError):
    """A log position that is not in this log: removed, not yet written, or of another history."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Complete frames as they are on disk, with the log positions before and at their end."""

    after: LogPosition
    data: bytes
    end: LogPosition


@dataclass(frozen=True, slots=True)
class _Segment:
    """The content of a segment up to its durable end, and the offset of its first frame."""

    source: str
    data: bytes
    after: LogPosition
    start: int

    def frames(self) -> Iterator[Frame]:
        return scan(self.data, self.after, source=self.source, start=self.start)


class Segments:
    """The files of a log, for one writer at a time; a failed write leaves earlier frames intact.

    Frames are encoded by the caller; ``end`` is the log position of the last durable frame.
    """

    def __init__(self, files: IFiles, folder: str, *, size: int = SEGMENT_SIZE) -> None:
        self.end = BEGINNING
        self._files = files
        self._folder = folder
        self._limit = size
        self._firsts: list[Position] = []
        self._log: ILog | None = None
        self._size = 0
        self._needs_truncation = False

    # --- opening and closing

    async def open(self) -> None:
        """Find the end of the log and cut off a torn write; an empty folder becomes an empty log.

        :raises JournalDamaged: the last segment does not verify.
        """
        await self._files.make_folder(self._folder)
        self._firsts, self._size = self._list_segments(), 0
        if not self._firsts:
            await self._create_segment(BEGINNING)
            return
        last = self._read_segment(self._firsts[-1])
        self.end, self._size = last.after, last.start
        for frame in last.frames():
            self.end, self._size = frame.mark, frame.stop
        self._log = await self._files.open_log(last.source)
        # Durably: the remains must not reappear behind frames that are written later.
        if self._size < len(last.data):
            await self._log.truncate(self._size)

    def open_read_only(self) -> None:
        """Find the end of the log without changes; another process may write it meanwhile.

        :raises JournalDamaged: the last segment does not verify.
        :raises PositionNotFound: the folder contains no log.
        """
        self._firsts = self._list_segments()
        if not self._firsts:
            raise PositionNotFound(f"there is no journal in {self._folder}")
        last = self._read_segment(self._firsts[-1])
        self.end, self._size = last.after, last.start
        for frame in last.frames():
            self.end, self._size = frame.mark, frame.stop

    async def close(self) -> None:
        """Close the last file."""
        if self._log is not None:
            log, self._log = self._log, None
            await log.close()

    # --- writing

    async def write(self, frames: bytes, end: LogPosition) -> None:
        """Append complete frames durably; they follow the old ``end`` and end at the new one.

        :raises OSError: the frames were not stored.
        """
        if self._needs_truncation:
            await self.truncate_after(self.end)
        if self._size >= self._limit:
            await self.rotate()
        # Until the write has returned, it is unknown how much of it is on disk.
        self._needs_truncation = True
        await self._require_open().write(frames)
        self._needs_truncation = False
        self._size += len(frames)
        self.end = end

    async def rotate(self) -> None:
        """Begin a new segment, unless the last one has no frame yet.

        :raises OSError: the segment could not be created.
        """
        # If the last segment has no frame, a new one would have the same name.
        if self._firsts[-1] <= self.end.position:
            self._needs_truncation = True
            await self._create_segment(self.end)
            self._needs_truncation = False

    async def probe(self) -> None:
        """Check that the disk accepts more than a few bytes.

        :raises OSError: it does not.
        """
        # Cut off again in any case, also if only a part was written.
        self._needs_truncation = True
        await self._require_open().write(bytes(PROBE_SIZE))
        await self.truncate_after(self.end)

    async def truncate_after(self, mark: LogPosition) -> None:
        """Remove everything after ``mark`` durably, including the remains of a failed write.

        :raises PositionNotFound: the mark is not in the log; nothing was changed.
        :raises OSError: some of it may remain; the next write tries again.
        """
        if mark == self.end:
            first, size = self._firsts[-1], self._size
        else:
            first = self._find_segment(mark)
            size = self._find_offset(first, mark)
        self._needs_truncation = True
        self.end, self._size = mark, size
        self._firsts = [each for each in self._firsts if each <= first]
        with suppress(OSError):  # the failure of the write was reported already
            await self.close()
        # The newest first: a crash in between then leaves no gap.
        for later in reversed(self._list_segments()):
            if later > first:
                await self._files.remove(self._path(later))
        # Opened again, as it may be an earlier segment than before.
        self._log = await self._files.open_log(self._path(first))
        await self._log.truncate(size)
        self._needs_truncation = False

    async def clear(self) -> None:
        """Remove every segment, even damaged ones; ``start_log`` then starts a new log."""
        # It is about to be removed, so that data which cannot be written does not matter.
        with suppress(OSError):
            await self.close()
        for first in reversed(self._list_segments()):
            await self._files.remove(self._path(first))
        self._firsts = []

    async def start_log(self, after: LogPosition) -> None:
        """Start a log in an empty folder; its first frame will follow ``after``."""
        await self._files.make_folder(self._folder)
        await self._create_segment(after)
        self.end, self._needs_truncation = after, False

    async def remove_before(self, before: Position) -> None:
        """Remove the segments without commits from ``before`` on; the last segment stays."""
        # The second one begins at or before the position, so that the first has nothing from there
        # on.
        while len(self._firsts) > 1 and self._firsts[1] <= before:
            oldest = self._firsts.pop(0)
            try:
                await self._files.remove(self._path(oldest))
            except OSError:  # retried later; removing the next one first would leave a gap
                self._firsts.insert(0, oldest)
                raise

    def previous_segment(self, position: Position) -> Position:
        """Return the first position of the segment before the one that contains ``position``.

        Commits of a checkpoint may be removed before that: one whole segment stays for readers of
        the history.
        """
        return self._firsts[max(0, bisect_right(self._firsts, position) - 2)]

    async def _create_segment(self, after: LogPosition) -> None:
        first = after.position + 1
        line = header(after)
        # The header is written whole by a rename, so that no segment begins with half a line.
        await self._files.replace(self._path(first), line)
        log = await self._files.open_log(self._path(first))
        # After the new one is open: if that fails, the log goes on in the old one.
        await self.close()
        self._firsts.append(first)
        self._log, self._size = log, len(line)

    def is_unchanged(self) -> bool:
        """Return whether the size of the last file shows no other writer since the last write."""
        found = self._files.stat(self._path(self._firsts[-1]))
        # The size tells: a writer only appends, truncates, or begins a segment.
        return (
            found is not None
            and (found.size == self._size or self._needs_truncation)
            and (
                self._firsts[-1] > self.end.position
                or self._files.stat(self._path(self.end.position + 1)) is None
            )
        )

    # --- reading

    def base_position(self) -> Position:
        """Return the position before the first commit that is still stored."""
        return self._firsts[0] - 1

    def frames(self, after: Position) -> Iterator[tuple[bytes, Frame]]:
        """Yield every durable frame after a position, with the data it is in; reads lazily.

        :raises JournalDamaged: a frame does not verify, or a segment is missing.
        :raises PositionNotFound: the next segment was removed meanwhile.
        """
        before: LogPosition | None = None
        last = self.end.position  # the log may grow between two frames
        first = self._firsts[max(0, bisect_right(self._firsts, after + 1) - 1)]
        while before is None or before.position < last:
            if first not in self._firsts:
                raise PositionNotFound(f"commit {first} was removed during the read")
            segment = self._read_segment(first)
            if before is not None and segment.after != before:
                raise JournalDamaged(f"{segment.source} does not follow the segment before it")
            before, stop = segment.after, segment.start
            for frame in segment.frames():
                before, stop = frame.mark, frame.stop
                if frame.mark.position > after:
                    yield segment.data, frame
            # Only the last segment may end in the middle of a frame.
            if stop < len(segment.data) or (
                before.position < last and before.position + 1 not in self._firsts
            ):
                raise JournalDamaged(
                    f"{segment.source} is damaged: it ends after commit {before.position}, at byte "
                    f"{stop}, but later commits exist. {RESTORE}"
                )
            first = before.position + 1

    def frames_after(
        self, mark: LogPosition, *, until: Position | None = None, limit: int = 1 << 20
    ) -> Iterator[Frames]:
        """Yield the durable frames after ``mark`` (up to ``until``), in pieces of ``limit`` bytes.

        :raises PositionNotFound: the mark is not in this log.
        """
        first = self._find_segment(mark)
        # For the digest: a mark with the same number may be of another history.
        self._find_offset(first, mark)
        after, piece, size = mark, list[bytes](), 0
        end = mark
        for data, frame in self.frames(mark.position):
            if until is not None and frame.mark.position > until:
                break
            piece.append(data[frame.start : frame.stop])
            size, end = size + frame.stop - frame.start, frame.mark
            if size >= limit:
                yield Frames(after, b"".join(piece), end)
                after, piece, size = end, [], 0
        if piece:
            yield Frames(after, b"".join(piece), end)

    def find_log_position(self, position: Position) -> LogPosition:
        """Return the log position of a commit, or of the start of this log.

        :raises PositionNotFound: the position is not in this log.
        """
        if position == self.end.position:
            return self.end
        if not self.base_position() <= position < self.end.position:
            raise PositionNotFound(f"commit {position} is not in the journal")
        segment = self._read_segment(self._firsts[bisect_right(self._firsts, position + 1) - 1])
        if segment.after.position == position:
            return segment.after
        for frame in segment.frames():
            if frame.mark.position == position:
                return frame.mark
        raise JournalDamaged(f"{segment.source} ends before commit {position}")

    def _find_segment(self, mark: LogPosition) -> Position:
        if not self.base_position() <= mark.position <= self.end.position:
            raise PositionNotFound(f"commit {mark.position} is not in the journal")
        return self._firsts[bisect_right(self._firsts, mark.position + 1) - 1]

    def _find_offset(self, first: Position, mark: LogPosition) -> int:
        """Return the offset in its segment at which the frame of ``mark`` ends."""
        segment = self._read_segment(first)
        if segment.after == mark:
            return segment.start
        for frame in segment.frames():
            if frame.mark == mark:
                return frame.stop
            if frame.mark.position == mark.position:
                break
        raise PositionNotFound(f"commit {mark.position} of the journal has another digest")

    def _read_segment(self, first: Position) -> _Segment:
        source = self._path(first)
        data = self._files.read(source)
        # While the log is opened, the size is not known yet, and the whole file is examined.
        if self._size and first == self._firsts[-1]:
            data = data[: self._size]  # later bytes belong to a write in progress
        after, start = read_header(data, source=source)
        if after.position + 1 != first:
            raise JournalDamaged(
                f"{source} begins with commit {after.position + 1}, which does not match its name"
            )
        return _Segment(source, data, after, start)

    def _list_segments(self) -> list[Position]:
        names = map(_NAME.fullmatch, self._files.names(self._folder))
        return sorted(int(name[1]) for name in names if name)

    def _path(self, first: Position) -> str:
        return f"{self._folder}/segment-{first:016}"

    def _require_open(self) -> ILog:
        if self._log is None:
            raise OSError(errno.EBADF, "the journal is closed")
        return self._log
