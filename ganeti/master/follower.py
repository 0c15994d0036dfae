# SPDX-License-Identifier: BSD-2-Clause
"""Replication to one master candidate: compare its copy, let it catch up, append to it."""

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
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import BEGINNING, LogPosition, Position
from ganeti.journal.segments import Frames, PositionNotFound
from ganeti.model.node import Node
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    OpenReplica,
    ReplicaEnd,
    ResetReplica,
    StoreCheckpoint,
)
from ganeti.rpc.wire import StaleHandle

R = TypeVar("R")

NEAR = 256
"""Maximum number of missing commits with which a copy joins live replication."""


VERIFY_INTERVAL = 5.0
"""Seconds without commits after which the copy is verified."""


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint: files by name below the data folder, and the position of the last commit."""

    files: Mapping[str, bytes]
    position: Position


class CheckpointSource(Protocol):
    """Provides complete checkpoints."""

    async def __call__(self) -> CheckpointFiles:
        """Return a checkpoint that is not older than the first commit in the journal.

        :raises OSError: it could not be read or written.
        """
        ...


@dataclass(frozen=True)
class FrameGroup(Frames):
    """Frames on their way to every candidate; encoded once for all of them."""

    @cached_property
    def text(self) -> str:
        return b64encode(self.data).decode("ascii")


@dataclass(frozen=True)
class FollowerTimeouts:
    """Timing of replication.

    ``bound`` is the time-out for storing frames; ``first`` and ``max_delay`` are the shortest and
    longest delay between two attempts to bring a candidate back, all in seconds. ``frames`` is the
    number of bytes between two checkpoints.
    """

    bound: float = 5.0
    first: float = 1.0
    max_delay: float = 60.0
    frames: int = 64 << 20


class Follower:
    """The replication to one candidate.

    While it is ``live``, each group is queued for it and commits wait for it; it is ``settled``
    when it also has all earlier commits. After a failure it is neither, and starts over after a
    delay: find the end of its copy, send what it lacks.
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
        """``under_way`` returns the group that is being written; ``changed`` is called on progress.

        A follower that is ``live`` from the start was in sync before the master started: commits
        wait until it has been compared.
        """
        self.node = node
        self.live = self.settled = live
        self._handle = ""
        self._opened = 0.0
        self.end = BEGINNING  # until the copies are compared: its history may have diverged
        self.reason = "it has not been compared yet"
        self._journal = journal
        self._nodes = nodes
        self._clock = clock
        self._timeouts = patience
        self._checkpoint = checkpoint
        self._get_current_group = under_way
        self._changed = changed
        self._deposed = deposed
        self._queue: deque[FrameGroup] = deque()
        self._cancel: Callable[[], None] | None = None
        self._idle: Deferred[None] | None = None
        self._joined = clock.seconds() if live else None
        self._bytes_since_checkpoint = 0
        self._refreshing: Deferred[None] | None = None
        self._running: Deferred[None] | None = None
        self._stopped = False

    # --- control by the in-sync set

    def start(self) -> None:
        """Start replication; runs until ``stop``."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._on_failure)

    def stop(self) -> None:
        """Stop replication."""
        self._stopped = True
        self.live = self.settled = False
        self._queue.clear()
        for work in (self._running, self._refreshing):
            if work is not None:
                work.cancel()

    def enqueue(self, group: FrameGroup) -> None:
        """Queue a group that follows the previous one."""
        self._queue.append(group)
        self._wake()

    def drop(self, reason: str) -> None:
        """Let commits no longer wait for it, because of ``reason``."""
        self.live, self.settled, self.reason = False, False, reason
        self._queue.clear()
        if self._cancel is not None:
            self._cancel()
        self._wake()

    def lacks(self, end: LogPosition) -> bool:
        """Return whether commits up to ``end`` wait for it."""
        return self.live and self.end.position < end.position

    def _wake(self) -> None:
        if self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    # --- replication

    async def _run(self) -> None:
        pause = self._timeouts.first
        while not self._stopped:
            try:
                await self._follow()
            except NotMaster as e:
                self.drop(str(e))
                self._deposed(e)
                return
            except StaleHandle as e:
                # Commits go on waiting while the copy is opened again, as after a restart of the
                # node daemon; but not if that never ends.
                if self.live and self._clock.seconds() - self._opened > self._timeouts.first:
                    continue
                self.drop(str(e))
            except (GanetiError, OSError) as e:
                self.drop(str(e))
            except CancelledError:
                # Otherwise ``drop`` has cancelled the call, and has set the reason.
                if self._stopped:
                    return
            self._changed()
            # Longer each time: a candidate that repeatedly joins and fails would delay all commits.
            joined, self._joined = self._joined, None
            if joined is not None and self._clock.seconds() - joined > self._timeouts.max_delay:
                pause = self._timeouts.first
            await deferLater(self._clock, pause)
            pause = min(2 * pause, self._timeouts.max_delay)

    def _on_failure(self, failure: Failure) -> None:
        if not (self._stopped and failure.check(CancelledError)):
            self._log.failure(
                "internal error in replication to {node}", failure, node=self.node.name
            )
            self.drop(f"internal error: {failure.getErrorMessage()}; restart the master daemon")
            self._changed()

    async def _follow(self) -> None:
        await self._compare()
        await self._catch_up()
        while self.live:
            if self._queue:
                await self._append(self._queue[0])
                self._queue.popleft()
                self._refresh_checkpoint()
                self._changed()
            elif not self.settled:
                self.settled = True
                self._changed()
            else:
                await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        """Wait for work; periodically verify that the copy is unchanged.

        :raises Failed: it is not, for example because the node has returned with an old disk.
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
            if await self._ask(call, within=self._timeouts.bound) != to_wire(self.end):
                raise Failed(f"commit {self.end.position} of its copy has changed")

    async def _compare(self) -> None:
        """Make the copy end with a position of the journal."""
        # First: what an earlier attempt has sent, and arrives from now on, changes nothing.
        self._handle = await self._ask(OpenReplica())
        self._opened = self._clock.seconds()
        try:
            common = await self._find_common_position()
        except Failed as e:
            if not _is_replica_error(e):
                raise
            self._log.warn("{node} has no usable copy: {why}", node=self.node.name, why=str(e))
            common = None
        if self.live and common is not None and common.position < self.end.position:
            raise Failed(f"its copy has lost the commits after {common.position}")
        # The start of the log is not enough: the initial configuration is in no commit.
        if common is not None and common != BEGINNING and await self._truncate_to(common):
            return
        self.drop("it has no copy of this journal yet; one is being sent")
        self._changed()
        await self._reset()

    async def _truncate_to(self, common: LogPosition) -> bool:
        """Truncate the copy to ``common``; return False if that is not possible.

        Frames after it were never acknowledged. The call is made even if there is nothing to cut
        off, so that a hung disk is noticed before commits wait for this candidate.
        """
        try:
            await self._append(FrameGroup(common, b"", common), cut=True)
        except Failed as e:
            if not _is_replica_error(e):
                raise
            self._log.warn("{node}: {why}", node=self.node.name, why=str(e))
            return False
        return True

    async def _find_common_position(self) -> LogPosition | None:
        """Return the last log position that the copy and the journal share; None if there is none.

        The search cuts off nothing: the copy may be all that is left of the journal if the master
        is lost meanwhile.
        """
        end = await self._ask(DescribeReplica())
        low, high = self._journal.base_position(), min(end.position, self._find_target().position)
        # The end first: a copy usually lacks little, or nothing.
        common, position = None, high
        while low <= position <= high:
            mark = self._journal.find_log_position(position)
            theirs = end if position == end.position else await self._query_position(position)
            if theirs is None:
                low = position + 1
            elif theirs == to_wire(mark):
                common, low = mark, position + 1
            else:
                high = position - 1
            position = (low + high + 1) // 2
        return common

    async def _query_position(self, position: Position) -> ReplicaEnd | None:
        """Return a log position of the copy before its end; None if it is no longer in the copy."""
        try:
            return await self._ask(DescribeReplica(at=position))
        except Failed as e:
            if not _is_replica_error(e):
                raise
            return None

    async def _reset(self) -> None:
        checkpoint = await self._checkpoint()
        mark = self._journal.find_log_position(checkpoint.position)
        files = encoded(checkpoint)
        await self._ask(ResetReplica(files=files, end=to_wire(mark), handle=self._handle))
        self.end, self._bytes_since_checkpoint = mark, 0

    def _refresh_checkpoint(self) -> None:
        """Send a newer checkpoint from time to time, which bounds the size of the copy."""
        idle = self._refreshing is None or self._refreshing.called
        if self._bytes_since_checkpoint > self._timeouts.frames and idle:
            self._bytes_since_checkpoint = 0
            self._refreshing = Deferred.fromCoroutine(self._send_checkpoint())
            self._refreshing.addErrback(self._on_failure)

    async def _send_checkpoint(self) -> None:
        try:
            checkpoint = await self._checkpoint()
            files, mark = encoded(checkpoint), self._journal.find_log_position(checkpoint.position)
            # Without the time-out for frames, and beside them: a checkpoint may take long.
            await self._nodes.ask(self.node, StoreCheckpoint(files=files, end=to_wire(mark)))
        except (GanetiError, OSError) as e:
            self._log.warn("{node} keeps its old checkpoint: {why}", node=self.node.name, why=e)

    async def _catch_up(self) -> None:
        """Send missing commits; on return it is live and lacks only queued groups."""
        while True:
            if not self.live and self._find_target().position - self.end.position <= NEAR:
                self._go_live()
            target = self._find_target()
            if self.live and self.end == target:
                return
            if self.end.position > target.position:
                raise PositionNotFound(
                    f"its copy has commits after the end {target.position} of the journal"
                )
            for piece in self._journal.frames_after(self.end, until=target.position):
                await self._append(FrameGroup(piece.after, piece.data, piece.end))

    def _go_live(self) -> None:
        self.live = True
        self._joined = self._clock.seconds()
        # The other candidates have been sent this group already, and the files do not have it yet.
        if (
            group := self._get_current_group()
        ) is not None and group.after == self._journal.end_position():
            self._queue.append(group)

    def _find_target(self) -> LogPosition:
        """Return the end of the frames to read from files; later ones are queued."""
        return self._queue[0].after if self._queue else self._journal.end_position()

    async def _append(self, group: FrameGroup, *, cut: bool = False) -> None:
        after = to_wire(group.after)
        call = AppendFrames(after=after, frames=group.text, cut=cut, handle=self._handle)
        answer = await self._ask(call, within=self._timeouts.bound)
        self._bytes_since_checkpoint += len(group.data)
        if answer != to_wire(group.end):
            raise Failed(f"its copy ends with commit {answer.position}, not {group.end.position}")
        self.end = group.end

    async def _ask(self, call: Call[R], *, within: float | None = None) -> R:
        asking = Deferred.fromCoroutine(self._nodes.ask(self.node, call))
        self._cancel = asking.cancel
        timer = self._clock.callLater(within, self._on_timeout) if within is not None else None
        try:
            return await asking
        finally:
            self._cancel = None
            if timer is not None and timer.active():
                timer.cancel()

    def _on_timeout(self) -> None:
        self.drop(f"it did not store frames within {self._timeouts.bound:g} seconds")


def _is_replica_error(error: Failed) -> bool:
    """Return whether an error concerns the copy itself rather than the network or the disk."""
    return not isinstance(error, Unreachable) and error.code is not Code.ENVIRONMENT


def encoded(checkpoint: CheckpointFiles) -> dict[str, str]:
    """Return the files of a checkpoint in the form of RPC calls."""
    return {name: b64encode(data).decode("ascii") for name, data in checkpoint.files.items()}


def to_wire(mark: LogPosition) -> ReplicaEnd:
    """Return a log position in the form of RPC calls."""
    return ReplicaEnd(position=mark.position, digest=mark.digest.hex())
