# SPDX-License-Identifier: BSD-2-Clause
"""All jobs as they are on disk, and the commits that change them.

Readers see what is durable. A move puts the record of its job without its messages; messages are
appended, so that a job that says much is not written again for each word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
from twisted.logger import Logger

from ganeti.errors import NotKept
from ganeti.jobs.job import Job, JobStatus, LogEntry, decode, encode
from ganeti.jobs.shield import shielded
from ganeti.journal.interfaces import Append, Commit, Delete, Edit, IJournal, Put
from ganeti.schema.records import Record

JOB = "job"
LOG = "job-log"
QUEUE = "queue"
SERIAL = "serial"
DRAINED = "drained"

Keep: TypeAlias = Callable[[Sequence[Edit]], Awaitable[object]]
"""Somebody else's commit, to which edits of jobs are added; what it raises, it did not keep."""


class JobMessage(Record):
    """A message as it is appended: which opcode of the job said it."""

    index: int
    entry: LogEntry


@dataclass
class JobChange:
    """What the queue's files do not have yet."""

    jobs: dict[int, Job] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)


class JobStore:
    """The durable jobs, the last job id, and whether the queue is closed."""

    _log = Logger()

    def __init__(self, journal: IJournal, now: Callable[[], float]) -> None:
        self._journal = journal
        self.now = now
        self._jobs: dict[int, Job] = {}
        self._said: dict[int, int] = {}
        self._serial = 0
        self._drained = False
        self._changed = JobChange()
        self._observers: list[Callable[[Job], None]] = []
        self.statuses: Counter[JobStatus] = Counter()
        """How many jobs have each status."""

    @property
    def jobs(self) -> Mapping[int, Job]:
        """Every job that is not archived, as it is on disk."""
        return self._jobs

    @property
    def drained(self) -> bool:
        """Whether the queue takes no jobs."""
        return self._drained

    @property
    def serial(self) -> int:
        """The last job id that was given out."""
        return self._serial

    def serial_kept(self) -> Edit:
        """The edit that makes durable which ids were given out, refused jobs included."""
        return Put(kind=QUEUE, key=SERIAL, value=_json(self._serial))

    def observe(self, observer: Callable[[Job], None]) -> None:
        """Call ``observer`` with each job that has become durable in a new state."""
        self._observers.append(observer)

    def new_ids(self, count: int) -> range:
        """Job ids that were never given out."""
        first = self._serial + 1
        self._serial += count
        return range(first, first + count)

    async def keep(self, job: Job, *, why: str, through: Keep | None = None) -> None:
        """Make the new state of ``job`` durable, and what it said; then readers see it.

        ``through`` commits the edits along with others. Whoever waits may be cancelled; the
        commit goes on.

        :raises NotKept: readers still see the old state.
        """
        await shielded(self._keep([job], why, self._edits(job), through))

    async def keep_new(self, jobs: Sequence[Job], *, who: str) -> None:
        """Make new jobs durable in one commit, with the last id that was given out.

        :raises NotKept: there are no such jobs.
        """
        edits = [edit for job in jobs for edit in self._edits(job)]
        edits.append(self.serial_kept())
        await shielded(self._keep(jobs, "submitted", edits, None, who))

    async def keep_all(self, jobs: Sequence[Job], *, why: str) -> None:
        """Make the new states of several jobs durable in one commit.

        :raises NotKept: readers still see the old states.
        """
        edits = [edit for job in jobs for edit in self._edits(job)]
        await shielded(self._keep(jobs, why, edits, None))

    async def keep_messages(self, job: Job) -> None:
        """Make durable what ``job`` has said, and nothing else about it.

        :raises NotKept: readers do not see the messages yet; the next commit tries again.
        """
        if job.id in self._jobs and (edits := self._messages(job)):
            await shielded(self._keep_messages(job, edits))

    async def drop(self, job_ids: Iterable[int]) -> None:
        """Forget jobs, durably; whoever needs them has them elsewhere.

        :raises NotKept: all of them are still there.
        """
        await shielded(self._drop(tuple(job_ids)))

    async def set_drained(self, drained: bool) -> None:
        """Close the queue or open it, durably."""
        if drained != self._drained:
            await shielded(self._set_drained(drained))

    def take_changed(self) -> JobChange:
        """What changed since the last call, for those who write the queue's files."""
        changed, self._changed = self._changed, JobChange()
        return changed

    def give_back(self, changed: JobChange) -> None:
        """Take back what could not be written after all."""
        newer = self._changed
        self._changed = JobChange(
            {**{n: job for n, job in changed.jobs.items() if n not in newer.gone}, **newer.jobs},
            changed.gone | newer.gone,
        )

    def load(self, jobs: Iterable[Job], serial: int, drained: bool) -> None:
        """Begin with what the queue's files hold."""
        self._jobs = {job.id: job for job in jobs}
        self.statuses = Counter(job.status for job in self._jobs.values())
        self._serial = max((serial, *self._jobs))
        self._drained = drained

    def replay(self, edit: Edit) -> None:
        """Repeat an edit of the journal; edits of other kinds are passed over."""
        match edit:
            case Put(kind="job"):
                job = decode(edit.value)
                old = self._jobs.get(job.id)
                self._settle(job if old is None else job.with_logs_of(old))
                self._serial = max(self._serial, job.id)
            case Append(kind="job-log"):
                if (old := self._jobs.get(int(edit.key))) is not None:
                    message = _message.decode(edit.value)
                    self._settle(old.with_entry(message.index, message.entry))
            case Delete(kind="job"):
                self._forget(int(edit.key))
            case Put(kind="queue", key="serial"):
                self._serial = max(self._serial, msgspec.json.decode(edit.value, type=int))
            case Put(kind="queue", key="drained"):
                self._drained = msgspec.json.decode(edit.value, type=bool)

    async def _keep(
        self,
        jobs: Sequence[Job],
        why: str,
        edits: Sequence[Edit],
        through: Keep | None,
        who: str = "queue",
    ) -> None:
        for job in jobs:
            self._said[job.id] = job.log_serial
        try:
            if through is not None:
                await through(edits)
            else:
                job_id = jobs[0].id if len(jobs) == 1 else None
                await self._commit(who, why, job_id, edits)
        except BaseException:
            for job in jobs:
                self._unsay(job.id)
            raise
        for job in jobs:
            self._publish(job)

    async def _keep_messages(self, job: Job, edits: Sequence[Edit]) -> None:
        self._said[job.id] = job.log_serial
        try:
            await self._commit("queue", "messages", job.id, edits)
        except NotKept:
            self._unsay(job.id)
            raise
        if (kept := self._jobs.get(job.id)) is not None:
            self._publish(kept.with_logs_of(job))

    async def _drop(self, job_ids: Sequence[int]) -> None:
        edits = [Delete(kind=JOB, key=str(job_id)) for job_id in job_ids]
        await self._commit("queue", "archived", None, edits)
        for job_id in job_ids:
            self._forget(job_id)

    async def _set_drained(self, drained: bool) -> None:
        edit = Put(kind=QUEUE, key=DRAINED, value=_json(drained))
        await self._commit("queue", "closed" if drained else "opened", None, [edit])
        self._drained = drained

    async def _commit(self, who: str, why: str, job: int | None, edits: Sequence[Edit]) -> None:
        commit = Commit(at=self.now(), who=who, why=why, job=job, edits=tuple(edits))
        await self._journal.append(commit)

    def _edits(self, job: Job) -> list[Edit]:
        record = msgspec.Raw(encode(job.without_logs()))
        return [Put(kind=JOB, key=str(job.id), value=record), *self._messages(job)]

    def _messages(self, job: Job) -> list[Edit]:
        said = self._said.get(job.id)
        if said is None:
            kept = self._jobs.get(job.id)
            said = kept.log_serial if kept is not None else 0
        return [
            Append(kind=LOG, key=str(job.id), value=_json(JobMessage(index=index, entry=entry)))
            for index, op in enumerate(job.ops)
            if op.log and op.log[-1][0] > said
            for entry in op.log
            if entry[0] > said
        ]

    def _publish(self, job: Job) -> None:
        self._settle(job)
        if job.is_final:
            self._said.pop(job.id, None)
        for observer in self._observers:
            try:
                observer(job)
            except Exception:
                # The job is durable, whatever one of those who look at it makes of that.
                self._log.failure("an observer of job {job} broke", job=job.id)

    def _settle(self, job: Job) -> None:
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

    def _unsay(self, job_id: int) -> None:
        # Whatever was appended after a commit that was not kept was not kept either.
        self._said.pop(job_id, None)


_encoder = msgspec.json.Encoder()
_message = msgspec.json.Decoder(JobMessage)


def _json(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(value))
