# SPDX-License-Identifier: BSD-2-Clause
"""Running one job: its opcodes in order, each move on disk before it is acted on.

Moves of one turn are one commit: an opcode whose locks are free goes from queued to running at
once, and is stored as waiting only if it does wait.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Failed, GanetiError, Invalid, JobCanceled, NotKept, to_wire
from ganeti.jobs.job import Job, JobEvent, JobStatus, as_json
from ganeti.jobs.journal_recovery import JournalRecovery
from ganeti.jobs.runner import Finish, OpcodeResult, Runner
from ganeti.jobs.store import JobStore

R = TypeVar("R")

CANCELED = "Job canceled by request"


@dataclass(frozen=True)
class _Outcome:
    """How the run of an opcode ended; ``event`` is None if it is to be run again."""

    event: JobEvent | None
    result: Any = None
    finish: Finish | None = None


_AGAIN = _Outcome(None)
_STOPPED = _Outcome(JobEvent.STOPPED, CANCELED)


def _failed(error: GanetiError) -> _Outcome:
    return _Outcome(JobEvent.FAILED, to_wire(error))


_INTERRUPTED = _failed(Failed("interrupted because the master daemon was stopped"))


class Worker:
    """One job that is not queued any more, until it has ended."""

    _log = Logger()

    def __init__(
        self,
        job: Job,
        *,
        store: JobStore,
        mending: JournalRecovery,
        run: Runner,
        clock: IReactorTime,
    ) -> None:
        self.job = job
        self.owner = f"job {job.id}"
        self._store = store
        self._mending = mending
        self._run = run
        self._clock = clock
        self._running: Deferred[OpcodeResult] | None = None
        self._saying: IDelayedCall | None = None
        self._interruptible: set[Deferred[Any]] = set()
        self._canceled = False
        self._stopping = False
        self._ending = False

    async def work(self) -> None:
        """Run the job; it has ended, durably, when this returns, unless it was stopped.

        :raises CancelledError: it was stopped while the journal did not work.
        """
        try:
            while (index := self.job.current) is not None and not self._stopping:
                if self._canceled:
                    await self._end(_Outcome(JobEvent.CANCEL))
                    continue
                outcome = await self._opcode(index)
                if outcome.event is not None:
                    await self._end(outcome)
        finally:
            if self._saying is not None:
                self._saying.cancel()

    async def cancel(self, *, kill: bool = False) -> tuple[bool, str]:
        """Ask the job to stop; with ``kill`` also from the midst of a step.

        Answers with whether it will, and what happens.

        :raises NotKept: it is not durable that a job that has done nothing is to be canceled.
        """
        index = self.job.current
        if index is None:
            return False, f"Job {self.job.id} has ended"
        asked_before, self._canceled = self._canceled, True
        status = self.job.ops[index].status
        if status is JobStatus.WAITING and self._running is not None:
            self.job = self.job.after(JobEvent.CANCEL, self._store.now())
            self._running.cancel()
            # It may have ended in there already, or it may take a while to let go.
            if self.job.status in (JobStatus.CANCELING, JobStatus.CANCELED):
                await self._store.keep(self.job, why=JobEvent.CANCEL.value)
        elif status is JobStatus.RUNNING and self._running is not None:
            if kill:
                self._running.cancel()
                return True, f"Job {self.job.id} is stopped where it is"
            if not asked_before:
                self.say(index, "cancel requested; stopping at the next step that can be undone")
            for waiting in list(self._interruptible):
                waiting.cancel()
            return True, f"Job {self.job.id} stops at its next step that can be undone"
        elif status is JobStatus.QUEUED:
            return True, f"Job {self.job.id} ends before its next opcode"
        return True, f"Job {self.job.id} has been canceled"

    async def change_priority(self, priority: int) -> bool:
        """Give what has not begun another priority; False if all has.

        :raises NotKept: it is not durable.
        """
        if not self.job.has_not_begun:
            return False
        self.job = self.job.with_priority(priority)
        if not self._ending:  # the end of an opcode may be in another's hands until it is kept
            await self._store.keep(self.job, why="priority changed")
        return True

    def stop(self) -> None:
        """The daemon ends: interrupt what runs and begin nothing new."""
        self._stopping = True
        if self._running is not None:
            self._running.cancel()

    def say(self, index: int, message: Any, kind: str = "message") -> None:
        """Add a message to the log of an opcode; what is said in one turn is stored together.

        :raises TypeError: it is neither text nor anything else that JSON knows.
        """
        self.job = self.job.saying(index, self._store.now(), kind, as_json(message))
        if self._saying is None:
            self._saying = self._clock.callLater(0, self._keep_messages)

    async def locked(self, index: int, task: _Task) -> None:
        """The opcode holds its locks: it runs once this is on disk."""
        if self._canceled:
            raise JobCanceled(CANCELED)
        before = self.job
        if before.ops[index].status is not JobStatus.WAITING:
            return
        self.job = before.after(JobEvent.LOCKED, self._store.now())
        try:
            await self._store.keep(self.job, why=JobEvent.LOCKED.value)
        except NotKept:
            self._mending.broke()
            self.job = before
            task.unkept = True
            raise
        if self._canceled:
            raise JobCanceled(CANCELED)

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        """Return what ``work`` does, and cancel it when the job is canceled.

        :raises JobCanceled: the job was canceled before ``work`` had ended.
        """
        if self._canceled:
            work.close()
            raise JobCanceled(CANCELED)
        waiting = Deferred.fromCoroutine(work)
        self._interruptible.add(waiting)
        try:
            return await waiting
        except CancelledError:
            if self._canceled:
                raise JobCanceled(CANCELED) from None
            raise
        finally:
            self._interruptible.discard(waiting)

    async def _opcode(self, index: int) -> _Outcome:
        """Run one opcode, from picked to whatever came of it."""
        await self._mending.mended()
        if self._canceled:
            return _AGAIN
        try:
            opcode = self.job.ops[index].opcode
        except Invalid as e:
            return _failed(e)
        self.job = self.job.after(JobEvent.PICKED, self._store.now())
        task = _Task(self, index)
        running = self._running = Deferred.fromCoroutine(self._run(opcode, task))
        if not running.called and self.job.ops[index].status is JobStatus.WAITING:
            self._meanwhile(self._store.keep(self.job, why=JobEvent.PICKED.value))
        outcome = await self._outcome(running, task)
        self._running = None
        status = self.job.ops[index].status
        if status is JobStatus.CANCELING and outcome is _AGAIN:
            return _STOPPED
        if status is JobStatus.WAITING and (outcome is _AGAIN or outcome is _INTERRUPTED):
            self.job = self.job.after(JobEvent.RESTARTED, self._store.now())
            return _AGAIN
        if status is JobStatus.WAITING and outcome.event in (JobEvent.FINISHED, JobEvent.STOPPED):
            # It needed no locks, or canceled itself before it had any.
            self.job = self.job.after(JobEvent.LOCKED, self._store.now())
        return outcome

    async def _outcome(self, running: Deferred[OpcodeResult], task: _Task) -> _Outcome:
        """What comes of a run. Here is the rim: whatever an opcode raises is its own result."""
        try:
            ran = await running
            return _Outcome(JobEvent.FINISHED, as_json(ran.result), ran.finish)
        except JobCanceled:
            return _STOPPED
        except CancelledError:
            if self._canceled:
                return _STOPPED
            return _INTERRUPTED if self._stopping else self._broken(task.index)
        except NotKept as e:
            return _AGAIN if task.unkept else _failed(e)
        except GanetiError as e:
            return _failed(e)
        except Exception:
            return self._broken(task.index)

    async def _end(self, outcome: _Outcome) -> None:
        """Make the end of the current opcode durable, however long the journal takes to work."""
        index = self.job.current
        assert index is not None and outcome.event is not None
        broken: _Outcome | None = None
        while True:
            await self._mending.mended()
            before = self.job
            ended = before.after(outcome.event, self._store.now(), outcome.result)
            self.job = ended
            self._ending = True
            try:
                await self._store.keep(ended, why=outcome.event.value, through=outcome.finish)
            except GanetiError as e:
                self.job = before
                if outcome.finish is not None:
                    # The last change was not made, so the opcode has not succeeded.
                    outcome = _failed(e)
                if isinstance(e, NotKept):
                    self._mending.broke()
            except Exception:
                if outcome is broken:
                    raise
                self.job = before
                outcome = broken = self._broken(index)
            else:
                return
            finally:
                self._ending = False

    def _broken(self, index: int) -> _Outcome:
        self._log.failure("job {job}, opcode {opcode} broke", job=self.job.id, opcode=index + 1)
        return _failed(
            Failed(
                "internal error; the log of the master daemon has it under"
                f" 'job {self.job.id}, opcode {index + 1} broke'"
            )
        )

    def _keep_messages(self) -> None:
        self._saying = None
        self._meanwhile(self._store.keep_messages(self.job))

    def _meanwhile(self, keeping: Coroutine[Any, Any, None]) -> None:
        """Keep something that nobody waits for; if it is not kept, a later commit has it."""
        Deferred.fromCoroutine(keeping).addErrback(self._not_kept)

    def _not_kept(self, failure: Failure) -> None:
        if isinstance(failure.value, NotKept):
            self._mending.broke()
        else:
            self._log.failure("job {job} could not be kept", failure, job=self.job.id)


class _Task:
    """One opcode of a job, as its run sees it."""

    def __init__(self, worker: Worker, index: int) -> None:
        self._worker = worker
        self.index = index
        self.job_id = worker.job.id
        self.owner = worker.owner
        self.unkept = False

    @property
    def priority(self) -> int:
        return self._worker.job.ops[self.index].priority

    def say(self, message: Any, kind: str = "message") -> None:
        self._worker.say(self.index, message, kind)

    async def locked(self) -> None:
        await self._worker.locked(self.index, self)

    def cancel_requested(self) -> bool:
        return self._worker._canceled

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        return await self._worker.interruptible(work)

    async def journal_recovered(self) -> None:
        self._worker._mending.broke()
        await self._worker._mending.mended()
