# SPDX-License-Identifier: BSD-2-Clause
"""This node's copy of the journal: the master's frames byte for byte, and its checkpoints.

The folder is what a master keeps, so that this node can become the master.
"""

from __future__ import annotations

import posixpath
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Failed
from ganeti.journal.file import explained
from ganeti.journal.frames import scan
from ganeti.journal.interfaces import JournalDamaged, LogPosition
from ganeti.journal.marker import (
    Marker,
    complete,
    marker_at,
    replacing,
    require_one_history,
)
from ganeti.journal.segments import SEGMENT_SIZE, NotInSegments, Segments
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    FrameBatch,
    KeepCheckpoint,
    ReadFrames,
    ReplicaEnd,
    ResetReplica,
)
from ganeti.system.interfaces import IFiles

QUEUE = "queue"
"""The folder whose files are all of a checkpoint: one that a checkpoint lacks is of the past."""

CONFIG, MARKER = "config.data", "journal/checkpoint"
"""Files that every checkpoint has; the second is written by the node itself, first and last."""


class Replica:
    """The copy below ``data``; calls take turns, and each is durable before it is answered.

    ``in_use`` says whether a master daemon runs on this node: then the folder is its own, and is
    only read.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        data: str,
        *,
        segment_size: int = SEGMENT_SIZE,
        in_use: Callable[[], bool] = lambda: False,
    ) -> None:
        self._files = files
        self._data = data
        self._folder = f"{data}/journal"
        self._segment_size = segment_size
        self._in_use = in_use
        self._known: Segments | None = None
        self._lock = DeferredLock()
        self._checkpoint_lock = DeferredLock()

    async def describe(self, call: DescribeReplica) -> ReplicaEnd:
        """Return where the copy ends, or the mark of an earlier commit in it.

        :raises Failed: it is damaged, cannot be read, or does not have the commit; or its
            checkpoint is not of the same history.
        """
        async with self._read_only() as segments:
            if call.at is not None:
                return to_wire(segments.mark_at(call.at))
            require_one_history(self._marker(), segments, self._data)
            return to_wire(segments.end)

    async def ends(self, at: int | None) -> tuple[ReplicaEnd | None, ReplicaEnd | None]:
        """Return the end of a usable copy, and its mark at a position; None where there is none.

        Also while a master daemon runs here: then the answer may be overtaken at any moment.
        """
        async with self._lock:
            segments = self._new()
            try:
                segments.read_only()
                require_one_history(self._marker(), segments, self._data)
                if self._files.stat(f"{self._data}/{CONFIG}") is None:
                    return None, None
            except (Failed, JournalDamaged, NotInSegments, OSError):
                return None, None
            try:
                common = None if at is None else to_wire(segments.mark_at(at))
            except (JournalDamaged, NotInSegments, OSError):
                common = None
            return to_wire(segments.end), common

    async def read_frames(self, call: ReadFrames) -> FrameBatch:
        """Return some of the frames that follow a mark of the copy.

        :raises Failed: the mark is not in it, or it cannot be read.
        """
        after = from_wire(call.after)
        async with self._read_only() as segments:
            require_one_history(self._marker(), segments, self._data)
            for piece in segments.frames_after(after):
                frames = b64encode(piece.data).decode("ascii")
                return FrameBatch(frames=frames, end=to_wire(piece.end))
            return FrameBatch(frames="", end=call.after)

    async def append_frames(self, call: AppendFrames) -> ReplicaEnd:
        """Append frames that follow the copy's end, and answer the new one.

        :raises Failed: they do not, or could not be kept; nothing of them is.
        """
        after = from_wire(call.after)
        frames = decoded(call.frames)
        end = end_of(frames, after)
        async with self._turn():
            segments = await self._segments()
            if call.cut:
                self._require_older_checkpoint(after)
                await segments.cut(after)
            elif segments.end != after:
                raise Failed(
                    f"the copy of the journal ends with commit {segments.end.position}, and not "
                    f"with the commit {after.position} that was to be followed"
                )
            if frames:
                await segments.write(frames, end)
            return to_wire(segments.end)

    async def reset(self, call: ResetReplica) -> ReplicaEnd:
        """Replace the copy by a checkpoint; the frames after it are to follow.

        Everything is checked before anything is removed.

        :raises Failed: it is no checkpoint, or could not be kept; the copy may be unusable then.
        """
        end = from_wire(call.end)
        contents = self._paths(call.files)
        async with self._checkpoint_lock, self._turn():
            segments, self._known = self._known or self._new(), None
            # First, so that never the frames of one history follow the checkpoint of another: a
            # checkpoint without its log does not count as a copy.
            await segments.clear()
            await self._replace_files(contents, end)
            await segments.begin(end)
            self._known = segments
            self._log.info("the copy of the journal begins again after {end}", end=end.position)
            return to_wire(segments.end)

    async def keep_checkpoint(self, call: KeepCheckpoint) -> ReplicaEnd:
        """Replace the checkpoint by a newer one, and forget whole segments that it has in it.

        :raises Failed: the copy does not reach as far, or the files could not be kept.
        """
        end = from_wire(call.end)
        contents = self._paths(call.files)
        async with self._checkpoint_lock:
            async with self._turn():
                segments = await self._segments()
                if segments.mark_at(end.position) != end:
                    raise Failed("the checkpoint is of another history than the copy")
                # From here on nothing before this commit can be cut off.
                marker = replacing(self._marker(), end)
                await self._files.replace(f"{self._data}/{MARKER}", marker)
            # Frames may be kept meanwhile: commits of the whole cluster wait for them.
            with _told(self._data):
                await self._replace_files(contents, end)
            async with self._turn():
                segments = await self._segments()
                await segments.forget(segments.segment_before(end.position))
                return to_wire(segments.end)

    async def close(self) -> None:
        """Give the files back."""
        async with self._turn():
            segments, self._known = self._known, None
            if segments is not None:
                await segments.close()

    @asynccontextmanager
    async def _read_only(self) -> AsyncIterator[Segments]:
        """The copy, to be read, also while a master daemon runs here.

        One that is frozen, or wanted the role as well, keeps the folder although another one was
        elected, which must not miss what is acknowledged here. What is written meanwhile is not:
        the majority that has elected the other one acknowledges nothing for this one.
        """
        if self._in_use():
            async with self._lock:
                with _told(self._data):
                    segments = self._new()
                    segments.read_only()
                    yield segments
        else:
            async with self._turn():
                yield await self._segments()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One call at a time; what goes wrong has the words of a node."""
        async with self._lock:
            if self._in_use():
                raise Failed(
                    "a master daemon runs on this node, which owns the journal here; if another"
                    " node is the master, it ends by itself, or stop it",
                    Code.ENVIRONMENT,
                )
            with _told(self._data):
                yield

    async def _segments(self) -> Segments:
        """The copy as it is on disk; a master that ran here meanwhile may have written it."""
        if self._known is not None and not self._known.is_as_left():
            stale, self._known = self._known, None
            await stale.close()
        if self._known is None:
            segments = self._new()
            await segments.open()
            self._known = segments
        return self._known

    def _new(self) -> Segments:
        return Segments(self._files, self._folder, size=self._segment_size)

    def _paths(self, files: Mapping[str, str]) -> dict[str, bytes]:
        """The contents of a checkpoint by where they belong, in the order of the call."""
        for name in files:
            if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
                raise Failed(f"a checkpoint cannot have a file named {name!r}", Code.INPUT)
        if CONFIG not in files:
            raise Failed(f"this is no checkpoint: it has no {CONFIG}", Code.INPUT)
        return {
            f"{self._data}/{name}": decoded(text) for name, text in files.items() if name != MARKER
        }

    async def _replace_files(self, contents: Mapping[str, bytes], end: LogPosition) -> None:
        for folder in dict.fromkeys(map(posixpath.dirname, contents)):
            await self._files.make_folder(folder)
        await self._files.make_folder(self._folder)
        await self._files.replace_all(contents)
        await self._forget_jobs(contents)
        await self._files.replace(f"{self._data}/{MARKER}", complete(end))

    def _marker(self) -> Marker:
        return marker_at(self._files, f"{self._data}/{MARKER}")

    def _require_older_checkpoint(self, after: LogPosition) -> None:
        """Refuse to cut off commits that the checkpoint holds: its files cannot be taken back.

        :raises Failed: the copy must be replaced as a whole.
        """
        newest = self._marker().newest
        if newest.position > after.position:
            raise Failed(
                f"the checkpoint of the copy holds commits up to {newest.position}, and those after"
                f" {after.position} were to be cut off"
            )

    async def _forget_jobs(self, contents: Mapping[str, bytes]) -> None:
        folder = f"{self._data}/{QUEUE}"
        for name in self._files.names(folder):
            path = f"{folder}/{name}"
            found = self._files.stat(path)
            if path not in contents and found is not None and not found.folder:
                await self._files.remove(path)


