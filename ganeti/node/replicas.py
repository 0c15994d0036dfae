# SPDX-License-Identifier: BSD-2-Clause
"""The copy of the journal on a master candidate: frames as the master sent them, and checkpoints.

The files are those of a master, so that this node can become the master.
"""

from __future__ import annotations

import posixpath
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from secrets import token_hex

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Failed
from ganeti.journal.checkpoint_files import MARKER, replace_checkpoint_files
from ganeti.journal.file_journal import explained
from ganeti.journal.folder_lock import SharedLock
from ganeti.journal.frames import scan
from ganeti.journal.interfaces import JournalDamaged, LogPosition
from ganeti.journal.marker import (
    CheckpointMarker,
    check_same_history,
    encode_transition_marker,
    read_marker,
)
from ganeti.journal.segments import SEGMENT_SIZE, PositionNotFound, Segments
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    FrameBatch,
    OpenReplica,
    ReadFrames,
    ReplicaEnd,
    ResetReplica,
    StoreCheckpoint,
)
from ganeti.rpc.wire import StaleHandle
from ganeti.system.interfaces import IFiles

CONFIG = "config.data"
"""The file that every checkpoint has."""


class Replica:
    """The copy below ``data``; calls run one at a time, and each is durable before its answer.

    ``in_use`` returns whether a master daemon runs on this node, which then owns the folder: the
    copy is read-only. ``make_handle`` returns random texts.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        data: str,
        *,
        segment_size: int = SEGMENT_SIZE,
        in_use: Callable[[], bool] = lambda: False,
        make_handle: Callable[[], str] = lambda: token_hex(20),
    ) -> None:
        self._files = files
        self._data = data
        self._folder = f"{data}/journal"
        self._segment_size = segment_size
        self._in_use = in_use
        self._folder_lock = SharedLock(files, data)
        self._make_handle = make_handle
        # In memory only: a call does not outlive the daemon that it was sent to.
        self._handle = ""
        self._cached: Segments | None = None
        self._lock = DeferredLock()
        self._checkpoint_lock = DeferredLock()

    async def open(self, call: OpenReplica) -> str:
        """Return the handle that changes of the copy need from now on."""
        # Under the lock: when this returns, no call with an earlier handle is at work.
        async with self._lock:
            self._handle = self._make_handle()
            return self._handle

    def _check_handle(self, handle: str) -> None:
        """:raises StaleHandle: the copy was opened again meanwhile, or this daemon started."""
        if handle and handle != self._handle:
            raise StaleHandle(
                "the copy of the journal was opened again, or the node daemon was started again,"
                " since the master has opened it",
                Code.ENVIRONMENT,
            )

    async def describe(self, call: DescribeReplica) -> ReplicaEnd:
        """Return the end of the copy, or the log position of an earlier commit in it.

        :raises Failed: the copy is damaged, unreadable or lacks the commit, or its checkpoint has a
            different history.
        """
        async with self._open_for_reading() as segments:
            if call.at is not None:
                return to_wire(segments.find_log_position(call.at))
            check_same_history(self._read_marker(), segments, self._data)
            return to_wire(segments.end)

    async def ends(self, at: int | None) -> tuple[ReplicaEnd | None, ReplicaEnd | None]:
        """Return the end of a usable copy, and its log position at ``at``; None if missing.

        While a master daemon runs here, the result may be outdated at any moment.
        """
        async with self._lock:
            segments = self._make_segments()
            try:
                segments.open_read_only()
                check_same_history(self._read_marker(), segments, self._data)
                # A log without a checkpoint cannot become a state.
                if self._files.stat(f"{self._data}/{CONFIG}") is None:
                    return None, None
            except (Failed, JournalDamaged, PositionNotFound, OSError):
                return None, None
            try:
                common = None if at is None else to_wire(segments.find_log_position(at))
            # Its end is of use all the same: the caller then takes another position, or all
            # commits.
            except (JournalDamaged, PositionNotFound, OSError):
                common = None
            return to_wire(segments.end), common

    async def read_frames(self, call: ReadFrames) -> FrameBatch:
        """Return some of the frames after a log position of the copy.

        :raises Failed: the position is not in the copy, or the copy is unreadable.
        """
        after = from_wire(call.after)
        async with self._open_for_reading() as segments:
            check_same_history(self._read_marker(), segments, self._data)
            for piece in segments.frames_after(after):
                frames = b64encode(piece.data).decode("ascii")
                # One piece in each answer, which limits its size; the caller asks again from its
                # end.
                return FrameBatch(frames=frames, end=to_wire(piece.end))
            return FrameBatch(frames="", end=call.after)

    async def append_frames(self, call: AppendFrames) -> ReplicaEnd:
        """Append frames at the end of the copy, and return the new end.

        :raises Failed: the frames do not follow the end, or could not be stored, or the call comes
            too late; the copy is unchanged.
        """
        after = from_wire(call.after)
        # Before the lock, as commits of the whole cluster wait for it.
        frames = decoded(call.frames)
        end = end_of(frames, after)
        async with self._lock_for_writing():
            self._check_handle(call.handle)
            segments = await self._open_segments()
            # A newer master replaces commits that were never acknowledged.
            if call.cut:
                self._check_truncation(after)
                await segments.truncate_after(after)
            elif segments.end != after:
                raise Failed(
                    f"the copy of the journal ends with commit {segments.end.position}, not with"
                    f" commit {after.position}, which the frames follow"
                )
            if frames:
                await segments.write(frames, end)
            return to_wire(segments.end)

    async def reset(self, call: ResetReplica) -> ReplicaEnd:
        """Replace the copy by a checkpoint; later frames follow in other calls.

        Everything is checked before anything is removed.

        :raises Failed: the checkpoint is invalid, or could not be stored; then the copy may be
            unusable.
        """
        end = from_wire(call.end)
        contents = self._decode_files(call.files)
        async with self._checkpoint_lock, self._lock_for_writing():
            self._check_handle(call.handle)
            segments, self._cached = self._cached or self._make_segments(), None
            # First, so that frames of one history never follow a checkpoint of another: a
            # checkpoint without a log does not count as a copy.
            await segments.clear()
            # To its end, even if a master daemon waits: half a checkpoint is no copy.
            await replace_checkpoint_files(self._files, self._data, contents, end)
            await segments.start_log(end)
            self._cached = segments
            self._log.info("the copy of the journal was reset to commit {end}", end=end.position)
            return to_wire(segments.end)

    async def replace_checkpoint(self, call: StoreCheckpoint) -> ReplicaEnd:
        """Replace the checkpoint by a newer one, and remove the segments that it covers.

        :raises Failed: the copy ends before the checkpoint, or the files could not be stored.
        """
        end = from_wire(call.end)
        contents = self._decode_files(call.files)
        async with self._checkpoint_lock:
            async with self._lock_for_writing():
                segments = await self._open_segments()
                # Its digest as well: the same number of another history would cover the wrong
                # commits.
                if segments.find_log_position(end.position) != end:
                    raise Failed("the checkpoint and the copy have different histories")
                # From here on, the copy must not be truncated to an earlier commit. A master that
                # starts before all is written must not take the new file for an edit by hand.
                digest = sha256(contents[CONFIG]).hexdigest()
                marker = encode_transition_marker(self._read_marker(), end, (digest,))
                await self._files.replace(f"{self._data}/{MARKER}", marker)
            # Without the lock: commits of the whole cluster wait for frames to be stored here.
            async with self._hold_folder():
                await replace_checkpoint_files(
                    self._files, self._data, contents, end, check=self._check_not_in_use
                )
            async with self._lock_for_writing():
                segments = await self._open_segments()
                await segments.remove_before(segments.previous_segment(end.position))
                return to_wire(segments.end)

    async def close(self) -> None:
        """Close the files."""
        # Nothing is written, so that a master daemon on this node makes no difference.
        async with self._lock:
            segments, self._cached = self._cached, None
            if segments is not None:
                await segments.close()

    @asynccontextmanager
    async def _open_for_reading(self) -> AsyncIterator[Segments]:
        """Open the copy for reading, even while a master daemon runs here.

        A frozen or competing master daemon keeps the folder in use although another master was
        elected, and that master must not miss commits acknowledged here. Frames that are written
        meanwhile do not matter: the majority that elected the other master acknowledges nothing for
        this one.
        """
        if self._in_use():
            async with self._lock:
                with _convert_errors(self._data):
                    segments = self._make_segments()
                    segments.open_read_only()
                    yield segments
        else:
            async with self._lock_for_writing():
                yield await self._open_segments()

    @asynccontextmanager
    async def _lock_for_writing(self) -> AsyncIterator[None]:
        """Lock the copy for one call, and convert errors."""
        async with self._lock, self._hold_folder():
            yield

    @asynccontextmanager
    async def _hold_folder(self) -> AsyncIterator[None]:
        """Keep a master daemon that is started now waiting for the writes; convert errors."""
        self._check_not_in_use()
        with _convert_errors(self._data):
            async with self._folder_lock.hold_lock() as held:
                if not held:
                    raise _in_use_by_master()
                yield

    def _check_not_in_use(self) -> None:
        """:raises Failed: a master daemon runs on this node, or waits for the folder."""
        if self._in_use():
            raise _in_use_by_master()

    async def _open_segments(self) -> Segments:
        """Return the copy as it is on disk; a local master may have written it meanwhile."""
        if self._cached is not None and not self._cached.is_unchanged():
            stale, self._cached = self._cached, None
            await stale.close()
        if self._cached is None:
            segments = self._make_segments()
            await segments.open()
            self._cached = segments
        return self._cached

    def _make_segments(self) -> Segments:
        return Segments(self._files, self._folder, size=self._segment_size)

    def _decode_files(self, files: Mapping[str, str]) -> dict[str, bytes]:
        """Return the contents of a checkpoint by path, in the order of the call."""
        for name in files:
            if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
                raise Failed(f"invalid file name {name!r} in a checkpoint", Code.INPUT)
        if CONFIG not in files:
            raise Failed(f"the checkpoint is invalid: {CONFIG} is missing", Code.INPUT)
        return {name: decoded(text) for name, text in files.items()}

    def _read_marker(self) -> CheckpointMarker:
        return read_marker(self._files, f"{self._data}/{MARKER}")

    def _check_truncation(self, after: LogPosition) -> None:
        """Refuse to cut off commits that the checkpoint contains: its files cannot be reverted.

        :raises Failed: the copy must be replaced as a whole.
        """
        newest = self._read_marker().newest
        if newest.position > after.position:
            raise Failed(
                f"commits after {after.position} cannot be cut off: the checkpoint of the copy"
                f" contains commits up to {newest.position}"
            )


def _in_use_by_master() -> Failed:
    return Failed(
        "a master daemon runs on this node and owns the journal; if another node is the master, it"
        " ends by itself, or stop it",
        Code.ENVIRONMENT,
    )


@contextmanager
def _convert_errors(folder: str) -> Iterator[None]:
    """Convert errors of files in ``folder`` to ``Failed``, with the action to take."""
    try:
        yield
    except (JournalDamaged, PositionNotFound) as e:
        raise Failed(str(e)) from e
    except OSError as e:
        raise Failed(explained(e, folder), Code.ENVIRONMENT) from e


def end_of(frames: bytes, after: LogPosition) -> LogPosition:
    """Return the log position at the end of complete frames that follow ``after``.

    :raises Failed: the frames do not follow ``after``, or are incomplete.
    """
    stop, end = 0, after
    try:
        for frame in scan(frames, after, source="the master's message"):
            stop, end = frame.stop, frame.mark
    except JournalDamaged as e:
        raise Failed(f"the frames do not follow commit {after.position}: {e}") from None
    if stop < len(frames):
        raise Failed(f"the frames after commit {end.position} are incomplete")
    return end


def to_wire(mark: LogPosition) -> ReplicaEnd:
    """Return a log position in the form of RPC calls."""
    return ReplicaEnd(position=mark.position, digest=mark.digest.hex())


def from_wire(end: ReplicaEnd) -> LogPosition:
    """Return the log position of an RPC value.

    :raises Failed: the value is malformed.
    """
    try:
        digest = bytes.fromhex(end.digest)
    except ValueError:
        digest = b""
    if len(digest) != 32 or end.position < 0:
        raise Failed(f"malformed log position: {end}", Code.INPUT)
    return LogPosition(end.position, digest)


def decoded(text: str) -> bytes:
    """Return the decoded base64 text.

    :raises Failed: the text is not base64.
    """
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError) as e:
        raise Failed(f"malformed base64: {e}", Code.INPUT) from None
