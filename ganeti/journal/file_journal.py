# SPDX-License-Identifier: BSD-2-Clause
"""The journal in files: commits that arrive during a sync share the next sync (group commit)."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import CommitFailed, NotMaster
from ganeti.journal.frames import commit_of, digest_of, encode
from ganeti.journal.interfaces import (
    Commit,
    IJournal,
    IReplicas,
    JournalDamaged,
    LogPosition,
    Observer,
    Position,
    StoreError,
)
from ganeti.journal.segments import SEGMENT_SIZE, Frames, Segments
from ganeti.metrics.family import Histogram
from ganeti.system.interfaces import IFiles

GROUP_SIZE = 4 << 20
"""Maximum bytes of frames before a new group begins; bounds the size of messages to replicas."""

MAX_TURN_SECONDS = 0.004
"""Seconds after which other work has a turn before more commits of a group are acknowledged."""

ExclusiveTask: TypeAlias = Callable[[], Coroutine[Deferred[object], object, None]]


class _CommitDeferred(Deferred[None]):
    """Fires when a commit is durable, and fails if it cannot be."""

    def cancel(self) -> None:
        """Do nothing: a commit cannot be revoked, and its author must learn the outcome."""


@dataclass(slots=True)
class _Group:
    """Frames that are written together, with the Deferreds of their authors."""

    after: LogPosition
    end: LogPosition
    frames: list[bytes] = field(default_factory=list)
    size: int = 0
    waiting: list[tuple[LogPosition, Commit, _CommitDeferred]] = field(default_factory=list)


@implementer(IJournal)
class FileJournal:
    """The log of this host, in its own folder; used by one process at a time.

    One coroutine writes: the commits of one reactor turn, and those that arrive during a write, are
    its next group.
    """

    _log = Logger()

    def __init__(
        self, files: IFiles, folder: str, clock: IReactorTime, *, segment_size: int = SEGMENT_SIZE
    ) -> None:
        self._segments = Segments(files, folder, size=segment_size)
        self._folder = folder
        self._clock = clock
        self._replicas: IReplicas | None = None
        self._tip = self._acknowledged = self._segments.end
        self._writing: _Group | None = None
        self._pending: deque[_Group] = deque()
        self._exclusive_tasks: deque[tuple[ExclusiveTask, Deferred[None]]] = deque()
        self._observers: list[Observer] = []
        self.sync_seconds = Histogram(
            "ganeti_journal_sync_seconds",
            "Time from writing a group of commits to its sync on the local disk.",
            bounds=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
        )
        self._working = False
        self._refusal: str | None = "the journal is not open"
        self._superseded: NotMaster | None = None

    @classmethod
    async def open(
        cls, files: IFiles, folder: str, clock: IReactorTime, *, segment_size: int = SEGMENT_SIZE
    ) -> FileJournal:
        """Return the journal in ``folder``; create the folder if it does not exist.

        :raises JournalDamaged: the end of the log does not verify.
        :raises OSError: the folder cannot be read, or a torn write cannot be cut off.
        """
        journal = cls(files, folder, clock, segment_size=segment_size)
        await journal._segments.open()
        # After a start, it is unknown which of the last commits were acknowledged, so that all that
        # verify count.
        journal._tip = journal._acknowledged = journal._segments.end
        journal._refusal = None
        return journal

    def replicate_to(self, replicas: IReplicas) -> None:
        """From the next group on, acknowledge commits only when ``replicas`` have them."""
        self._replicas = replicas

    def enqueue(self, commit: Commit) -> tuple[Position, Deferred[None]]:
        """Return the position of a submitted commit, and a Deferred that fires when it is durable.

        :raises CommitFailed: the journal accepts no commits now. The Deferred fails with it if the
            commit fails.
        """
        self._check_accepting()
        group = self._get_open_group()
        # Chained at once: the next frame needs the digest of this one before it is on disk.
        frame = encode(commit, self._tip.digest, group.size)
        self._tip = group.end = mark = LogPosition(self._tip.position + 1, digest_of(frame))
        done = _CommitDeferred()
        group.frames.append(frame)
        group.size += len(frame)
        group.waiting.append((mark, commit, done))
        self._schedule_writer()
        return mark.position, done

    async def close(self) -> None:
        """Write all submitted commits, accept no more, and close the files."""
        while self._pending or self._writing is not None:
            # A task of the writer runs when everything before it has been written.
            await self._run_exclusive(_do_nothing)
        self._refusal = self._refusal or "the journal is closed"
        await self._segments.close()

    # --- IJournal

    async def append(self, commit: Commit) -> Position:
        position, done = self.enqueue(commit)
        await done
        return position

    async def reopen(self) -> None:
        # Final: a copy that follows a newer master never accepts frames of this one again.
        if self._superseded is not None:
            raise self._superseded
        if self._refusal is None:
            return
        try:
            await self._run_exclusive(self._repair)
        except OSError as error:
            self._refusal = explained(error, self._folder)
            self._check_accepting()
        self._refusal = None
        self._log.info(
            "the journal accepts commits again, after commit {end}", end=self.last_commit()
        )

    def replay(self, after: Position) -> Iterator[tuple[Position, Commit]]:
        if not self._segments.base_position() <= after <= self.last_commit():
            raise JournalDamaged(
                f"{self._folder} has commits {self._segments.base_position() + 1} to "
                f"{self.last_commit()}, but commits after {after} are needed: the checkpoint "
                "and the journal do not match. Restore both from one master candidate, or from "
                "one backup"
            )
        return self._decode_commits(after)

    def last_commit(self) -> Position:
        return self._acknowledged.position

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def unobserve(self, observer: Observer) -> None:
        if observer in self._observers:
            self._observers.remove(observer)

    async def remove_before(self, before: Position) -> None:
        await self._segments.remove_before(before)

    # --- for replicas and checkpoints

    def acknowledged(self) -> LogPosition:
        """Return the log position of the last durable commit."""
        return self._acknowledged

    async def adopt(self, frames: bytes, end: LogPosition) -> None:
        """Append frames from another copy of this log that follow its end; call before any commit.

        :raises CommitFailed: the frames could not be written; the next start cuts them off.
        """
        # Without replication and observers: the commits come from a copy, and the state is loaded
        # after them.
        try:
            await self._segments.write(frames, end)
        except OSError as error:
            raise CommitFailed(
                "commits of another copy cannot be adopted: " + explained(error, self._folder)
            ) from error
        self._tip = self._acknowledged = end

    def end_position(self) -> LogPosition:
        """Return the end of the files; replicas may not have the last group yet."""
        return self._segments.end

    def base_position(self) -> Position:
        """Return the position before the first commit that is still stored."""
        return self._segments.base_position()

    def previous_segment(self, position: Position) -> Position:
        """Return the first position of the segment before the one that contains ``position``."""
        return self._segments.previous_segment(position)

    def find_log_position(self, position: Position) -> LogPosition:
        """Return the log position of a durable commit, or of the start of this log.

        :raises PositionNotFound: the position is not in this log.
        """
        return self._segments.find_log_position(position)

    def frames_after(self, mark: LogPosition, *, until: Position | None = None) -> Iterator[Frames]:
        """Return all frames after ``mark`` (up to ``until``), in pieces of about 1 MiB.

        :raises PositionNotFound: the mark is not in this log.
        """
        return self._segments.frames_after(mark, until=until)

    async def rotate(self) -> None:
        """Begin a new segment, so that ``remove_before`` can remove all earlier ones.

        :raises CommitFailed: the segment could not be created.
        """
        self._check_accepting()
        try:
            await self._run_exclusive(self._segments.rotate)
        except OSError as error:
            # The files may be in between two states, which only ``reopen`` repairs.
            self._fail_pending(explained(error, self._folder))
            self._check_accepting()

    async def pause(self, task: ExclusiveTask) -> None:
        """Run a task while no commit is being stored; those that are submitted meanwhile wait."""
        await self._run_exclusive(task)

    @property
    def refusal(self) -> str | None:
        """Why the journal accepts no commits; None if it does."""
        return self._refusal

    # --- the writer

    def _check_accepting(self) -> None:
        if self._refusal is not None:
            raise CommitFailed(f"the journal accepts no commits: {self._refusal}")

    def _get_open_group(self) -> _Group:
        if not self._pending or self._pending[-1].size > GROUP_SIZE:
            self._pending.append(_Group(self._tip, self._tip))
        return self._pending[-1]

    async def _run_exclusive(self, errand: ExclusiveTask) -> None:
        """Run a task on the files while no group is being written."""
        done: Deferred[None] = Deferred()
        self._exclusive_tasks.append((errand, done))
        self._schedule_writer()
        await done

    def _schedule_writer(self) -> None:
        if not self._working:
            self._working = True
            # In a later turn, so that all commits of this turn share a sync.
            self._clock.callLater(0, self._start_writer)

    def _start_writer(self) -> None:
        work = Deferred.fromCoroutine(self._run_writer())
        work.addErrback(self._on_writer_failed)

    async def _run_writer(self) -> None:
        while self._pending or self._exclusive_tasks:
            # One of each in turn, so that neither waits for all of the others.
            if self._pending:
                self._writing = self._pending.popleft()
                try:
                    await self._write_group(self._writing)
                except (OSError, NotMaster) as error:
                    if isinstance(error, NotMaster):
                        self._superseded = error
                    # At once, so that a refused commit is not found after a crash.
                    with suppress(OSError):
                        await self._segments.truncate_after(self._acknowledged)
                    self._fail_pending(explained(error, self._folder))
            if self._exclusive_tasks:
                errand, done = self._exclusive_tasks.popleft()
                doing = Deferred.fromCoroutine(errand())
                doing.chainDeferred(done)  # the task's author receives its failure
                await doing
        self._working = False

    async def _write_group(self, group: _Group) -> None:
        frames = b"".join(group.frames)
        if self._replicas is None:
            await self._sync(frames, group.end)
            await self._acknowledge(group)
            return
        # At the same time as the own disk, since a commit needs both.
        copied = Deferred.fromCoroutine(self._replicas.store_frames(group.after, frames, group.end))
        try:
            await self._sync(frames, group.end)
        except Exception:
            # The replicas are busy with these frames until this returns.
            await copied
            raise
        await copied
        # Last: the lease may have expired during a slow disk write.
        await self._replicas.confirm_lease()
        await self._acknowledge(group)

    async def _sync(self, frames: bytes, end: LogPosition) -> None:
        begun = self._clock.seconds()
        await self._segments.write(frames, end)
        self.sync_seconds.observe(self._clock.seconds() - begun)

    async def _acknowledge(self, group: _Group) -> None:
        """Tell the authors of a group, whose jobs then continue, a few in each reactor turn."""
        # The group is durable: a failure from here on is one of the next groups.
        self._writing = None
        begun = self._clock.seconds()
        for mark, commit, done in group.waiting:
            # Before the observers, which may ask for the last commit.
            self._acknowledged = mark
            # A copy, as an observer may stop observing when it is called.
            for observer in tuple(self._observers):
                try:
                    observer(mark.position, commit)
                except Exception:
                    # The commit is durable whatever an observer does.
                    self._log.failure("an observer failed for commit {n}", n=mark.position)
            done.callback(None)
            if self._clock.seconds() - begun > MAX_TURN_SECONDS:
                await deferLater(self._clock, 0)
                begun = self._clock.seconds()

    async def _repair(self) -> None:
        # Before the probe: the remains of the failed write may be what fills the disk.
        await self._segments.truncate_after(self._acknowledged)
        await self._segments.probe()
        if self._replicas is not None:
            # After the disk, as replicas are only sent what is stored here.
            await self._replicas.probe()

    def _fail_pending(self, why: str) -> None:
        self._log.error("the journal accepts no commits: {why}", why=why)
        # The frames of failed commits were chained to each other; the next one follows the last
        # durable frame.
        self._refusal, self._tip = why, self._acknowledged
        if self._replicas is not None:
            # Replicas may have stored frames that this log has given up, and must not go on from
            # them.
            self._replicas.discard_after(self._acknowledged)
        failed: list[tuple[LogPosition, Commit, _CommitDeferred]] = []
        # The groups that wait were chained to the one that failed, so that they fail as well.
        for group in (self._writing, *self._pending):
            failed += group.waiting if group is not None else ()
        self._writing = None
        self._pending.clear()
        for _, _, done in failed:
            done.errback(CommitFailed(f"the journal could not store the change: {why}"))

    def _on_writer_failed(self, failure: Failure) -> None:
        self._log.failure("internal error in the journal", failure)
        self._working = False
        self._fail_pending(
            f"internal error: {failure.getErrorMessage()}; restart the master daemon"
        )

    def _decode_commits(self, after: Position) -> Iterator[tuple[Position, Commit]]:
        for data, frame in self._segments.frames(after):
            yield frame.mark.position, commit_of(data, frame)


def explained(error: OSError | NotMaster, folder: str) -> str:
    """Return why files in ``folder`` cannot be written, with the action to take."""
    if isinstance(error, NotMaster | StoreError):
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full; free space below {folder}"
    return f"{folder} cannot be written ({error.strerror or error}); check the disk"


async def _do_nothing() -> None:
    """Do nothing; used to wait until the writer is idle."""
