# SPDX-License-Identifier: BSD-2-Clause
"""The scheduler: decides which job starts next.

The order is by priority, then by age, among the jobs whose dependencies have ended with an accepted
status and whose rate limit has a free slot.

The scheduler neither waits nor stores. A waiting job costs one entry, and the cost of a pick does
not grow with the number of jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeAlias

from ganeti.jobs.filter_actions import JobRateLimit
from ganeti.jobs.job import FINAL, Job, JobEvent, JobStatus

Dependencies: TypeAlias = Mapping[int, frozenset[JobStatus]]
"""Jobs that must have ended, each with the statuses that are accepted."""

Known: TypeAlias = Callable[[int], JobStatus | None]
"""Return the status of a job; None if it does not exist, or no longer exists."""


@dataclass(frozen=True)
class Unschedulable:
    """A job that can never start: the reason, and the event that ends it."""

    job_id: int
    why: str
    event: JobEvent = JobEvent.FAILED


def dependencies(job: Job) -> Dependencies:
    """Return the dependencies of opcodes that have not ended; no statuses mean any final one."""
    found: dict[int, frozenset[JobStatus]] = {}
    for op in job.ops:
        if op.status in FINAL:
            continue
        for other, statuses in op.opcode.depends or ():
            will_do = frozenset(map(JobStatus, statuses)) or FINAL
            found[int(other)] = found.get(int(other), FINAL) & will_do
    return found


ReadyHeap: TypeAlias = list[tuple[int, int]]
"""A heap of (priority, job id)."""


class Scheduler:
    """The jobs that have not started, in the order in which they start."""

    def __init__(self) -> None:
        self._heap: ReadyHeap = []  # entries that do not match _ready are out of date
        self._ready: dict[int, int] = {}
        self._rate_limits: dict[int, JobRateLimit] = {}  # also of running jobs
        self._limited_heaps: dict[
            str, ReadyHeap
        ] = {}  # heaps of rate-limited jobs, by key of the limit
        self._running_by_limit: dict[str, set[int]] = {}
        self._blocked: dict[int, dict[int, frozenset[JobStatus]]] = {}
        self._priorities: dict[int, int] = {}
        self._dependents: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._blocked)

    def __iter__(self) -> Iterator[int]:
        yield from self._ready
        yield from self._blocked

    def add_job(
        self,
        job_id: int,
        priority: int,
        depends: Dependencies,
        known: Known,
        gate: JobRateLimit | None = None,
    ) -> Unschedulable | None:
        """Add a job; return why instead if it can never start."""
        open_ones: dict[int, frozenset[JobStatus]] = {}
        for other, will_do in depends.items():
            status = known(other)
            if status is None:
                return Unschedulable(
                    job_id, f"depends on job {other}, which does not exist or was archived"
                )
            if status not in FINAL:
                open_ones[other] = will_do
            elif status not in will_do:
                return Unschedulable(job_id, _describe_failed_dependency(other, status, will_do))
        if gate is not None:
            self._rate_limits[job_id] = gate
        if open_ones:
            self._blocked[job_id] = open_ones
            self._priorities[job_id] = priority
            for other in open_ones:
                self._dependents.setdefault(other, set()).add(job_id)
        else:
            self._make_ready(job_id, priority)
        return None

    def ended(self, job_id: int, status: JobStatus) -> list[Unschedulable]:
        """Release the dependents of an ended job; return those that can now never start."""
        unschedulable = []
        for waiter in sorted(self._dependents.pop(job_id, ())):
            accepted = self._blocked[waiter].pop(job_id)
            if status not in accepted:
                self.remove(waiter)
                unschedulable.append(
                    Unschedulable(waiter, _describe_failed_dependency(job_id, status, accepted))
                )
            elif not self._blocked[waiter]:
                del self._blocked[waiter]
                self._make_ready(waiter, self._priorities.pop(waiter))
        return unschedulable

    def remove(self, job_id: int) -> None:
        """Remove a job that must not start any more."""
        self._ready.pop(job_id, None)
        self._priorities.pop(job_id, None)
        self._rate_limits.pop(job_id, None)
        for other in self._blocked.pop(job_id, ()):
            waiters = self._dependents[other]
            waiters.discard(job_id)
            if not waiters:
                del self._dependents[other]

    def reprioritize(self, job_id: int, priority: int) -> None:
        """Change the priority of a job; ignore jobs that are not scheduled."""
        if job_id in self._ready:
            self._make_ready(job_id, priority)
        elif job_id in self._blocked:
            self._priorities[job_id] = priority

    def set_rate_limits(self, gates: Mapping[int, JobRateLimit], running: Iterable[int]) -> None:
        """Replace all rate limits; ``gates`` has those of all jobs, scheduled or ``running``."""
        self._rate_limits = dict(gates)
        self._running_by_limit.clear()
        for job_id in running:
            self._occupy_slot(job_id)
        self._heap.clear()
        self._limited_heaps.clear()
        # It only assigns to keys that exist, which is allowed during the iteration.
        for job_id, priority in self._ready.items():
            self._make_ready(job_id, priority)

    def pick(self, free: int) -> list[int]:
        """Remove and return the jobs that start now if ``free`` more may run.

        A rate-limited job occupies a slot of its limit until ``left`` is called.
        """
        if self._limited_heaps:
            return self._pick_rate_limited(free)
        picked: list[int] = []
        while self._heap and len(picked) < free:
            # Its priority may have changed since; the entry with the present one is also in the
            # heap.
            priority, job_id = heappop(self._heap)
            if self._ready.get(job_id) == priority:
                del self._ready[job_id]
                picked.append(job_id)
        return picked

    def left(self, job_id: int) -> None:
        """Release the rate-limit slot of a picked job that no longer runs."""
        if (gate := self._rate_limits.pop(job_id, None)) is not None:
            self._running_by_limit[gate.key].discard(job_id)

    def _pick_rate_limited(self, free: int) -> list[int]:
        picked: list[int] = []
        while len(picked) < free and (turns := self._find_next_heap()) is not None:
            _, job_id = heappop(turns)
            del self._ready[job_id]
            self._occupy_slot(job_id)
            picked.append(job_id)
        return picked

    def _find_next_heap(self) -> ReadyHeap | None:
        """Return the heap whose top job starts next; None if no job may start."""
        found: ReadyHeap | None = None
        for turns in (self._heap, *self._limited_heaps.values()):
            while turns and self._ready.get(turns[0][1]) != turns[0][0]:
                heappop(turns)
            if (
                turns
                and (found is None or turns[0] < found[0])
                and self._has_free_slot(turns[0][1])
            ):
                found = turns
        return found

    def _has_free_slot(self, job_id: int) -> bool:
        gate = self._rate_limits.get(job_id)
        return gate is None or len(self._running_by_limit.get(gate.key, ())) < gate.room

    def _occupy_slot(self, job_id: int) -> None:
        if (gate := self._rate_limits.get(job_id)) is not None:
            self._running_by_limit.setdefault(gate.key, set()).add(job_id)

    def _make_ready(self, job_id: int, priority: int) -> None:
        self._ready[job_id] = priority
        gate = self._rate_limits.get(job_id)
        turns = self._heap if gate is None else self._limited_heaps.setdefault(gate.key, [])
        heappush(turns, (priority, job_id))


def _describe_failed_dependency(
    job_id: int, status: JobStatus, will_do: frozenset[JobStatus]
) -> str:
    wanted = _format_alternatives(sorted(status.value for status in will_do))
    return f"depends on job {job_id}, which ended in {status.value} and not in {wanted}"


def _format_alternatives(words: Sequence[str]) -> str:
    return " or ".join(words) if words else "any status (its opcodes accept none in common)"