@contextmanager
def _told(folder: str) -> Iterator[None]:
    """Say in the words of a node what went wrong with its files."""
    try:
        yield
    except (JournalDamaged, NotInSegments) as e:
        raise Failed(str(e)) from e
    except OSError as e:
        raise Failed(explained(e, folder), Code.ENVIRONMENT) from e


def end_of(frames: bytes, after: LogPosition) -> LogPosition:
    """The mark that whole frames, which follow ``after``, end with.

    :raises Failed: they do not follow it, or are not whole.
    """
    stop, end = 0, after
    try:
        for frame in scan(frames, after, source="what the master sent"):
            stop, end = frame.stop, frame.mark
    except JournalDamaged as e:
        raise Failed(f"the frames do not follow commit {after.position}: {e}") from None
    if stop < len(frames):
        raise Failed(f"the frames after commit {end.position} are not whole")
    return end


def to_wire(mark: LogPosition) -> ReplicaEnd:
    """A mark as calls carry it."""
    return ReplicaEnd(position=mark.position, digest=mark.digest.hex())


def from_wire(end: ReplicaEnd) -> LogPosition:
    """:raises Failed: this is no mark."""
    try:
        digest = bytes.fromhex(end.digest)
    except ValueError:
        digest = b""
    if len(digest) != 32 or end.position < 0:
        raise Failed(f"this is not the mark of a commit: {end}", Code.INPUT)
    return LogPosition(end.position, digest)


def decoded(text: str) -> bytes:
    """:raises Failed: the text is not base64."""
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError) as e:
        raise Failed(f"this is not base64: {e}", Code.INPUT) from None
