# SPDX-License-Identifier: BSD-2-Clause
"""Read-only jobs that identical requests share.

The remote API answers some requests by a job. Clients repeat them often, and each time would store
a new job; therefore a recent job with the same opcodes is reused, and ended ones are archived
early.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from twisted.internet.defer import DeferredLock

from ganeti.errors import Invalid, QueueFull
from ganeti.jobs.job import Job, JobStatus
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.queue import Queue
from ganeti.opcodes.instance.lifecycle import DescribeInstances
from ganeti.opcodes.node import ListStorage
from ganeti.opcodes.opcode import Opcode, op_id
from ganeti.opcodes.writing import to_storage

SHARED: tuple[type[Opcode], ...] = (DescribeInstances, ListStorage)
"""Opcodes that change nothing, so that jobs with them can be shared."""

MAX_RESULT_AGE = 2.0
"""Maximum age in seconds of a result that is reused; node status may have changed since."""

MAX_LIVE = 1000
"""Maximum number of shared jobs in the queue that have not ended."""

MAX_ENDED_SHARED_JOBS = 1000
"""Maximum number of ended shared jobs in the queue; older ones are archived, still readable."""

MAX_KEYS = 2000
"""Maximum number of distinct requests that are remembered."""


@dataclass
class _SharedJob:
    """A distinct request, and its last job."""

    turn: DeferredLock = field(default_factory=DeferredLock)
    job_id: int | None = None
    changes: int = 0
    """The number of changes counted before the job was submitted."""


class SharedJobs:
    """Submits read-only jobs and reuses them."""

    def __init__(
        self,
        queue: Queue,
        jobs: JobStore,
        *,
        max_live: int = MAX_LIVE,
        max_ended: int = MAX_ENDED_SHARED_JOBS,
    ) -> None:
        self._queue = queue
        self._max_live = max_live
        self._max_ended = max_ended
        self._now: Callable[[], float] = jobs.now
        self._known: OrderedDict[bytes, _SharedJob] = OrderedDict()
        self._changes = 0
        self._live: set[int] = set()
        self._ended: deque[int] = deque()
        jobs.observe(self._on_job_stored)

    def config_changed(self) -> None:
        """Note a configuration change, which jobs that have started do not reflect."""
        self._changes += 1

    async def submit(self, ops: Sequence[Opcode]) -> int:
        """Return the id of a job for a read-only request; submit a new job if necessary.

        A job is shared until it starts. After that it is shared if nothing has changed since its
        submission: a client that waited for the end of another job must see the changes of that
        job.

        :raises Invalid: an opcode is not read-only.
        :raises QueueFull: too many shared jobs have not ended.
        :raises QueueDrained: an administrator has drained the queue.
        :raises CommitFailed: the job could not be made durable.
        """
        shared = self._get_entry(_make_key(ops))
        await shared.turn.acquire()
        try:
            if shared.job_id is None or not self._is_current(shared, shared.job_id):
                # Before the submission: the result may lack a change in between.
                changes = self._changes
                shared.job_id = await self._submit(ops)
                shared.changes = changes
            return shared.job_id
        finally:
            shared.turn.release()

    def _get_entry(self, key: bytes) -> _SharedJob:
        shared = self._known.setdefault(key, _SharedJob())
        self._known.move_to_end(key)
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
        return shared

    async def _submit(self, ops: Sequence[Opcode]) -> int:
        if len(self._live) >= self._max_live:
            raise QueueFull(f"{self._max_live} read-only jobs have not ended; try again later")
        while len(self._ended) > self._max_ended:
            await self._queue.archive(self._ended.popleft())
        job_id = await self._queue.submit(ops)
        job = self._queue.find_job(job_id)
        if job is not None and not job.is_final:
            self._live.add(job_id)
        else:
            self._ended.append(job_id)
        return job_id

    def _is_current(self, shared: _SharedJob, job_id: int) -> bool:
        """Return whether the result of the job is the one that a new job would have."""
        job = self._queue.find_job(job_id)
        if job is None:
            return False
        if job.status is JobStatus.QUEUED:
            return True
        if shared.changes != self._changes:
            return False
        if not job.is_final:
            return job.status is not JobStatus.CANCELING
        seconds, micros = job.end_timestamp or (0, 0)
        age = self._now() - seconds - micros / 1_000_000
        # The age is negative if the clock was set back.
        return job.status is JobStatus.SUCCESS and 0 <= age <= MAX_RESULT_AGE

    def _on_job_stored(self, job: Job) -> None:
        if not job.is_final:
            return
        if job.id in self._live:
            self._live.discard(job.id)
            self._ended.append(job.id)
        elif not _is_read_only(job):
            self._changes += 1


def _is_read_only(job: Job) -> bool:
    try:
        return all(isinstance(op.opcode, SHARED) for op in job.ops)
    except Invalid:  # stored by another version
        return False


def _make_key(ops: Sequence[Opcode]) -> bytes:
    """Return a key that is the same for identical requests, whatever their reasons.

    :raises Invalid: an opcode is not read-only.
    """
    documents = []
    for op in ops:
        if not isinstance(op, SHARED):
            raise Invalid(f"{op_id(type(op))} is not read-only; use SubmitJob")
        documents.append({**to_storage(op), "reason": None})
    return msgspec.json.encode(documents, order="sorted")
