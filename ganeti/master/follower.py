# SPDX-License-Identifier: BSD-2-Clause
"""One master candidate's copy of the journal: compared, brought up to date, and kept so."""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed, GanetiError, NotMaster, Unreachable
from ganeti.journal.file import FileJournal
from ganeti.journal.interfaces import BEGINNING, LogPosition, Position
from ganeti.journal.segments import Frames, NotInSegments
from ganeti.model.node import Node
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    KeepCheckpoint,
    ReplicaEnd,
    ResetReplica,
)

R = TypeVar("R")

NEAR = 256
"""A copy that lacks no more commits than this gets the rest together with what comes new."""


VERIFY_INTERVAL = 5.0
"""Seconds after which a copy that gets no commits is asked whether it is still there."""


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint: files by their name below the data folder, and the last commit in them."""

    files: Mapping[str, bytes]
    position: Position


class CheckpointSource(Protocol):
    """Where a whole checkpoint comes from."""

    async def __call__(self) -> CheckpointFiles:
        """A checkpoint no older than what the journal still has.

        :raises OSError: it cannot be read or written.
        """
        ...


@dataclass(frozen=True)
class FrameGroup(Frames):
    """Frames on their way to every candidate; they are made text once for all."""

    @cached_property
    def call(self) -> AppendFrames:
        text = b64encode(self.data).decode("ascii")
        return AppendFrames(after=to_wire(self.after), frames=text)


@dataclass(frozen=True)
class FollowerTimeouts:
    """What a candidate is granted: ``bound`` seconds to keep frames, a pause from ``first`` to
    ``longest`` seconds between two tries to bring it back, ``frames`` bytes between checkpoints.
    """

    bound: float = 5.0
    first: float = 1.0
    longest: float = 60.0
    frames: int = 64 << 20


class Follower:
    """A candidate other than the master.

    While it is ``live``, each group is offered to it, and commits wait for it; it is ``settled``
    when it also has all that came before. When it fails it is neither, and starts over after a
    pause: where does its copy end, what does it lack.
    """

    _log = Logger()

    def __init__(
        self,
        node: Node,
        journal: FileJournal,
        nodes: Nodes,
        clock: IReactorTime,
        *,
        patience: FollowerTimeouts,
        checkpoint: CheckpointSource,
        under_way: Callable[[], FrameGroup | None],
        changed: Callable[[], None],
        deposed: Callable[[NotMaster], None],
        live: bool,
    ) -> None:
        """``under_way`` is the group that is being written, ``changed`` is called on progress.

        A follower that is ``live`` from the start was so before the master was started: commits
        wait until it has been compared.
        """
        self.node = node
        self.live = self.settled = live
        self.end = BEGINNING  # until it has agreed to another: a copy may have a history of its own
        self.reason = "it has not been compared yet"
        self._journal = journal
        self._nodes = nodes
        self._clock = clock
        self._patience = patience
        self._checkpoint = checkpoint
        self._under_way = under_way
        self._changed = changed
        self._deposed = deposed
        self._queue: deque[FrameGroup] = deque()
        self._cancel: Callable[[], None] | None = None
        self._idle: Deferred[None] | None = None
        self._joined = clock.seconds() if live else None
        self._unkept = 0
        self._refreshing: Deferred[None] | None = None
        self._running: Deferred[None] | None = None
        self._stopped = False

    # --- what the set tells it

    def start(self) -> None:
        """Begin to follow, until ``stop``."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._broke)

    def stop(self) -> None:
        """Ask it nothing more."""
        self._stopped = True
        self.live = self.settled = False
        self._queue.clear()
        for work in (self._running, self._refreshing):
            if work is not None:
                work.cancel()

    def offer(self, group: FrameGroup) -> None:
        """Let it keep a group that follows the one before."""
        self._queue.append(group)
        self._wake()

    def drop(self, reason: str) -> None:
        """Do not wait for it any more."""
        self.live, self.settled, self.reason = False, False, reason
        self._queue.clear()
        if self._cancel is not None:
            self._cancel()
        self._wake()

    def lacks(self, end: LogPosition) -> bool:
        """Whether commits up to ``end`` wait for it."""
        return self.live and self.end.position < end.position

    def _wake(self) -> None:
        if self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    # --- what it does

    async def _run(self) -> None:
        pause = self._patience.first
        while not self._stopped:
            try:
                await self._follow()
            except NotMaster as e:
                self.drop(str(e))
                self._deposed(e)
                return
            except (GanetiError, OSError) as e:
                self.drop(str(e))
            except CancelledError:
                if self._stopped:
                    return
            self._changed()
            # Longer each time, since one that comes and goes would hold up everybody.
            joined, self._joined = self._joined, None
            if joined is not None and self._clock.seconds() - joined > self._patience.longest:
                pause = self._patience.first
            await deferLater(self._clock, pause)
            pause = min(2 * pause, self._patience.longest)

    def _broke(self, failure: Failure) -> None:
        if not (self._stopped and failure.check(CancelledError)):
            self._log.failure("following {node} broke", failure, node=self.node.name)
            self.drop(f"it broke: {failure.getErrorMessage()}; restart the master daemon")
            self._changed()

    async def _follow(self) -> None:
        await self._compare()
        await self._catch_up()
        while self.live:
            if self._queue:
                await self._keep(self._queue[0])
                self._queue.popleft()
                self._refresh()
                self._changed()
            elif not self.settled:
                self.settled = True
                self._changed()
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Wait for something to do; now and then see that the copy is still what it was.

        :raises Failed: it is not: the node has come back with an old disk.
        """
        self._idle = Deferred()
        due = self._clock.seconds() + VERIFY_INTERVAL
        timer = self._clock.callLater(VERIFY_INTERVAL, self._wake)
        try:
            await self._idle
        finally:
            if timer.active():
                timer.cancel()
        if self.live and not self._queue and self._clock.seconds() >= due:
            call = DescribeReplica(at=self.end.position)
            if await self._ask(call, within=self._patience.bound) != to_wire(self.end):
                raise Failed(f"its copy has another commit {self.end.position} than it had")

    async def _compare(self) -> None:
        """See to it that the copy ends with a mark of the journal."""
        try:
            common = await self._common()
        except Failed as e:
            if not _about_the_copy(e):
                raise
            self._log.warn("{node} has no usable copy: {why}", node=self.node.name, why=str(e))
            common = None
        # Of the beginning nobody can make the configuration: that is in no commit.
        if common is not None and common != BEGINNING and await self._cut_to(common):
            return
        self.drop("it has no copy of this journal yet, and is getting one")
        self._changed()
        await self._reset()

    async def _cut_to(self, common: LogPosition) -> bool:
        """Let the copy end with ``common``; False if that cannot be done to it.

        What follows was never acknowledged. Cutting off nothing makes its disk work too, so that
        one whose disk hangs is noticed while nobody waits for it.
        """
        try:
            await self._keep(FrameGroup(common, b"", common), cut=True)
        except Failed as e:
            if not _about_the_copy(e):
                raise
            self._log.warn("{node}: {why}", node=self.node.name, why=str(e))
            return False
        return True

    async def _common(self) -> LogPosition | None:
        """The last mark that the copy and the journal have in common; None if they have none.

        Nothing is cut off to find it: the copy may be all that is left of the journal, should the
        master be lost meanwhile.
        """
        end = await self._ask(DescribeReplica())
        low, high = self._journal.begins_after(), min(end.position, self._target().position)
        common, position = None, high
        while low <= position <= high:
            mark = self._journal.mark_at(position)
            theirs = end if position == end.position else await self._their_mark(position)
            if theirs is None:
                low = position + 1
            elif theirs == to_wire(mark):
                common, low = mark, position + 1
            else:
                high = position - 1
            position = (low + high + 1) // 2
        return common

    async def _their_mark(self, position: Position) -> ReplicaEnd | None:
        """The mark of a commit before the end of the copy; None if that is no longer there."""
        try:
            return await self._ask(DescribeReplica(at=position))
        except Failed as e:
            if not _about_the_copy(e):
                raise
            return None

    async def _reset(self) -> None:
        checkpoint = await self._checkpoint()
        mark = self._journal.mark_at(checkpoint.position)
        await self._ask(ResetReplica(files=encoded(checkpoint), end=to_wire(mark)))
        self.end, self._unkept = mark, 0

    def _refresh(self) -> None:
        """Now and then give it a newer checkpoint, so that its copy does not grow for ever."""
        idle = self._refreshing is None or self._refreshing.called
        if self._unkept > self._patience.frames and idle:
            self._unkept = 0
            self._refreshing = Deferred.fromCoroutine(self._keep_checkpoint())
            self._refreshing.addErrback(self._broke)

    async def _keep_checkpoint(self) -> None:
        try:
            checkpoint = await self._checkpoint()
            files, mark = encoded(checkpoint), self._journal.mark_at(checkpoint.position)
            await self._nodes.ask(self.node, KeepCheckpoint(files=files, end=to_wire(mark)))
        except (GanetiError, OSError) as e:
            self._log.warn("{node} keeps its old checkpoint: {why}", node=self.node.name, why=e)

    async def _catch_up(self) -> None:
        """Send what it lacks; it is live when this returns, and lacks only what is queued."""
        while True:
            if not self.live and self._target().position - self.end.position <= NEAR:
                self._join()
            target = self._target()
            if self.live and self.end == target:
                return
            if self.end.position > target.position:
                raise NotInSegments(f"its copy has more than the journal, after {target.position}")
            for piece in self._journal.frames_after(self.end, until=target.position):
                await self._keep(FrameGroup(piece.after, piece.data, piece.end))

    def _join(self) -> None:
        self.live = True
        self._joined = self._clock.seconds()
        if (group := self._under_way()) is not None and group.after == self._journal.end_mark():
            self._queue.append(group)

    def _target(self) -> LogPosition:
        """Up to where the files have what it lacks; the rest is queued."""
        return self._queue[0].after if self._queue else self._journal.end_mark()

    async def _keep(self, group: FrameGroup, *, cut: bool = False) -> None:
        call = AppendFrames(after=group.call.after, frames="", cut=True) if cut else group.call
        answer = await self._ask(call, within=self._patience.bound)
        self._unkept += len(group.data)
        if answer != to_wire(group.end):
            raise Failed(f"its copy ends with commit {answer.position}, not {group.end.position}")
        self.end = group.end

    async def _ask(self, call: Call[R], *, within: float | None = None) -> R:
        asking = Deferred.fromCoroutine(self._nodes.ask(self.node, call))
        self._cancel = asking.cancel
        timer = self._clock.callLater(within, self._late) if within is not None else None
        try:
            return await asking
        finally:
            self._cancel = None
            if timer is not None and timer.active():
                timer.cancel()

    def _late(self) -> None:
        self.drop(f"it did not keep frames within {self._patience.bound:g} seconds")


def _about_the_copy(error: Failed) -> bool:
    """Whether a node's failure is the copy's own, and not the way's or the disk's."""
    return not isinstance(error, Unreachable) and error.code is not Code.ENVIRONMENT


def encoded(checkpoint: CheckpointFiles) -> dict[str, str]:
    """The files of a checkpoint as calls carry them."""
    return {name: b64encode(data).decode("ascii") for name, data in checkpoint.files.items()}


def to_wire(mark: LogPosition) -> ReplicaEnd:
    """A mark as calls carry it."""
    return ReplicaEnd(position=mark.position, digest=mark.digest.hex())
