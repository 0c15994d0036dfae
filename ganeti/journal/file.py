# SPDX-License-Identifier: BSD-2-Clause
"""The journal as files: commits that arrive while a sync is under way share the next one."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import NotKept, NotMaster
from ganeti.journal.frames import commit_of, digest_of, encode
from ganeti.journal.interfaces import (
    Commit,
    IJournal,
    IReplicas,
    JournalDamaged,
    LogPosition,
    Observer,
    Position,
)
from ganeti.journal.segments import SEGMENT_SIZE, Frames, Segments
from ganeti.metrics.family import Histogram
from ganeti.system.interfaces import IFiles

GROUP_SIZE = 4 << 20
"""Frames of more bytes than this do not share a sync, so that a replica gets bounded messages."""

Errand: TypeAlias = Callable[[], Coroutine[Deferred[Any], Any, None]]


class _Kept(Deferred[None]):
    """Fires when a commit is durable."""

    def cancel(self) -> None:
        """Do nothing: the commit is on its way, and who waits must learn what became of it."""


@dataclass(slots=True)
class _Group:
    """Frames that are written together, and who waits for them."""

    after: LogPosition
    end: LogPosition
    frames: list[bytes] = field(default_factory=list)
    size: int = 0
    waiting: list[tuple[LogPosition, Commit, _Kept]] = field(default_factory=list)


@implementer(IJournal)
class FileJournal:
    """The log of this host, in a folder of its own; one process at a time.

    One coroutine writes: whatever was appended in a turn, or while it was waiting for the disk,
    is its next group.
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
        self._errands: deque[tuple[Errand, Deferred[None]]] = deque()
        self._observers: list[Observer] = []
        self.sync_seconds = Histogram(
            "ganeti_journal_sync_seconds",
            "How long commits that were written together took to be on this disk.",
            bounds=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
        )
        self._working = False
        self._refusal: str | None = "it is not open"
        self._replaced: NotMaster | None = None

    @classmethod
    async def open(
        cls, files: IFiles, folder: str, clock: IReactorTime, *, segment_size: int = SEGMENT_SIZE
    ) -> FileJournal:
        """The journal in ``folder``, which is made if it is not there.

        :raises Damaged: its end does not verify.
        :raises OSError: it cannot be read, or a torn end cannot be cut off.
        """
        journal = cls(files, folder, clock, segment_size=segment_size)
        await journal._segments.open()
        journal._tip = journal._acknowledged = journal._segments.end
        journal._refusal = None
        return journal

    def replicate_to(self, replicas: IReplicas) -> None:
        """From the next group on, nothing is acknowledged before ``replicas`` have it."""
        self._replicas = replicas

    def take(self, commit: Commit) -> tuple[Position, Deferred[None]]:
        """``append``, with the position at once; the Deferred fires when the commit is durable.

        :raises NotKept: the journal takes nothing now; else the Deferred fails with it.
        """
        self._check()
        group = self._open_group()
        frame = encode(commit, self._tip.digest, group.size)
        self._tip = group.end = mark = LogPosition(self._tip.position + 1, digest_of(frame))
        kept = _Kept()
        group.frames.append(frame)
        group.size += len(frame)
        group.waiting.append((mark, commit, kept))
        self._wake()
        return mark.position, kept

    async def close(self) -> None:
        """Finish what was taken, take nothing more, and give the files back."""
        while self._pending or self._writing is not None:
            await self._between(_nothing)
        self._refusal = self._refusal or "it is closed"
        await self._segments.close()

    # --- IJournal

    async def append(self, commit: Commit) -> Position:
        position, kept = self.take(commit)
        await kept
        return position

    async def reopen(self) -> None:
        if self._replaced is not None:
            raise self._replaced
        if self._refusal is None:
            return
        try:
            await self._between(self._repair)
        except OSError as error:
            self._refusal = explained(error, self._folder)
            self._check()
        self._refusal = None
        self._log.info("the journal takes changes again, after {end}", end=self.end())

    def replay(self, after: Position) -> Iterator[tuple[Position, Commit]]:
        if not self._segments.begins_after() <= after <= self.end():
            raise JournalDamaged(
                f"{self._folder} has commits {self._segments.begins_after() + 1} to {self.end()}, "
                f"but what comes after {after} is asked for: the checkpoint and the journal are "
                "not of the same time. Restore both from one master candidate, or one backup"
            )
        return self._commits(after)

    def end(self) -> Position:
        return self._acknowledged.position

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def unobserve(self, observer: Observer) -> None:
        if observer in self._observers:
            self._observers.remove(observer)

    async def forget(self, before: Position) -> None:
        await self._segments.forget(before)

    # --- for copies and checkpoints

    def acknowledged(self) -> LogPosition:
        """The mark of the last durable commit."""
        return self._acknowledged

    async def adopt(self, frames: bytes, end: LogPosition) -> None:
        """Append frames of another copy of this log, which follow its end, before it takes commits.

        :raises OSError: they could not be kept.
        """
        await self._segments.write(frames, end)
        self._tip = self._acknowledged = end

    def end_mark(self) -> LogPosition:
        """How far the files reach; the last group may still be on its way to the replicas."""
        return self._segments.end

    def begins_after(self) -> Position:
        """The position before that of the first commit that is still here."""
        return self._segments.begins_after()

    def segment_before(self, position: Position) -> Position:
        """Return where the segment begins that is before the one with a position."""
        return self._segments.segment_before(position)

    def mark_at(self, position: Position) -> LogPosition:
        """The mark of a durable commit, or of the beginning of this log.

        :raises Elsewhere: it is not here.
        """
        return self._segments.mark_at(position)

    def frames_after(self, mark: LogPosition, *, until: Position | None = None) -> Iterator[Frames]:
        """All frames after ``mark`` (up to ``until``), in pieces of about a MiB.

        :raises Elsewhere: the mark is not in this log.
        """
        return self._segments.frames_after(mark, until=until)

    async def rotate(self) -> None:
        """Begin a new segment, so that ``forget`` can remove all before it.

        :raises NotKept: the disk does not let it.
        """
        self._check()
        try:
            await self._between(self._segments.rotate)
        except OSError as error:
            self._refuse(explained(error, self._folder))
            self._check()

    @property
    def refusal(self) -> str | None:
        """Why the journal takes no commits; None if it does."""
        return self._refusal

    # --- the one that writes

    def _check(self) -> None:
        if self._refusal is not None:
            raise NotKept(f"the journal takes no changes: {self._refusal}")

    def _open_group(self) -> _Group:
        if not self._pending or self._pending[-1].size > GROUP_SIZE:
            self._pending.append(_Group(self._tip, self._tip))
        return self._pending[-1]

    async def _between(self, errand: Errand) -> None:
        """Do something with the files while nothing is being written."""
        done: Deferred[None] = Deferred()
        self._errands.append((errand, done))
        self._wake()
        await done

    def _wake(self) -> None:
        if not self._working:
            self._working = True
            # In a later turn, so that all commits of this one share a sync.
            self._clock.callLater(0, self._start)

    def _start(self) -> None:
        work = Deferred.fromCoroutine(self._work())
        work.addErrback(self._broken)

    async def _work(self) -> None:
        while self._pending or self._errands:
            if self._pending:
                self._writing = self._pending.popleft()
                try:
                    await self._write(self._writing)
                except (OSError, NotMaster) as error:
                    if isinstance(error, NotMaster):
                        self._replaced = error
                    # At once, so that what is refused will not be found after a crash either.
                    with suppress(OSError):
                        await self._segments.cut(self._acknowledged)
                    self._refuse(explained(error, self._folder))
            if self._errands:
                errand, done = self._errands.popleft()
                doing = Deferred.fromCoroutine(errand())
                doing.chainDeferred(done)  # its failure is that of whoever sent it
                await doing
        self._working = False

    async def _write(self, group: _Group) -> None:
        frames = b"".join(group.frames)
        if self._replicas is None:
            await self._sync(frames, group.end)
            self._acknowledge(group)
            return
        copied = Deferred.fromCoroutine(self._replicas.keep(group.after, frames, group.end))
        try:
            await self._sync(frames, group.end)
        except Exception:
            # Until this returns, the replicas are busy with these frames.
            await copied
            raise
        await copied
        # Last: a lease that was good before the disk was slow may have ended meanwhile.
        await self._replicas.confirm()
        self._acknowledge(group)

    async def _sync(self, frames: bytes, end: LogPosition) -> None:
        begun = self._clock.seconds()
        await self._segments.write(frames, end)
        self.sync_seconds.observe(self._clock.seconds() - begun)

    def _acknowledge(self, group: _Group) -> None:
        self._writing = None
        for mark, commit, kept in group.waiting:
            self._acknowledged = mark
            for observer in tuple(self._observers):
                try:
                    observer(mark.position, commit)
                except Exception:
                    # The commit is durable, whatever one of those who look at it makes of that.
                    self._log.failure("an observer of commit {n} broke", n=mark.position)
            kept.callback(None)

    async def _repair(self) -> None:
        await self._segments.cut(self._acknowledged)
        await self._segments.probe()

    def _refuse(self, why: str) -> None:
        self._log.error("the journal takes no changes: {why}", why=why)
        self._refusal, self._tip = why, self._acknowledged
        if self._replicas is not None:
            self._replicas.cut(self._acknowledged)
        lost: list[tuple[LogPosition, Commit, _Kept]] = []
        for group in (self._writing, *self._pending):
            lost += group.waiting if group is not None else ()
        self._writing = None
        self._pending.clear()
        for _, _, kept in lost:
            kept.errback(NotKept(f"the journal could not keep the change: {why}"))

    def _broken(self, failure: Failure) -> None:
        self._log.failure("the journal broke", failure)
        self._working = False
        self._refuse(f"it broke: {failure.getErrorMessage()}; restart the master daemon")

    def _commits(self, after: Position) -> Iterator[tuple[Position, Commit]]:
        for data, frame in self._segments.frames(after):
            yield frame.mark.position, commit_of(data, frame)


def explained(error: OSError | NotMaster, folder: str) -> str:
    """Why what is in ``folder`` cannot be changed, in words that say what to do."""
    if isinstance(error, NotMaster):
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full; make room below {folder}"
    return f"{folder} cannot be written ({error.strerror or error}); see to the disk"


async def _nothing() -> None:
    """An errand for who only wants to know that it is their turn."""
