# SPDX-License-Identifier: BSD-2-Clause
"""Jobs that only read, shared by all who ask for the same.

The remote API answers some questions by a job. Clients ask them again and again, and each time
would be a job to keep; so a job that answers as a new one would is answered with instead, and those
that have ended are archived early.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from twisted.internet.defer import DeferredLock

from ganeti.errors import Invalid, QueueFull
from ganeti.jobs.job import Job, JobStatus
from ganeti.jobs.queue import Queue
from ganeti.jobs.store import JobStore
from ganeti.opcodes.instance.lifecycle import DescribeInstances
from ganeti.opcodes.node import ListStorage
from ganeti.opcodes.opcode import Opcode, op_id
from ganeti.opcodes.writing import storable

SHARED: tuple[type[Opcode], ...] = (DescribeInstances, ListStorage)
"""What changes nothing, whoever asks for it and however often."""

FRESH_SECONDS = 2.0
"""How long after its end a job is answered with; what nodes say may have changed since."""

MAX_LIVE = 1000
"""How many such jobs may be in the queue without having ended, of all that it holds."""

MAX_ENDED = 1000
"""How many that have ended stay in the queue; the oldest are archived, where clients find them."""

MAX_KEYS = 2000
"""How many different questions are remembered."""


@dataclass
class _Shared:
    """A question, and the last job for it."""

    turn: DeferredLock = field(default_factory=DeferredLock)
    job_id: int | None = None
    changes: int = 0
    """What the number of changes was before the job was submitted."""


class SharedJobs:
    """Submits jobs that only read, and remembers them."""

    def __init__(
        self,
        queue: Queue,
        jobs: JobStore,
        *,
        max_live: int = MAX_LIVE,
        max_ended: int = MAX_ENDED,
    ) -> None:
        self._queue = queue
        self._max_live = max_live
        self._max_ended = max_ended
        self._now: Callable[[], float] = jobs.now
        self._known: OrderedDict[bytes, _Shared] = OrderedDict()
        self._changes = 0
        self._live: set[int] = set()
        self._ended: deque[int] = deque()
        jobs.observe(self._published)

    def changed(self) -> None:
        """Note that the configuration has changed: jobs that have begun do not show it."""
        self._changes += 1

    async def submit(self, ops: Sequence[Opcode]) -> int:
        """Return the number of a job that reads what is asked for, a new one where necessary.

        A job is shared as long as it has not begun. Later it is if nothing has changed since it
        was submitted: whoever has waited for the end of another job sees what that one did.

        :raises Invalid: the opcodes do more than read.
        :raises QueueFull: too many such jobs have not ended.
        :raises QueueDrained: an administrator has closed the queue.
        :raises NotKept: it could not be made durable.
        """
        shared = self._shared(_key(ops))
        await shared.turn.acquire()
        try:
            if shared.job_id is None or not self._answers(shared, shared.job_id):
                changes = self._changes
                shared.job_id = await self._submit(ops)
                shared.changes = changes
            return shared.job_id
        finally:
            shared.turn.release()

    def _shared(self, key: bytes) -> _Shared:
        shared = self._known.setdefault(key, _Shared())
        self._known.move_to_end(key)
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
        return shared

    async def _submit(self, ops: Sequence[Opcode]) -> int:
        if len(self._live) >= self._max_live:
            raise QueueFull(
                f"{self._max_live} jobs that only read have not ended yet; try again later"
            )
        while len(self._ended) > self._max_ended:
            await self._queue.archive(self._ended.popleft())
        job_id = await self._queue.submit(ops)
        job = self._queue.find(job_id)
        if job is not None and not job.is_final:
            self._live.add(job_id)
        else:
            self._ended.append(job_id)
        return job_id

    def _answers(self, shared: _Shared, job_id: int) -> bool:
        """Return whether the job says what a new one would."""
        job = self._queue.find(job_id)
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
        return job.status is JobStatus.SUCCESS and 0 <= age <= FRESH_SECONDS

    def _published(self, job: Job) -> None:
        if not job.is_final:
            return
        if job.id in self._live:
            self._live.discard(job.id)
            self._ended.append(job.id)
        elif not _only_reads(job):
            self._changes += 1


def _only_reads(job: Job) -> bool:
    try:
        return all(isinstance(op.opcode, SHARED) for op in job.ops)
    except Invalid:  # it was stored by another version
        return False


def _key(ops: Sequence[Opcode]) -> bytes:
    """Return what is the same for all who ask the same, whatever their reasons.

    :raises Invalid: the opcodes do more than read.
    """
    documents = []
    for op in ops:
        if not isinstance(op, SHARED):
            raise Invalid(f"{op_id(type(op))} does more than read; submit a job of its own")
        documents.append({**storable(op), "reason": None})
    return msgspec.json.encode(documents, order="sorted")
