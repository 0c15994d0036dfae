# SPDX-License-Identifier: BSD-2-Clause
"""A job queue with everything around it in memory, on a clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from ganeti.errors import CommitFailed
from ganeti.jobs.filter_actions import JobFilter
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.queue import Queue
from ganeti.jobs.runner import OpcodeResult, OpcodeTask
from ganeti.journal.interfaces import Commit, IJournal, Position
from ganeti.locking.names import LockMode
from ganeti.locking.waiting import LockWaiter
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.testing.journal import MemoryJournal
from ganeti.testing.queue import MemoryArchive

NOW = 1_700_000_000.0

Act: TypeAlias = Callable[[OpcodeTask], Awaitable[Any]]


def an_opcode(act: str = "", **parameters: Any) -> Delay:
    """An opcode that does what the rig knows under the name ``act``."""
    return Delay(duration=0.0, comment=act or None, **parameters)


@implementer(IJournal)
class SyncedJournal(MemoryJournal):
    """A journal whose commits wait for ``sync``; what was not synced is lost in a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = False
        self._pending: list[tuple[Commit, Deferred[Position]]] = []

    async def append(self, commit: Commit) -> Position:
        if not self.waits or self._refuses:
            return await super().append(commit)
        done: Deferred[Position] = Deferred()
        self._pending.append((commit, done))
        return await done

    @property
    def is_behind(self) -> bool:
        """Whether commits wait for a sync."""
        return bool(self._pending)

    def sync(self) -> None:
        """Keep what waits, or refuse all of it if the journal is broken."""
        pending, self._pending = self._pending, []
        for commit, done in pending:
            if self._trouble is not None or self._refuses:
                self._refuses = True
                done.errback(CommitFailed("the journal accepts no commits: disk is full"))
            else:
                self.commits.append(commit)
                done.callback(self.last_commit())


class Rig:
    """A queue of jobs whose opcodes do what ``acts`` say; the default does nothing.

    ``restarted`` gives the rig of the next master, with what was durable.
    """

    def __init__(
        self,
        journal: SyncedJournal | None = None,
        clock: Clock | None = None,
        rules: JobFilter | None = None,
    ) -> None:
        self.clock = clock or Clock()
        if clock is None:
            self.clock.advance(NOW)
        self.journal = journal or SyncedJournal()
        self.archive = MemoryArchive()
        self.locks = LockWaiter(self.clock)
        self.store = JobStore(self.journal, self.clock.seconds)
        for _, commit in self.journal.replay(0):
            for edit in commit.edits:
                self.store.replay(edit)
        self.max_running = 20
        self.acts: dict[str, Act] = {"sleep": self._sleep, "lock": self._lock}
        self.ran: list[int] = []
        self.queue = Queue(
            store=self.store,
            journal=self.journal,
            run=self._run,
            clock=self.clock,
            max_running=lambda: self.max_running,
            archive=self.archive,
            locks=self.locks,
        )
        self.obey(rules)
        Deferred.fromCoroutine(self.queue.start())

    def obey(self, rules: JobFilter | None) -> None:
        """Let jobs be judged by ``rules``, also after a restart."""
        self.rules = rules
        self.queue.obey(rules)

    def submit(self, *acts: str, **parameters: Any) -> int:
        """Submit a job with one opcode per act, and answer its id once it is durable."""
        submitted = Deferred.fromCoroutine(
            self.queue.submit([an_opcode(act, **parameters) for act in acts or [""]])
        )
        self.journal.sync()
        assert isinstance(submitted.result, int), submitted.result
        return submitted.result

    def turn(self, count: int = 1) -> None:
        """Let what was put off to a later turn happen, without time passing."""
        for _ in range(count):
            self.clock.advance(0)

    def settle(self) -> None:
        """Let everything happen that time and syncs bring about."""
        for _ in range(10_000):
            self.journal.sync()
            calls = self.clock.getDelayedCalls()
            if not calls and not self.journal.is_behind:
                return
            if calls:
                self.clock.advance(max(0.0, min(c.getTime() for c in calls) - self.clock.seconds()))
        raise AssertionError("it never comes to rest")

    def status(self, job_id: int) -> str:
        """The durable status of a job."""
        return self.queue.job(job_id).status.value

    def results(self, job_id: int) -> list[Any]:
        """What came of each opcode of a job."""
        return [op.result for op in self.queue.job(job_id).ops]

    def stop(self, *, grace: float = 0.0) -> None:
        """Stop the queue as the daemon does."""
        Deferred.fromCoroutine(self.queue.stop(grace=grace))
        self.settle()

    def restarted(self) -> Rig:
        """The rig of a master that starts with what this one has made durable."""
        journal = SyncedJournal()
        journal.commits = list(self.journal.commits)
        clock = Clock()
        clock.advance(self.clock.seconds())
        return Rig(journal, clock, self.rules)

    async def _run(self, opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        self.ran.append(task.job_id)
        act = self.acts.get(opcode.comment or "")
        if act is None:
            await task.locked()
            return OpcodeResult("done")
        result = await act(task)
        return result if isinstance(result, OpcodeResult) else OpcodeResult(result)

    async def _sleep(self, task: OpcodeTask) -> None:
        await task.locked()
        await deferLater(self.clock, 10)

    async def _lock(self, task: OpcodeTask) -> None:
        async with self.locks.hold_locks(
            task.owner, {"instance/one": LockMode.EXCLUSIVE}, task.priority
        ):
            await task.locked()
            await deferLater(self.clock, 10)
