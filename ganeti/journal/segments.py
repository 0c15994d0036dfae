# SPDX-License-Identifier: BSD-2-Clause
"""The folder of a log: segment files named by their first position, of which the last one grows."""

from __future__ import annotations

import errno
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ganeti.errors import GanetiError
from ganeti.journal.frames import Frame, header, read_header, scan
from ganeti.journal.interfaces import BEGINNING, JournalDamaged, LogPosition, Position
from ganeti.system.interfaces import IFiles, ILog

SEGMENT_SIZE = 16 << 20
"""A segment that has grown to this many bytes is not written to any more."""

PROBE = 64 << 10
"""How much a disk must take before it is trusted again after it failed."""

_NAME = re.compile(r"segment-(\d{16})")


class NotInSegments(GanetiError):
    """A mark that is not in this log: forgotten, not yet reached, or of another history."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole frames as they are on disk, what they follow and what they end with."""

    after: LogPosition
    data: bytes
    end: LogPosition


@dataclass(frozen=True, slots=True)
class _Segment:
    """What was read of a segment: its bytes as far as they count, and where its frames start."""

    source: str
    data: bytes
    after: LogPosition
    start: int

    def frames(self) -> Iterator[Frame]:
        return scan(self.data, self.after, source=self.source, start=self.start)


