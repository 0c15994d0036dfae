# SPDX-License-Identifier: BSD-2-Clause
"""The worker of one job: runs its opcodes in order and makes each status change durable first.

Status changes of one reactor turn are one commit: an opcode whose locks are free goes from queued
to running directly; the status waiting is stored only if the opcode waits.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import CommitFailed, Failed, GanetiError, Invalid, JobCanceled, to_wire
from ganeti.jobs.job import Job, JobEvent, JobStatus, as_json
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.journal_recovery import JournalRecovery
from ganeti.jobs.runner import FinalCommit, OpcodeResult, Runner

R = TypeVar("R")

CANCELED = "Job canceled by request"


@dataclass(frozen=True)
class _Outcome:
    """How the run of an opcode ended; ``event`` is None if it will run again."""

    event: JobEvent | None
    result: object = None
    finish: FinalCommit | None = None


_RETRY = _Outcome(None)
_STOPPED = _Outcome(JobEvent.STOPPED, CANCELED)


def _make_failure(error: GanetiError) -> _Outcome:
    return _Outcome(JobEvent.FAILED, to_wire(error))


_INTERRUPTED = _make_failure(Failed("interrupted by the shutdown of the master daemon"))


class Worker:
    """One started job, until it has ended."""

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
        self._recovery = mending
        self._run = run
        self._clock = clock
        self._running: Deferred[OpcodeResult] | None = None
        self._delayed_messages: IDelayedCall | None = None
        self._interruptible: set[Deferred[Any]] = set()
        self._canceled = False
        self._stopping = False
        self._ending = False

    async def work(self) -> None:
        """Run the job; return when its end is durable, or when it was stopped.

        :raises CancelledError: the job was stopped while the journal did not work.
        """
        try:
            while (index := self.job.current) is not None and not self._stopping:
                if self._canceled:
                    await self._end_opcode(_Outcome(JobEvent.CANCEL))
                    continue
                outcome = await self._run_opcode(index)
                if outcome.event is not None:
                    await self._end_opcode(outcome)
        finally:
            if self._delayed_messages is not None:
                self._delayed_messages.cancel()

    async def cancel(self, *, kill: bool = False) -> tuple[bool, str]:
        """Request that the job stops; with ``kill`` also in the middle of a step.

        Return whether it will stop, and a message.

        :raises CommitFailed: the cancel request could not be made durable.
        """
        index = self.job.current
        if index is None:
            return False, f"Job {self.job.id} has ended"
        asked_before, self._canceled = self._canceled, True
        status = self.job.ops[index].status
        if status is JobStatus.WAITING and self._running is not None:
            self.job = self.job.after(JobEvent.CANCEL, self._store.now())
            self._running.cancel()
            # The cancelled run may have ended already, or may take a while to release its locks.
            if self.job.status in (JobStatus.CANCELING, JobStatus.CANCELED):
                await self._store.save_job(self.job, why=JobEvent.CANCEL.value)
        elif status is JobStatus.RUNNING and self._running is not None:
            if kill:
                self._running.cancel()
                return True, f"Job {self.job.id} is being killed"
            if not asked_before:
                self.log_message(
                    index, "cancel requested; stopping at the next step that can be undone"
                )
            for waiting in list(self._interruptible):
                waiting.cancel()
            return True, f"Job {self.job.id} stops at its next step that can be undone"
        elif status is JobStatus.QUEUED:
            return True, f"Job {self.job.id} ends before its next opcode"
        return True, f"Job {self.job.id} has been canceled"

    async def change_priority(self, priority: int) -> bool:
        """Change the priority of opcodes that do not run yet; return False if there are none.

        :raises CommitFailed: the change is not durable.
        """
        if not self.job.has_pending_opcodes:
            return False
        self.job = self.job.with_priority(priority)
        if not self._ending:  # while an opcode ends, another commit may include its job
            await self._store.save_job(self.job, why="priority changed")
        return True

    def start_no_more(self) -> None:
        """Start no more opcodes, because the daemon stops; one that waits is queued again."""
        self._stopping = True
        index = self.job.current
        # Before it has its locks, it has changed nothing.
        if index is not None and self.job.ops[index].status is JobStatus.WAITING:
            self.stop()

    def stop(self) -> None:
        """Interrupt the running opcode and start no more, because the daemon stops."""
        self._stopping = True
        if self._running is not None:
            self._running.cancel()

    def log_message(self, index: int, message: object, kind: str = "message") -> None:
        """Add a message to the log of an opcode; messages of one reactor turn share a commit.

        :raises TypeError: the message cannot be represented in JSON.
        """
        self.job = self.job.with_message(index, self._store.now(), kind, as_json(message))
        if self._delayed_messages is None:
            self._delayed_messages = self._clock.callLater(0, self._persist_messages)

    async def locked(self, index: int, task: _Task) -> None:
        """Mark the opcode as running because it holds its locks; durable when this returns."""
        if self._canceled:
            raise JobCanceled(CANCELED)
        before = self.job
        if before.ops[index].status is not JobStatus.WAITING:
            return
        self.job = before.after(JobEvent.LOCKED, self._store.now())
        try:
            await self._store.save_job(self.job, why=JobEvent.LOCKED.value)
        except CommitFailed:
            self._recovery.report_failure()
            self.job = before
            task.unkept = True
            raise
        # Again: the job may have been canceled during the commit.
        if self._canceled:
            raise JobCanceled(CANCELED)

    async def interruptible(self, work: Coroutine[Deferred[object], object, R]) -> R:
        """Return the result of ``work``; cancel it when the job is canceled.

        :raises JobCanceled: the job was canceled before ``work`` ended.
        """
        if self._canceled:
            # Python warns of coroutines that are never awaited.
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

    async def _run_opcode(self, index: int) -> _Outcome:
        """Run one opcode from its start to its outcome."""
        await self._recovery.wait_until_working()
        if self._canceled:
            return _RETRY
        try:
            opcode = self.job.ops[index].opcode
        except Invalid as e:
            return _make_failure(e)
        self.job = self.job.after(JobEvent.PICKED, self._store.now())
        task = _Task(self, index)
        running = self._running = Deferred.fromCoroutine(self._run(opcode, task))
        if not running.called and self.job.ops[index].status is JobStatus.WAITING:
            self._persist_in_background(self._store.save_job(self.job, why=JobEvent.PICKED.value))
        outcome = await self._await_outcome(running, task)
        self._running = None
        status = self.job.ops[index].status
        if status is JobStatus.CANCELING and outcome is _RETRY:
            return _STOPPED
        if status is JobStatus.WAITING and (outcome is _RETRY or outcome is _INTERRUPTED):
            self.job = self.job.after(JobEvent.RESTARTED, self._store.now())
            return _RETRY
        if status is JobStatus.WAITING and outcome.event in (JobEvent.FINISHED, JobEvent.STOPPED):
            # The opcode needed no locks, or canceled itself before it had any.
            self.job = self.job.after(JobEvent.LOCKED, self._store.now())
        return outcome

    async def _await_outcome(self, running: Deferred[OpcodeResult], task: _Task) -> _Outcome:
        """Return the outcome of a run; any exception of an opcode becomes its result."""
        try:
            ran = await running
            return _Outcome(JobEvent.FINISHED, as_json(ran.result), ran.finish)
        except JobCanceled:
            return _STOPPED
        except CancelledError:
            if self._canceled:
                return _STOPPED
            return _INTERRUPTED if self._stopping else self._log_internal_error(task.index)
        except CommitFailed as e:
            return _RETRY if task.unkept else _make_failure(e)
        except GanetiError as e:
            return _make_failure(e)
        except Exception:
            return self._log_internal_error(task.index)

    async def _end_opcode(self, outcome: _Outcome) -> None:
        """Make the end of the current opcode durable; retry until the journal works."""
        index = self.job.current
        assert index is not None and outcome.event is not None
        broken: _Outcome | None = None
        while True:
            await self._recovery.wait_until_working()
            before = self.job
            ended = before.after(outcome.event, self._store.now(), outcome.result)
            self.job = ended
            self._ending = True
            try:
                await self._store.save_job(ended, why=outcome.event.value, through=outcome.finish)
            except GanetiError as e:
                self.job = before
                if outcome.finish is not None:
                    # The last change was not committed, so the opcode has failed.
                    outcome = _make_failure(e)
                if isinstance(e, CommitFailed):
                    self._recovery.report_failure()
            except Exception:
                # The same error for the second time: another attempt would fail for ever.
                if outcome is broken:
                    raise
                self.job = before
                outcome = broken = self._log_internal_error(index)
            else:
                return
            finally:
                self._ending = False

    def _log_internal_error(self, index: int) -> _Outcome:
        self._log.failure(
            "internal error in job {job}, opcode {opcode}", job=self.job.id, opcode=index + 1
        )
        return _make_failure(
            Failed(
                "internal error; details are in the log of the master daemon under"
                f" 'internal error in job {self.job.id}, opcode {index + 1}'"
            )
        )

    def _persist_messages(self) -> None:
        self._delayed_messages = None
        self._persist_in_background(self._store.persist_messages(self.job))

    def _persist_in_background(self, keeping: Coroutine[Deferred[object], object, None]) -> None:
        """Make a change durable without waiting; if that fails, a later commit includes it."""
        Deferred.fromCoroutine(keeping).addErrback(self._on_persist_failed)

    def _on_persist_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, CommitFailed):
            self._recovery.report_failure()
        else:
            self._log.failure("job {job} could not be stored", failure, job=self.job.id)


class _Task:
    """One opcode of a job, as its run sees it; implements ``OpcodeTask``."""

    def __init__(self, worker: Worker, index: int) -> None:
        self._worker = worker
        self.index = index
        self.job_id = worker.job.id
        self.owner = worker.owner
        self.unkept = False

    @property
    def priority(self) -> int:
        return self._worker.job.ops[self.index].priority

    def log_message(self, message: object, kind: str = "message") -> None:
        self._worker.log_message(self.index, message, kind)

    async def locked(self) -> None:
        await self._worker.locked(self.index, self)

    def is_cancel_requested(self) -> bool:
        return self._worker._canceled

    async def interruptible(self, work: Coroutine[Deferred[object], object, R]) -> R:
        return await self._worker.interruptible(work)

    async def journal_recovered(self) -> None:
        self._worker._recovery.report_failure()
        await self._worker._recovery.wait_until_working()
