# SPDX-License-Identifier: BSD-2-Clause
"""The job queue: takes jobs, starts them in order, and answers for them until they are archived."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Failed, Invalid, JobLost, NotKept, QueueDrained, QueueFull, to_wire
from ganeti.jobs.change_notification import ChangeNotifier
from ganeti.jobs.filter_actions import JobFilter, JobRateLimit, Reject
from ganeti.jobs.job import Job, JobEvent, JobStatus, LogEntry
from ganeti.jobs.journal_recovery import JournalRecovery
from ganeti.jobs.restart_recovery import recovered
from ganeti.jobs.runner import Runner
from ganeti.jobs.scheduler import Scheduler, Unschedulable, dependencies
from ganeti.jobs.shield import shielded
from ganeti.jobs.store import JobStore
from ganeti.jobs.submission import new_job, new_jobs
from ganeti.jobs.worker import Worker
from ganeti.journal.interfaces import IJournal
from ganeti.opcodes.opcode import Opcode

T = TypeVar("T")

MAX_LIVE = 5000
"""Jobs that have not ended, at most."""

_ARCHIVED_AT_ONCE = 200


class IJobArchive(Protocol):
    """Where jobs go that nobody waits for any more."""

    async def keep(self, jobs: Sequence[Job]) -> None:
        """Keep ``jobs``; they are durable when this returns.

        :raises NotKept: some of them may not be there.
        """

    def find(self, job_id: int) -> Job | None:
        """An archived job."""
        ...


class LockPriorities(Protocol):
    """Where jobs wait for locks."""

    def reprioritize(self, owner: str, priority: int) -> None: ...


class Queue:
    """All jobs that are not archived.

    ``max_running`` is asked before each pick for how many jobs may be under way at once, those
    that wait for locks included.
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
        self._mending = JournalRecovery(journal, clock, self._pick_soon)
        self._watchers = ChangeNotifier(store.jobs, clock)
        self._scheduler = Scheduler()
        self._workers: dict[int, Worker] = {}
        self._work: dict[int, Deferred[None]] = {}
        self._live: set[int] = set()
        self._hopeless: list[Unschedulable] = []
        self._rules: JobFilter | None = None
        self._picking: IDelayedCall | None = None
        self._stopped = True
        store.observe(self._published)

    # Starting and stopping

    async def start(self) -> None:
        """Settle what a restart interrupted, then begin to run jobs.

        :raises NotKept: the journal does not work; nothing runs.
        """
        settled = recovered(self._store.jobs.values(), self._store.now())
        if settled:
            await self._store.keep_all(settled, why=JobEvent.RESTARTED.value)
        self._stopped = False
        for job in self.jobs():
            if not job.is_final:
                self._live.add(job.id)
                self._enqueue(job)

    async def stop(self) -> None:
        """Start nothing more, interrupt what runs, and return when all of it has let go."""
        self._stopped = True
        if self._picking is not None:
            self._picking.cancel()
            self._picking = None
        self._mending.stop()
        for worker in tuple(self._workers.values()):
            worker.stop()
        for work in tuple(self._work.values()):
            await work

    # Asking

    def job(self, job_id: int) -> Job:
        """A job that is not archived, as it is on disk.

        :raises JobLost: there is no such job.
        """
        job = self._store.jobs.get(job_id)
        if job is None:
            raise JobLost(f"Job {job_id} not found")
        return job

    def find(self, job_id: int) -> Job | None:
        """A job that is not archived; None if there is no such job."""
        return self._store.jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """Every job that is not archived, oldest first."""
        jobs = self._store.jobs
        return [jobs[job_id] for job_id in sorted(jobs)]

    def archived(self, job_id: int) -> Job | None:
        """A job of the archive."""
        return self._archive.find(job_id)

    @property
    def drained(self) -> bool:
        """Whether the queue takes no jobs."""
        return self._store.drained

    async def wait_for_change(
        self,
        job_id: int,
        snapshot: Callable[[Job], T],
        previous: T | None,
        log_serial: int | None,
        timeout: float,
    ) -> tuple[T, Sequence[LogEntry]] | None:
        """Wait until a job looks different; see ``ChangeNotifier.wait_for_change``."""
        return await self._watchers.wait_for_change(job_id, snapshot, previous, log_serial, timeout)

    # Submitting

    async def submit(
        self, opcodes: Sequence[Opcode], *, who: str = "client", even_if_drained: bool = False
    ) -> int:
        """Take a job; it is durable when this answers with its id.

        Negative job ids in dependencies count back within the request, so here they are refused.

        :raises QueueDrained: an administrator has closed the queue.
        :raises QueueFull: too many jobs have not ended yet.
        :raises Invalid: no opcodes, or impossible dependencies.
        :raises NotKept: it could not be made durable.
        """
        self._refuse_if_closed(even_if_drained)
        if self._room() < 1:
            raise QueueFull(f"{MAX_LIVE} jobs have not ended yet; wait for some of them")
        job_id = self._store.new_ids(1)[0]
        job = new_job(job_id, opcodes, self._store.now())
        await shielded(self._take([job], who))
        return job_id

    async def submit_many(
        self, requests: Sequence[Sequence[Opcode]], *, who: str = "client"
    ) -> list[tuple[bool, int | str]]:
        """Take several jobs in one commit; answers for each with its id, or why it was refused.

        Negative job ids in dependencies count back within ``requests``.

        :raises QueueDrained: an administrator has closed the queue.
        :raises NotKept: none of them could be made durable.
        """
        self._refuse_if_closed(False)
        ids = self._store.new_ids(len(requests))
        jobs, answers = new_jobs(requests, ids, self._store.now(), self._room())
        if jobs:
            await shielded(self._take(jobs, who))
        return answers

    async def set_drained(self, drained: bool) -> None:
        """Close the queue for new jobs, or open it; durable when this returns."""
        await self._store.set_drained(drained)

    # Changing

    async def cancel(self, job_id: int, *, kill: bool = False) -> tuple[bool, str]:
        """Cancel a job in whatever state it is; answers with whether it will, and what happens.

        A job that has done nothing yet is canceled, durably, when this returns; one that runs
        stops at its next step that can be undone, or with ``kill`` where it is.

        :raises JobLost: there is no such job.
        :raises NotKept: it is not durable that the job is to be canceled.
        """
        job = self.job(job_id)
        if (worker := self._workers.get(job_id)) is not None:
            return await self.kept(worker.cancel(kill=kill))
        if job_id not in self._live:
            ended = f"has ended in {job.status.value}" if job.is_final else "is about to end"
            return False, f"Job {job_id} {ended}"
        await shielded(self._cancel_unstarted(job))
        return True, f"Job {job_id} has been canceled"

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Change the priority of what has not begun; answers with whether there was any.

        :raises JobLost: there is no such job.
        :raises Invalid: there is no such priority.
        """
        if not -20 <= priority <= 19:
            raise Invalid(f"priority {priority} is not between -20 and 19")
        job = self.job(job_id)
        pending = job_id in self._live
        if pending and job_id not in self._workers:
            changed = job.with_priority(priority)
            await self.kept(self._store.keep(changed, why="priority changed"))
            self._scheduler.reprioritize(job_id, priority)
        # A worker may have taken it while that was under way.
        if (worker := self._workers.get(job_id)) is not None:
            pending = await self.kept(worker.change_priority(priority))
            if self._locks is not None:
                self._locks.reprioritize(worker.owner, priority)
        if not pending:
            return False, f"Job {job_id} has nothing left that waits for its turn"
        return True, f"The priority of job {job_id} is {priority} for what has not begun"

    def obey(self, rules: JobFilter | None) -> None:
        """Let rules say which jobs begin, of those that have not and of all that follow.

        A job that has begun goes on, whatever they say of it, and counts at the gate that it
        would wait at.
        """
        self._rules = rules
        undecided = [each.job_id for each in self._hopeless if each.event is JobEvent.CANCEL]
        self._hopeless = [each for each in self._hopeless if each.event is not JobEvent.CANCEL]
        for job_id in undecided:
            if job_id in self._live:
                self._enqueue(self._store.jobs[job_id])
        gates: dict[int, JobRateLimit] = {}
        for job_id in (*self._scheduler, *self._workers):
            job = self._store.jobs.get(job_id)  # what runs may have ended, and be archived
            verdict = None if job is None else self._verdict(job)
            if isinstance(verdict, JobRateLimit):
                gates[job_id] = verdict
            elif verdict is not None and job_id not in self._workers:
                self._scheduler.remove(job_id)
                self._give_up([verdict])
        self._scheduler.regate(gates, self._workers)
        self._pick_soon()

    async def archive(self, job_id: int) -> bool:
        """Move a job that has ended to the archive; False if there is none or it has not ended.

        :raises NotKept: it stays where it is.
        """
        job = self._store.jobs.get(job_id)
        if job is None or not job.is_final:
            return False
        await shielded(self._put_away([job]))
        return True

    async def auto_archive(self, age: int, timeout: float) -> tuple[int, int]:
        """Archive what ended more than ``age`` seconds ago; with -1, whatever has ended.

        Begins nothing new after ``timeout`` seconds. Answers with how many were archived and how
        many were left for the next time.

        :raises NotKept: some of them stay where they are.
        """
        now, began = self._store.now(), self._clock.seconds()
        old = [job for job in self.jobs() if job.is_final and (age < 0 or _age(job, now) > age)]
        archived = 0
        while archived < len(old) and self._clock.seconds() - began <= timeout:
            batch = old[archived : archived + _ARCHIVED_AT_ONCE]
            await shielded(self._put_away(batch))
            archived += len(batch)
        return archived, len(old) - archived

    # Inside

    async def _take(self, jobs: Sequence[Job], who: str) -> None:
        self._live.update(job.id for job in jobs)
        try:
            await self.kept(self._store.keep_new(jobs, who=who))
        except NotKept:
            self._live.difference_update(job.id for job in jobs)
            raise
        for job in jobs:
            self._enqueue(job)

    async def _cancel_unstarted(self, job: Job) -> None:
        """Cancel a job that no worker has; if that cannot be kept, it has its turn as before."""
        self._scheduler.remove(job.id)
        self._live.discard(job.id)
        canceled = job.after(JobEvent.CANCEL, self._store.now())
        try:
            await self.kept(self._store.keep(canceled, why=JobEvent.CANCEL.value))
        except NotKept:
            self._live.add(job.id)
            self._enqueue(job)
            raise

    async def _put_away(self, jobs: Sequence[Job]) -> None:
        await self._archive.keep(jobs)
        await self.kept(self._store.drop(job.id for job in jobs))
        for job in jobs:
            self._watchers.changed(job.id)

    async def kept(self, keeping: Coroutine[Any, Any, T]) -> T:
        """Await a commit; if it fails, see to it that the journal works again.

        :raises NotKept: it has failed.
        """
        try:
            return await keeping
        except NotKept:
            self._mending.broke()
            raise

    def _enqueue(self, job: Job) -> None:
        gate = None if self._rules is None else self._verdict(job)
        if isinstance(gate, Unschedulable):
            self._give_up([gate])
            return
        try:
            hopeless = self._scheduler.add(
                job.id, job.priority, dependencies(job), self._status_of, gate
            )
        except Invalid as e:
            hopeless = Unschedulable(job.id, f"this version does not understand it: {e}")
        if hopeless is not None:
            self._give_up([hopeless])
        else:
            self._pick_soon()

    def _verdict(self, job: Job) -> JobRateLimit | Unschedulable | None:
        """What the rules say of a job; one that has begun is neither stopped nor canceled."""
        verdict = None if self._rules is None else self._rules(job)
        has_begun = job.start_timestamp is not None
        if isinstance(verdict, Reject):
            return None if has_begun else Unschedulable(job.id, verdict.why, JobEvent.CANCEL)
        return None if verdict is not None and has_begun and not verdict.room else verdict

    def _give_up(self, jobs: Iterable[Unschedulable]) -> None:
        # In a later turn, all together: others may depend on these, and again others on those.
        self._hopeless.extend(jobs)
        self._pick_soon()

    async def _end_hopeless(self) -> None:
        """End in one commit the jobs that can never start."""
        hopeless = [each for each in self._hopeless if each.job_id in self._live]
        self._hopeless.clear()
        if not hopeless:
            return
        self._live.difference_update(each.job_id for each in hopeless)
        now = self._store.now()
        ended = [_ended(self._store.jobs[each.job_id], each, now) for each in hopeless]
        try:
            await self.kept(self._store.keep_all(ended, why="it can never begin"))
        except NotKept:
            self._live.update(each.job_id for each in hopeless)
            self._give_up(hopeless)

    def _status_of(self, job_id: int) -> JobStatus | None:
        job = self._store.jobs.get(job_id)
        return None if job is None else job.status

    def _published(self, job: Job) -> None:
        self._watchers.changed(job.id)
        if job.is_final:
            self._live.discard(job.id)
            if not self._stopped:
                self._give_up(self._scheduler.ended(job.id, job.status))
                self._pick_soon()

    def _pick_soon(self) -> None:
        if self._picking is None and not self._stopped:
            self._picking = self._clock.callLater(0, self._pick)

    def _pick(self) -> None:
        self._picking = None
        if self._mending.works:
            if self._hopeless:
                Deferred.fromCoroutine(self._end_hopeless()).addErrback(self._interrupted)
            for job_id in self._scheduler.pick(self._max_running() - len(self._workers)):
                self._start(self._store.jobs[job_id])

    def _start(self, job: Job) -> None:
        worker = self._workers[job.id] = Worker(
            job, store=self._store, mending=self._mending, run=self._run, clock=self._clock
        )
        work = self._work[job.id] = Deferred.fromCoroutine(worker.work())
        work.addErrback(self._interrupted)
        work.addBoth(self._worker_ended, job.id)

    def _interrupted(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.failure("the job queue broke", failure)

    def _worker_ended(self, _: object, job_id: int) -> None:
        self._workers.pop(job_id, None)
        self._work.pop(job_id, None)
        self._scheduler.left(job_id)
        self._pick_soon()

    def _refuse_if_closed(self, even_if_drained: bool) -> None:
        if self._store.drained and not even_if_drained:
            raise QueueDrained(
                "the job queue is closed; 'gnt-cluster queue undrain' opens it again"
            )

    def _room(self) -> int:
        return MAX_LIVE - len(self._live)


def _ended(job: Job, hopeless: Unschedulable, now: float) -> Job:
    if hopeless.event is not JobEvent.CANCEL:
        return job.after(hopeless.event, now, to_wire(Failed(hopeless.why)))
    # Tools show what jobs say, and of the results only those of opcodes that have failed.
    said = job.saying(job.current or 0, now, "message", hopeless.why)
    return said.after(JobEvent.CANCEL, now, hopeless.why)


def _age(job: Job, now: float) -> float:
    ended = job.end_timestamp or job.received_timestamp or (0, 0)
    return now - ended[0] - ended[1] / 1_000_000