class Segments:
    """A log's files, for one writer at a time. What was written before a failure stays.

    Frames are taken and given as bytes that somebody else made; ``end`` is the mark of the last
    one that is durable.
    """

    def __init__(self, files: IFiles, folder: str, *, size: int = SEGMENT_SIZE) -> None:
        self.end = BEGINNING
        self._files = files
        self._folder = folder
        self._limit = size
        self._firsts: list[Position] = []
        self._log: ILog | None = None
        self._size = 0
        self._doubtful = False

    # --- opening and closing

    async def open(self) -> None:
        """Find the end of the log and cut off a torn write; an empty folder is an empty log.

        :raises Damaged: the last segment does not verify.
        """
        await self._files.make_folder(self._folder)
        self._firsts, self._size = self._found(), 0
        if not self._firsts:
            await self._begin(BEGINNING)
            return
        last = self._read(self._firsts[-1])
        self.end, self._size = last.after, last.start
        for frame in last.frames():
            self.end, self._size = frame.mark, frame.stop
        self._log = await self._files.open_log(last.source)
        if self._size < len(last.data):
            await self._log.truncate(self._size)

    def read_only(self) -> None:
        """Find the end of the log without changing anything; another process may be writing it.

        :raises Damaged: the last segment does not verify.
        :raises Elsewhere: there is no log.
        """
        self._firsts = self._found()
        if not self._firsts:
            raise NotInSegments(f"there is no journal in {self._folder}")
        last = self._read(self._firsts[-1])
        self.end, self._size = last.after, last.start
        for frame in last.frames():
            self.end, self._size = frame.mark, frame.stop

    async def close(self) -> None:
        """Give the last file back."""
        if self._log is not None:
            log, self._log = self._log, None
            await log.close()

    # --- writing

    async def write(self, frames: bytes, end: LogPosition) -> None:
        """Append whole frames that follow ``end`` as it was and end with the new one, durably.

        :raises OSError: they are not kept.
        """
        if self._doubtful:
            await self.cut(self.end)
        if self._size >= self._limit:
            await self.rotate()
        self._doubtful = True
        await self._open_log().write(frames)
        self._doubtful = False
        self._size += len(frames)
        self.end = end

    async def rotate(self) -> None:
        """Begin a new segment, unless the last one has no frame yet.

        :raises OSError: the disk does not let it.
        """
        if self._firsts[-1] <= self.end.position:
            self._doubtful = True
            await self._begin(self.end)
            self._doubtful = False

    async def probe(self) -> None:
        """See that the disk takes something more than a few bytes.

        :raises OSError: it does not.
        """
        self._doubtful = True
        await self._open_log().write(bytes(PROBE))
        await self.cut(self.end)

    async def cut(self, mark: LogPosition) -> None:
        """Remove everything after ``mark``, also what a failed write may have left, durably.

        :raises Elsewhere: it is not in the log, which stays as it is.
        :raises OSError: perhaps not all was removed; the next write tries again.
        """
        if mark == self.end:
            first, size = self._firsts[-1], self._size
        else:
            first = self._segment_of(mark)
            size = self._offset(first, mark)
        self._doubtful = True
        self.end, self._size = mark, size
        self._firsts = [each for each in self._firsts if each <= first]
        with suppress(OSError):  # what the file still had to say was said by the failure
            await self.close()
        for later in reversed(self._found()):
            if later > first:
                await self._files.remove(self._path(later))
        self._log = await self._files.open_log(self._path(first))
        await self._log.truncate(size)
        self._doubtful = False

    async def clear(self) -> None:
        """Remove every segment, whatever is in them; ``begin`` makes a log of it again."""
        with suppress(OSError):
            await self.close()
        for first in reversed(self._found()):
            await self._files.remove(self._path(first))
        self._firsts = []

    async def begin(self, after: LogPosition) -> None:
        """In a folder that is clear, begin a log whose first frame is to follow ``after``."""
        await self._files.make_folder(self._folder)
        await self._begin(after)
        self.end, self._doubtful = after, False

    async def forget(self, before: Position) -> None:
        """Remove the segments that hold no commit from ``before`` on; the last one stays."""
        while len(self._firsts) > 1 and self._firsts[1] <= before:
            oldest = self._firsts.pop(0)
            try:
                await self._files.remove(self._path(oldest))
            except OSError:  # to be tried again: without it, the next would leave a gap
                self._firsts.insert(0, oldest)
                raise

    def segment_before(self, position: Position) -> Position:
        """Return where the segment begins that is before the one with a position.

        What is in a checkpoint may go from there back: a whole segment stays for those who read
        what has happened.
        """
        return self._firsts[max(0, bisect_right(self._firsts, position) - 2)]

    async def _begin(self, after: LogPosition) -> None:
        first = after.position + 1
        line = header(after)
        await self._files.replace(self._path(first), line)
        log = await self._files.open_log(self._path(first))
        await self.close()
        self._firsts.append(first)
        self._log, self._size = log, len(line)

    def is_as_left(self) -> bool:
        """Whether nobody else has written to the folder since this did, as far as sizes tell."""
        found = self._files.stat(self._path(self._firsts[-1]))
        return (
            found is not None
            and (found.size == self._size or self._doubtful)
            and (
                self._firsts[-1] > self.end.position
                or self._files.stat(self._path(self.end.position + 1)) is None
            )
        )

    # --- reading

    def begins_after(self) -> Position:
        """The position before that of the first commit that is still here."""
        return self._firsts[0] - 1

    def frames(self, after: Position) -> Iterator[tuple[bytes, Frame]]:
        """Every durable frame after a position, with the bytes that it is in; read as it is used.

        :raises Damaged: one does not verify, or a segment is missing.
        :raises Elsewhere: the segment that is read next was forgotten meanwhile.
        """
        before: LogPosition | None = None
        last = self.end.position  # the log may grow while this waits for its next turn
        first = self._firsts[max(0, bisect_right(self._firsts, after + 1) - 1)]
        while before is None or before.position < last:
            if first not in self._firsts:
                raise NotInSegments(f"commit {first} was forgotten while it was to be read")
            segment = self._read(first)
            if before is not None and segment.after != before:
                raise JournalDamaged(f"{segment.source} does not follow the segment before it")
            before, stop = segment.after, segment.start
            for frame in segment.frames():
                before, stop = frame.mark, frame.stop
                if frame.mark.position > after:
                    yield segment.data, frame
            if stop < len(segment.data) or (
                before.position < last and before.position + 1 not in self._firsts
            ):
                raise JournalDamaged(
                    f"{segment.source} is damaged: it ends after commit {before.position}, at byte "
                    f"{stop}, but there are later ones. Make a master candidate that is in sync "
                    "the master, or copy its journal folder here"
                )
            first = before.position + 1

    def frames_after(
        self, mark: LogPosition, *, until: Position | None = None, limit: int = 1 << 20
    ) -> Iterator[Frames]:
        """All durable frames after ``mark`` (up to ``until``), in pieces of about ``limit`` bytes.

        :raises Elsewhere: the mark is not in this log.
        """
        first = self._segment_of(mark)
        self._offset(first, mark)
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

    def mark_at(self, position: Position) -> LogPosition:
        """The mark of a commit, or of the beginning of this log.

        :raises Elsewhere: it is not here.
        """
        if position == self.end.position:
            return self.end
        if not self.begins_after() <= position < self.end.position:
            raise NotInSegments(f"commit {position} is not in the journal")
        segment = self._read(self._firsts[bisect_right(self._firsts, position + 1) - 1])
        if segment.after.position == position:
            return segment.after
        for frame in segment.frames():
            if frame.mark.position == position:
                return frame.mark
        raise JournalDamaged(f"{segment.source} ends before commit {position}")

    def _segment_of(self, mark: LogPosition) -> Position:
        if not self.begins_after() <= mark.position <= self.end.position:
            raise NotInSegments(f"commit {mark.position} is not in the journal")
        return self._firsts[bisect_right(self._firsts, mark.position + 1) - 1]

    def _offset(self, first: Position, mark: LogPosition) -> int:
        """Where the frame of ``mark`` stops in its segment."""
        segment = self._read(first)
        if segment.after == mark:
            return segment.start
        for frame in segment.frames():
            if frame.mark == mark:
                return frame.stop
            if frame.mark.position == mark.position:
                break
        raise NotInSegments(f"commit {mark.position} of the journal is another one")

    def _read(self, first: Position) -> _Segment:
        source = self._path(first)
        data = self._files.read(source)
        if self._size and first == self._firsts[-1]:
            data = data[: self._size]  # behind it is what is being written just now
        after, start = read_header(data, source=source)
        if after.position + 1 != first:
            raise JournalDamaged(
                f"{source} begins with commit {after.position + 1}: it has a wrong name"
            )
        return _Segment(source, data, after, start)

    def _found(self) -> list[Position]:
        names = map(_NAME.fullmatch, self._files.names(self._folder))
        return sorted(int(name[1]) for name in names if name)

    def _path(self, first: Position) -> str:
        return f"{self._folder}/segment-{first:016}"

    def _open_log(self) -> ILog:
        if self._log is None:
            raise OSError(errno.EBADF, "the journal is closed")
        return self._log
