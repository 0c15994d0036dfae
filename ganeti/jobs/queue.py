# SPDX-License-Identifier: BSD-2-Clause
"""The job queue: accepts jobs, starts them in order, and keeps them until they are archived."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import CommitFailed, Failed, Invalid, QueueDrained, QueueFull, to_wire
from ganeti.jobs.change_notification import ChangeNotifier
from ganeti.jobs.filter_actions import JobFilter, JobRateLimit, Reject
from ganeti.jobs.job import Job, JobEvent, JobStatus, LogEntry, job_not_found
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.journal_recovery import JournalRecovery
from ganeti.jobs.restart_recovery import recovered
from ganeti.jobs.runner import Runner
from ganeti.jobs.scheduler import Scheduler, Unschedulable, dependencies
from ganeti.jobs.shield import shield_from_cancellation
from ganeti.jobs.submission import QUEUE_FULL, NewJobs, new_job
from ganeti.jobs.worker import Worker
from ganeti.journal.interfaces import IJournal
from ganeti.opcodes.opcode import Opcode

T = TypeVar("T")

MAX_LIVE = 25_000
"""Maximum number of jobs that have not ended; each takes about 4 KiB of memory."""

SUBMIT_BATCH = 25
"""Number of jobs of one request that are made before other work has a turn."""

MAX_PICK_SECONDS = 0.004
"""Seconds after which no more jobs are started before other work has a turn."""

_CANCEL_BATCH_SIZE = 200
_ARCHIVE_BATCH_SIZE = 200


class IJobArchive(Protocol):
    """The archive of ended jobs."""

    async def save_jobs(self, jobs: Sequence[Job]) -> None:
        """Store ``jobs`` durably.

        :raises CommitFailed: some of the jobs may be missing.
        """

    def find_job(self, job_id: int) -> Job | None:
        """Return an archived job; None if it does not exist."""
        ...


class LockPriorities(Protocol):
    """The priorities of jobs that wait for locks."""

    def reprioritize(self, owner: str, priority: int) -> None: ...


class Queue:
    """All jobs that are not archived.

    ``max_running`` is called before each pick; it returns how many jobs may run at once, including
    those that wait for locks.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        store: JobStore,
        journal: IJournal,
        run: Runner,
        clock: IReactorTime,
        max_running: Callable[[], int],
        archive: IJobArchive,
        locks: LockPriorities | None = None,
    ) -> None:
        self._store = store
        self._run = run
        self._clock = clock
        self._max_running = max_running
        self._archive = archive
        self._locks = locks
        self._recovery = JournalRecovery(journal, clock, self._schedule_pick)
        self._watchers = ChangeNotifier(store.jobs, clock)
        self._scheduler = Scheduler()
        self._workers: dict[int, Worker] = {}
        self._work: dict[int, Deferred[None]] = {}
        self._live: set[int] = set()
        self._unschedulable: list[Unschedulable] = []
        self._filter: JobFilter | None = None
        self._picking: IDelayedCall | None = None
        # Also read by operations that end with the daemon.
        self.stopped = True
        store.observe(self._on_job_stored)

    # Starting and stopping

    async def start(self) -> None:
        """End or requeue the jobs that a restart interrupted, then begin to run jobs.

        :raises CommitFailed: the journal does not work; no job was started.
        """
        settled = recovered(self._store.jobs.values(), self._store.now())
        if settled:
            # Durable first: otherwise the next restart could run an interrupted opcode again.
            await self._store.persist_all(settled, why=JobEvent.RESTARTED.value)
        self.stopped = False
        for job in self.jobs():
            if not job.is_final:
                self._live.add(job.id)
                self._enqueue(job)

    async def stop(self, *, grace: float = 0.0) -> None:
        """Start no more opcodes, and return when all workers have ended.

        Opcodes that wait for locks are queued again, and those that run are interrupted after
        ``grace`` seconds; at once if the journal does not work.
        """
        self.stopped = True
        if self._picking is not None:
            self._picking.cancel()
            self._picking = None
        for worker in tuple(self._workers.values()):
            worker.start_no_more()
        interruption: IDelayedCall | None = None
        if grace and self._recovery.works:
            interruption = self._clock.callLater(grace, self._interrupt)
        else:
            self._interrupt()
        for work in tuple(self._work.values()):
            await work
        if interruption is not None and interruption.active():
            interruption.cancel()
            self._recovery.stop()

    def _interrupt(self) -> None:
        # Workers that wait for the journal would not end otherwise.
        self._recovery.stop()
        for worker in tuple(self._workers.values()):
            worker.stop()

    # Queries

    def job(self, job_id: int) -> Job:
        """Return a job that is not archived, in its durable state.

        :raises JobLost: the job does not exist.
        """
        job = self._store.jobs.get(job_id)
        if job is None:
            raise job_not_found(job_id)
        return job

    def find_job(self, job_id: int) -> Job | None:
        """Return a job that is not archived, or None if it does not exist."""
        return self._store.jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """Return every job that is not archived, oldest first."""
        jobs = self._store.jobs
        return [jobs[job_id] for job_id in sorted(jobs)]

    def archived(self, job_id: int) -> Job | None:
        """Return an archived job, or None if it does not exist."""
        return self._archive.find_job(job_id)

    @property
    def drained(self) -> bool:
        """Whether new jobs are refused."""
        return self._store.drained

    async def wait_for_change(
        self,
        job_id: int,
        snapshot: Callable[[Job], T],
        previous: T | None,
        log_serial: int | None,
        timeout: float,
    ) -> tuple[T, Sequence[LogEntry]] | None:
        """Wait until a job changes; see ``ChangeNotifier.wait_for_change``."""
        return await self._watchers.wait_for_change(job_id, snapshot, previous, log_serial, timeout)

    # Submitting

    async def submit(
        self, opcodes: Sequence[Opcode], *, who: str = "client", even_if_drained: bool = False
    ) -> int:
        """Accept a job and return its id; the job is then durable.

        Relative (negative) job ids in dependencies refer to earlier jobs of the same request, so
        that they are refused here.

        :raises QueueDrained: an administrator has drained the queue.
        :raises QueueFull: too many jobs have not ended.
        :raises Invalid: the job has no opcodes, or invalid dependencies.
        :raises CommitFailed: the job could not be made durable.
        """
        self._check_not_drained(even_if_drained)
        if self._count_free_slots() < 1:
            raise QueueFull(QUEUE_FULL)
        job_id = self._store.new_ids(1)[0]
        job = new_job(job_id, opcodes, self._store.now())
        await shield_from_cancellation(self._accept([job], who))
        return job_id

    async def submit_many(
        self, requests: Sequence[Sequence[Opcode]], *, who: str = "client"
    ) -> list[tuple[bool, int | str]]:
        """Accept several jobs in one commit; return for each its id, or why it was refused.

        Relative (negative) job ids in dependencies count back within ``requests``.

        :raises QueueDrained: an administrator has drained the queue.
        :raises CommitFailed: none of the jobs could be made durable.
        """
        self._check_not_drained(False)
        ids = self._store.new_ids(len(requests))
        made = NewJobs(self._store.now(), self._count_free_slots())
        # Other requests may come between the batches: these jobs have their slots already.
        self._live.update(ids[: self._count_free_slots()])
        try:
            for number, (job_id, opcodes) in enumerate(zip(ids, requests, strict=True), start=1):
                made.add_job(job_id, opcodes)
                if number % SUBMIT_BATCH == 0:
                    await deferLater(self._clock, 0)
        finally:
            self._live.difference_update(ids)
        if made.jobs:
            await shield_from_cancellation(self._accept(made.jobs, who))
        return made.answers

    async def set_drained(self, drained: bool) -> None:
        """Drain the queue (refuse new jobs) or undrain it, durably."""
        await self._store.set_drained(drained)

    # Changes

    async def cancel(self, job_id: int, *, kill: bool = False) -> tuple[bool, str]:
        """Cancel a job in any state; return whether it will be canceled, and a message.

        A job that has not started is canceled durably when this returns; a running job stops at its
        next step that can be undone, or immediately with ``kill``.

        :raises JobLost: the job does not exist.
        :raises CommitFailed: the cancel request could not be made durable.
        """
        job = self.job(job_id)
        if (worker := self._workers.get(job_id)) is not None:
            return await self.kept(worker.cancel(kill=kill))
        if job_id not in self._live:
            ended = f"has ended in {job.status.value}" if job.is_final else "is about to end"
            return False, f"Job {job_id} {ended}"
        await shield_from_cancellation(self._cancel_unstarted([job]))
        return True, _format_canceled(job_id)

    async def cancel_many(
        self, job_ids: Sequence[int], *, kill: bool = False
    ) -> list[tuple[bool, str]]:
        """Cancel jobs, with few commits for all that have not started; see ``cancel``.

        Return for each whether it will be canceled, and a message; jobs that do not exist are not
        an error.

        :raises CommitFailed: some of the cancel requests could not be made durable.
        """
        # First and all at once: the end of a running job would start one of these.
        unstarted = {
            job_id: self._store.jobs[job_id]
            for job_id in job_ids
            if job_id in self._live and job_id in self._store.jobs and job_id not in self._workers
        }
        if unstarted:
            await shield_from_cancellation(self._cancel_unstarted(list(unstarted.values())))
        answers = []
        for job_id in job_ids:
            if job_id in unstarted:
                answers.append((True, _format_canceled(job_id)))
            elif job_id in self._store.jobs:
                answers.append(await self.cancel(job_id, kill=kill))
            else:
                answers.append((False, str(job_not_found(job_id))))
        return answers

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Change the priority of opcodes that do not run yet; return whether there are any.

        :raises JobLost: the job does not exist.
        :raises Invalid: the priority is out of range.
        """
        if not -20 <= priority <= 19:
            raise Invalid(f"priority {priority} is not between -20 and 19")
        job = self.job(job_id)
        pending = job_id in self._live
        if pending and job_id not in self._workers:
            changed = job.with_priority(priority)
            await self.kept(self._store.save_job(changed, why="priority changed"))
            self._scheduler.reprioritize(job_id, priority)
        # A worker may have started the job during the commit.
        if (worker := self._workers.get(job_id)) is not None:
            pending = await self.kept(worker.change_priority(priority))
            if self._locks is not None:
                self._locks.reprioritize(worker.owner, priority)
        if not pending:
            return False, f"Job {job_id} has no opcodes left that wait to start"
        return (
            True,
            f"The priority of job {job_id} is now {priority} for opcodes that do not run yet",
        )

    def obey(self, rules: JobFilter | None) -> None:
        """Apply job filters to all jobs that have not started, now and from now on.

        A job that has started continues whatever the filters say, and counts towards the rate limit
        that would apply to it.
        """
        self._filter = rules
        # Those that the previous filters have rejected, and that have not been ended yet.
        undecided = [each.job_id for each in self._unschedulable if each.event is JobEvent.CANCEL]
        self._unschedulable = [
            each for each in self._unschedulable if each.event is not JobEvent.CANCEL
        ]
        for job_id in undecided:
            if job_id in self._live:
                self._enqueue(self._store.jobs[job_id])
        gates: dict[int, JobRateLimit] = {}
        for job_id in (*self._scheduler, *self._workers):
            job = self._store.jobs.get(job_id)  # a running job may have ended and been archived
            verdict = None if job is None else self._evaluate_filters(job)
            if isinstance(verdict, JobRateLimit):
                gates[job_id] = verdict
            elif verdict is not None and job_id not in self._workers:
                self._scheduler.remove(job_id)
                self._schedule_end([verdict])
        self._scheduler.set_rate_limits(gates, self._workers)
        self._schedule_pick()

    async def archive(self, job_id: int) -> bool:
        """Move an ended job to the archive; return False if it does not exist or has not ended.

        :raises CommitFailed: the job stays in the queue.
        """
        job = self._store.jobs.get(job_id)
        if job is None or not job.is_final:
            return False
        await shield_from_cancellation(self._archive_batch([job]))
        return True

    async def auto_archive(self, age: int, timeout: float) -> tuple[int, int]:
        """Archive jobs that ended more than ``age`` seconds ago; with -1, all ended jobs.

        Start no new batch after ``timeout`` seconds. Return how many jobs were archived and how
        many remain.

        :raises CommitFailed: some of the jobs stay in the queue.
        """
        now, began = self._store.now(), self._clock.seconds()
        old = [
            job
            for job in self.jobs()
            if job.is_final and (age < 0 or _seconds_since_end(job, now) > age)
        ]
        archived = 0
        while archived < len(old) and self._clock.seconds() - began <= timeout:
            batch = old[archived : archived + _ARCHIVE_BATCH_SIZE]
            await shield_from_cancellation(self._archive_batch(batch))
            archived += len(batch)
        return archived, len(old) - archived

    # Internal

    async def _accept(self, jobs: Sequence[Job], who: str) -> None:
        # Before they are durable, so that other requests cannot exceed the limit meanwhile.
        self._live.update(job.id for job in jobs)
        try:
            await self.kept(self._store.persist_new(jobs, who=who))
        except CommitFailed:
            self._live.difference_update(job.id for job in jobs)
            raise
        for job in jobs:
            self._enqueue(job)

    async def _cancel_unstarted(self, jobs: Sequence[Job]) -> None:
        """Cancel jobs without workers; if a commit fails, the others are scheduled as before."""
        # First, so that none of them starts during the commit.
        for job in jobs:
            self._scheduler.remove(job.id)
            self._live.discard(job.id)
        for first in range(0, len(jobs), _CANCEL_BATCH_SIZE):
            now = self._store.now()
            batch = jobs[first : first + _CANCEL_BATCH_SIZE]
            canceled = [job.after(JobEvent.CANCEL, now) for job in batch]
            try:
                await self.kept(self._store.persist_all(canceled, why=JobEvent.CANCEL.value))
            except CommitFailed:
                for job in jobs[first:]:
                    self._live.add(job.id)
                    self._enqueue(job)
                raise

    async def _archive_batch(self, jobs: Sequence[Job]) -> None:
        # Before they are deleted: a crash in between leaves two copies rather than none.
        await self._archive.save_jobs(jobs)
        await self.kept(self._store.delete_jobs(job.id for job in jobs))
        for job in jobs:
            self._watchers.job_changed(job.id)

    async def kept(self, keeping: Coroutine[Deferred[object], object, T]) -> T:
        """Await a commit; start journal recovery if it fails.

        :raises CommitFailed: the commit failed.
        """
        try:
            return await keeping
        except CommitFailed:
            self._recovery.report_failure()
            raise

    def _enqueue(self, job: Job) -> None:
        gate = None if self._filter is None else self._evaluate_filters(job)
        if isinstance(gate, Unschedulable):
            self._schedule_end([gate])
            return
        try:
            hopeless = self._scheduler.add_job(
                job.id, job.priority, dependencies(job), self._status_of, gate
            )
        except Invalid as e:
            hopeless = Unschedulable(job.id, f"unknown to this version: {e}")
        if hopeless is not None:
            self._schedule_end([hopeless])
        else:
            self._schedule_pick()

    def _evaluate_filters(self, job: Job) -> JobRateLimit | Unschedulable | None:
        """Return the filter action for a job; a started job is neither blocked nor canceled."""
        verdict = None if self._filter is None else self._filter(job)
        has_begun = job.start_timestamp is not None
        if isinstance(verdict, Reject):
            return None if has_begun else Unschedulable(job.id, verdict.why, JobEvent.CANCEL)
        return None if verdict is not None and has_begun and not verdict.room else verdict

    def _schedule_end(self, jobs: Iterable[Unschedulable]) -> None:
        # In a later turn, as one commit: other jobs may depend on these, and more jobs on those.
        self._unschedulable.extend(jobs)
        self._schedule_pick()

    async def _end_unschedulable(self) -> None:
        """End the jobs that can never start, in one commit."""
        # One of them may have been canceled since.
        hopeless = [each for each in self._unschedulable if each.job_id in self._live]
        self._unschedulable.clear()
        if not hopeless:
            return
        self._live.difference_update(each.job_id for each in hopeless)
        now = self._store.now()
        ended = [_end_without_run(self._store.jobs[each.job_id], each, now) for each in hopeless]
        try:
            await self.kept(self._store.persist_all(ended, why="cannot be scheduled"))
        except CommitFailed:
            self._live.update(each.job_id for each in hopeless)
            self._schedule_end(hopeless)

    def _status_of(self, job_id: int) -> JobStatus | None:
        job = self._store.jobs.get(job_id)
        return None if job is None else job.status

    def _on_job_stored(self, job: Job) -> None:
        self._watchers.job_changed(job.id)
        if job.is_final:
            self._live.discard(job.id)
            if not self.stopped:
                self._schedule_end(self._scheduler.ended(job.id, job.status))
                self._schedule_pick()

    def _schedule_pick(self) -> None:
        if self._picking is None and not self.stopped:
            # In a later turn: what is submitted and what ends in this one is considered together.
            self._picking = self._clock.callLater(0, self._pick)

    def _pick(self) -> None:
        self._picking = None
        if self._recovery.works:
            if self._unschedulable:
                Deferred.fromCoroutine(self._end_unschedulable()).addErrback(self._log_failure)
            begun = self._clock.seconds()
            # One by one: a job that is started may end at once, and changes what else may run.
            while picked := self._scheduler.pick(min(1, self._max_running() - len(self._workers))):
                self._start(self._store.jobs[picked[0]])
                if self._clock.seconds() - begun > MAX_PICK_SECONDS:
                    self._schedule_pick()
                    return

    def _start(self, job: Job) -> None:
        worker = self._workers[job.id] = Worker(
            job, store=self._store, mending=self._recovery, run=self._run, clock=self._clock
        )
        work = self._work[job.id] = Deferred.fromCoroutine(worker.work())
        work.addErrback(self._log_failure)
        work.addBoth(self._on_worker_ended, job.id)

    def _log_failure(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.failure("internal error in the job queue", failure)

    def _on_worker_ended(self, _: object, job_id: int) -> None:
        self._workers.pop(job_id, None)
        self._work.pop(job_id, None)
        self._scheduler.left(job_id)
        self._schedule_pick()

    def _check_not_drained(self, even_if_drained: bool) -> None:
        if self._store.drained and not even_if_drained:
            raise QueueDrained(
                "the job queue is drained; 'gnt-cluster queue undrain' opens it again"
            )

    def _count_free_slots(self) -> int:
        return MAX_LIVE - len(self._live)


def _format_canceled(job_id: int) -> str:
    return f"Job {job_id} has been canceled"


def _end_without_run(job: Job, hopeless: Unschedulable, now: float) -> Job:
    if hopeless.event is not JobEvent.CANCEL:
        return job.after(hopeless.event, now, to_wire(Failed(hopeless.why)))
    # Tools show the messages of a job, but results only of opcodes that have failed.
    explained = job.with_message(job.current or 0, now, "message", hopeless.why)
    return explained.after(JobEvent.CANCEL, now, hopeless.why)


def _seconds_since_end(job: Job, now: float) -> float:
    ended = job.end_timestamp or job.received_timestamp or (0, 0)
    return now - ended[0] - ended[1] / 1_000_000
