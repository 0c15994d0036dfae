# SPDX-License-Identifier: BSD-2-Clause
"""The durable state of all jobs, and the commits that change it.

Readers see durable states only. A status change writes the record of its job without messages;
messages are appended separately, so that a job with a long log is not rewritten for each message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
from twisted.logger import Logger

from ganeti.errors import CommitFailed
from ganeti.jobs.job import Job, JobStatus, LogEntry, decode, encode
from ganeti.jobs.shield import shield_from_cancellation
from ganeti.journal.interfaces import Append, Commit, Delete, Edit, IJournal, Put
from ganeti.schema.records import Record

JOB = "job"
LOG = "job-log"
QUEUE = "queue"
SERIAL = "serial"
DRAINED = "drained"
KINDS = (JOB, LOG, QUEUE)
"""The kinds of records in the journal."""

Keep: TypeAlias = Callable[[Sequence[Edit]], Awaitable[object]]
"""A commit of the caller, to which edits of jobs are added; if it raises, none are durable."""


class JobMessage(Record):
    """A message as it is appended to the journal; ``index`` is that of the opcode."""

    index: int
    entry: LogEntry


@dataclass
class UnwrittenJobs:
    """The changes that are not yet written to the queue's files."""

    jobs: dict[int, Job] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)


class JobStore:
    """The durable jobs, the last job id, and whether the queue is drained."""

    _log = Logger()

    def __init__(self, journal: IJournal, now: Callable[[], float]) -> None:
        self._journal = journal
        self.now = now
        self._jobs: dict[int, Job] = {}
        self._appended_serials: dict[int, int] = {}
        self._serial = 0
        self._drained = False
        self._changed = UnwrittenJobs()
        self._observers: list[Callable[[Job], None]] = []
        self.statuses: Counter[JobStatus] = Counter()
        """The number of jobs per status."""

    @property
    def jobs(self) -> Mapping[int, Job]:
        """Every job that is not archived, in its durable state."""
        return self._jobs

    @property
    def drained(self) -> bool:
        """Whether new jobs are refused."""
        return self._drained

    @property
    def serial(self) -> int:
        """The last job id that was assigned."""
        return self._serial

    def serial_edit(self) -> Edit:
        """Return the edit that records the assigned job ids, including those of refused jobs."""
        return Put(kind=QUEUE, key=SERIAL, value=_encode(self._serial))

    def observe(self, observer: Callable[[Job], None]) -> None:
        """Call ``observer`` with each job after a new state of it has become durable."""
        self._observers.append(observer)

    def new_ids(self, count: int) -> range:
        """Return job ids that were never assigned."""
        first = self._serial + 1
        self._serial += count
        return range(first, first + count)

    async def save_job(self, job: Job, *, why: str, through: Keep | None = None) -> None:
        """Make the new state and messages of ``job`` durable; then publish it to readers.

        ``through`` commits the edits along with others. If the caller is cancelled, the commit
        continues.

        :raises CommitFailed: readers still see the old state.
        """
        await shield_from_cancellation(self._persist([job], why, self._edits(job), through))

    async def persist_new(self, jobs: Sequence[Job], *, who: str) -> None:
        """Make new jobs durable in one commit, together with the last assigned id.

        :raises CommitFailed: none of the jobs exist.
        """
        edits = [edit for job in jobs for edit in self._edits(job)]
        edits.append(self.serial_edit())
        await shield_from_cancellation(self._persist(jobs, "submitted", edits, None, who))

    async def persist_all(self, jobs: Sequence[Job], *, why: str) -> None:
        """Make the new states of several jobs durable in one commit.

        :raises CommitFailed: readers still see the old states.
        """
        edits = [edit for job in jobs for edit in self._edits(job)]
        await shield_from_cancellation(self._persist(jobs, why, edits, None))

    async def persist_messages(self, job: Job) -> None:
        """Make new messages of ``job`` durable, and no other change of it.

        :raises CommitFailed: readers do not see the messages; the next commit includes them.
        """
        if job.id in self._jobs and (edits := self._messages(job)):
            await shield_from_cancellation(self._persist_messages(job, edits))

    async def delete_jobs(self, job_ids: Iterable[int]) -> None:
        """Delete jobs, durably; the caller has archived them.

        :raises CommitFailed: all of them still exist.
        """
        await shield_from_cancellation(self._delete(tuple(job_ids)))

    async def set_drained(self, drained: bool) -> None:
        """Drain or undrain the queue, durably."""
        if drained != self._drained:
            await shield_from_cancellation(self._set_drained(drained))

    def pop_changes(self) -> UnwrittenJobs:
        """Return and reset the changes that are not yet written to the queue's files."""
        changed, self._changed = self._changed, UnwrittenJobs()
        return changed

    def restore_unwritten(self, changed: UnwrittenJobs) -> None:
        """Merge back changes that could not be written."""
        newer = self._changed
        self._changed = UnwrittenJobs(
            {**{n: job for n, job in changed.jobs.items() if n not in newer.gone}, **newer.jobs},
            changed.gone | newer.gone,
        )

    def load(self, jobs: Iterable[Job], serial: int, drained: bool) -> None:
        """Set the state that was read from the queue's files."""
        self._jobs = {job.id: job for job in jobs}
        self.statuses = Counter(job.status for job in self._jobs.values())
        # The files may be of different moments, and no id may be assigned twice.
        self._serial = max((serial, *self._jobs))
        self._drained = drained

    def replay(self, edit: Edit) -> None:
        """Apply an edit of the journal; ignore edits of other kinds."""
        match edit:
            case Put(kind="job"):
                job = decode(edit.value)
                old = self._jobs.get(job.id)
                self._set_job(job if old is None else job.with_logs_of(old))
                self._serial = max(self._serial, job.id)
            case Append(kind="job-log"):
                if (old := self._jobs.get(int(edit.key))) is not None:
                    message = _message.decode(edit.value)
                    self._set_job(old.with_log_entry(message.index, message.entry))
            case Delete(kind="job"):
                self._forget(int(edit.key))
            case Put(kind="queue", key="serial"):
                # The checkpoint may have a higher number already.
                self._serial = max(self._serial, msgspec.json.decode(edit.value, type=int))
            case Put(kind="queue", key="drained"):
                self._drained = msgspec.json.decode(edit.value, type=bool)

    async def _persist(
        self,
        jobs: Sequence[Job],
        why: str,
        edits: Sequence[Edit],
        through: Keep | None,
        who: str = "queue",
    ) -> None:
        for job in jobs:
            # Before the commit: messages that are added meanwhile belong to the next one.
            self._appended_serials[job.id] = job.log_serial
        try:
            if through is not None:
                await through(edits)
            else:
                job_id = jobs[0].id if len(jobs) == 1 else None
                await self._commit(who, why, job_id, edits)
        except BaseException:
            for job in jobs:
                self._reset_appended(job.id)
            raise
        for job in jobs:
            self._publish(job)

    async def _persist_messages(self, job: Job, edits: Sequence[Edit]) -> None:
        self._appended_serials[job.id] = job.log_serial
        try:
            await self._commit("queue", "messages", job.id, edits)
        except CommitFailed:
            self._reset_appended(job.id)
            raise
        # The stored state with the new messages, as other changes of ``job`` are not durable yet.
        if (stored := self._jobs.get(job.id)) is not None:
            self._publish(stored.with_logs_of(job))

    async def _delete(self, job_ids: Sequence[int]) -> None:
        edits = [Delete(kind=JOB, key=str(job_id)) for job_id in job_ids]
        await self._commit("queue", "archived", None, edits)
        for job_id in job_ids:
            self._forget(job_id)

    async def _set_drained(self, drained: bool) -> None:
        edit = Put(kind=QUEUE, key=DRAINED, value=_encode(drained))
        await self._commit("queue", "drained" if drained else "undrained", None, [edit])
        self._drained = drained

    async def _commit(self, who: str, why: str, job: int | None, edits: Sequence[Edit]) -> None:
        commit = Commit(at=self.now(), who=who, why=why, job=job, edits=tuple(edits))
        await self._journal.append(commit)

    def _edits(self, job: Job) -> list[Edit]:
        record = msgspec.Raw(encode(job.without_logs()))
        return [Put(kind=JOB, key=str(job.id), value=record), *self._messages(job)]

    def _messages(self, job: Job) -> list[Edit]:
        appended = self._appended_serials.get(job.id)
        if appended is None:
            stored = self._jobs.get(job.id)
            appended = stored.log_serial if stored is not None else 0
        return [
            Append(kind=LOG, key=str(job.id), value=_encode(JobMessage(index=index, entry=entry)))
            for index, op in enumerate(job.ops)
            if op.log and op.log[-1][0] > appended
            for entry in op.log
            if entry[0] > appended
        ]

    def _publish(self, job: Job) -> None:
        self._set_job(job)
        if job.is_final:
            self._appended_serials.pop(job.id, None)
        for observer in self._observers:
            try:
                observer(job)
            except Exception:
                # The job is durable whatever an observer does.
                self._log.failure("an observer failed for job {job}", job=job.id)

    def _set_job(self, job: Job) -> None:
        if (old := self._jobs.get(job.id)) is not None:
            self.statuses[old.status] -= 1
        self.statuses[job.status] += 1
        self._jobs[job.id] = job
        self._changed.jobs[job.id] = job
        self._changed.gone.discard(job.id)

    def _forget(self, job_id: int) -> None:
        if (job := self._jobs.pop(job_id, None)) is not None:
            self.statuses[job.status] -= 1
            self._changed.jobs.pop(job_id, None)
            self._changed.gone.add(job_id)

    def _reset_appended(self, job_id: int) -> None:
        # Messages that were appended after a failed commit are not durable either.
        self._appended_serials.pop(job_id, None)


_encoder = msgspec.json.Encoder()
_message = msgspec.json.Decoder(JobMessage)


def _encode(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(value))
