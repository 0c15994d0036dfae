# SPDX-License-Identifier: BSD-2-Clause
"""Which job starts next: priority, then age, once what it depends on has ended well, and as far
as there is room behind the gate that it waits at, if it waits at one.

Nothing here waits or stores anything. A job that waits for its turn or for other jobs costs one
entry, and a pick costs the same with ten jobs or ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeAlias

from ganeti.jobs.filter_actions import JobRateLimit
from ganeti.jobs.job import FINAL, Job, JobEvent, JobStatus

Dependencies: TypeAlias = Mapping[int, frozenset[JobStatus]]
"""Jobs that must have ended, each with the statuses that will do."""

Known: TypeAlias = Callable[[int], JobStatus | None]
"""The status of a job; None if there is no such job, or not any more."""


@dataclass(frozen=True)
class Unschedulable:
    """A job that can never start, why, and what is to happen to it."""

    job_id: int
    why: str
    event: JobEvent = JobEvent.FAILED


def dependencies(job: Job) -> Dependencies:
    """What must have ended before the rest of ``job`` may run; no statuses mean any final one."""
    found: dict[int, frozenset[JobStatus]] = {}
    for op in job.ops:
        if op.status in FINAL:
            continue
        for other, statuses in op.opcode.depends or ():
            will_do = frozenset(map(JobStatus, statuses)) or FINAL
            found[int(other)] = found.get(int(other), FINAL) & will_do
    return found


Turns: TypeAlias = list[tuple[int, int]]
"""A heap of priorities and job ids."""


class Scheduler:
    """The jobs that have not started, in the order in which they may."""

    def __init__(self) -> None:
        self._turns: Turns = []  # what is not in _ready is out of date
        self._ready: dict[int, int] = {}
        self._gates: dict[int, JobRateLimit] = {}  # also of jobs that run
        self._before: dict[str, Turns] = {}  # the turns of those that wait at a gate
        self._behind: dict[str, set[int]] = {}
        self._blocked: dict[int, dict[int, frozenset[JobStatus]]] = {}
        self._priorities: dict[int, int] = {}
        self._dependents: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._blocked)

    def __iter__(self) -> Iterator[int]:
        yield from self._ready
        yield from self._blocked

    def add(
        self,
        job_id: int,
        priority: int,
        depends: Dependencies,
        known: Known,
        gate: JobRateLimit | None = None,
    ) -> Unschedulable | None:
        """Let a job take part, or say why it can never start."""
        open_ones: dict[int, frozenset[JobStatus]] = {}
        for other, will_do in depends.items():
            status = known(other)
            if status is None:
                return Unschedulable(
                    job_id, f"depends on job {other}, which does not exist any more"
                )
            if status not in FINAL:
                open_ones[other] = will_do
            elif status not in will_do:
                return Unschedulable(job_id, _ended_otherwise(other, status, will_do))
        if gate is not None:
            self._gates[job_id] = gate
        if open_ones:
            self._blocked[job_id] = open_ones
            self._priorities[job_id] = priority
            for other in open_ones:
                self._dependents.setdefault(other, set()).add(job_id)
        else:
            self._make_ready(job_id, priority)
        return None

    def ended(self, job_id: int, status: JobStatus) -> list[Unschedulable]:
        """Let go of those who waited for a job that has ended; answers with those it let down."""
        let_down = []
        for waiter in sorted(self._dependents.pop(job_id, ())):
            will_do = self._blocked[waiter].pop(job_id)
            if status not in will_do:
                self.remove(waiter)
                let_down.append(Unschedulable(waiter, _ended_otherwise(job_id, status, will_do)))
            elif not self._blocked[waiter]:
                del self._blocked[waiter]
                self._make_ready(waiter, self._priorities.pop(waiter))
        return let_down

    def remove(self, job_id: int) -> None:
        """Forget a job that is not to start any more."""
        self._ready.pop(job_id, None)
        self._priorities.pop(job_id, None)
        self._gates.pop(job_id, None)
        for other in self._blocked.pop(job_id, ()):
            waiters = self._dependents[other]
            waiters.discard(job_id)
            if not waiters:
                del self._dependents[other]

    def reprioritize(self, job_id: int, priority: int) -> None:
        """Move a job among the others; one that is not here is left alone."""
        if job_id in self._ready:
            self._make_ready(job_id, priority)
        elif job_id in self._blocked:
            self._priorities[job_id] = priority

    def regate(self, gates: Mapping[int, JobRateLimit], running: Iterable[int]) -> None:
        """Let jobs wait at other gates; ``gates`` are those of all jobs, here or ``running``."""
        self._gates = dict(gates)
        self._behind.clear()
        for job_id in running:
            self._enter(job_id)
        self._turns.clear()
        self._before.clear()
        for job_id, priority in self._ready.items():
            self._make_ready(job_id, priority)

    def pick(self, free: int) -> list[int]:
        """Take out the jobs that start now if ``free`` more may run.

        One that waited at a gate counts there until it has ``left``.
        """
        if self._before:
            return self._pick_at_gates(free)
        picked: list[int] = []
        while self._turns and len(picked) < free:
            priority, job_id = heappop(self._turns)
            if self._ready.get(job_id) == priority:
                del self._ready[job_id]
                picked.append(job_id)
        return picked

    def left(self, job_id: int) -> None:
        """A job that was picked does not run any more."""
        if (gate := self._gates.pop(job_id, None)) is not None:
            self._behind[gate.key].discard(job_id)

    def _pick_at_gates(self, free: int) -> list[int]:
        picked: list[int] = []
        while len(picked) < free and (turns := self._next()) is not None:
            _, job_id = heappop(turns)
            del self._ready[job_id]
            self._enter(job_id)
            picked.append(job_id)
        return picked

    def _next(self) -> Turns | None:
        """The turns that begin with the job that starts next; None if none may."""
        found: Turns | None = None
        for turns in (self._turns, *self._before.values()):
            while turns and self._ready.get(turns[0][1]) != turns[0][0]:
                heappop(turns)
            if turns and (found is None or turns[0] < found[0]) and self._may_pass(turns[0][1]):
                found = turns
        return found

    def _may_pass(self, job_id: int) -> bool:
        gate = self._gates.get(job_id)
        return gate is None or len(self._behind.get(gate.key, ())) < gate.room

    def _enter(self, job_id: int) -> None:
        if (gate := self._gates.get(job_id)) is not None:
            self._behind.setdefault(gate.key, set()).add(job_id)

    def _make_ready(self, job_id: int, priority: int) -> None:
        self._ready[job_id] = priority
        gate = self._gates.get(job_id)
        turns = self._turns if gate is None else self._before.setdefault(gate.key, [])
        heappush(turns, (priority, job_id))


def _ended_otherwise(job_id: int, status: JobStatus, will_do: frozenset[JobStatus]) -> str:
    wanted = _either(sorted(status.value for status in will_do))
    return f"depends on job {job_id}, which ended in {status.value} and not in {wanted}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(words) if words else "any status that all its opcodes would take"
