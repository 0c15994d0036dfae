# SPDX-License-Identifier: BSD-2-Clause
"""How many jobs that do nothing pass the queue in a second, and what one move costs.

Run it as ``python -m tests.bench.bench_jobs [jobs]``. The journal is in memory, so the figures are
what the queue itself costs; a bare call of the clock is the unit they are compared with.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ganeti.jobs.job import Job, JobEvent, QueuedOpcode, encode
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.queue import Queue
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.jobs.runner import OpcodeResult, OpcodeTask
from ganeti.jobs.scheduler import Scheduler
from ganeti.locking.names import LockMode
from ganeti.locking.waiting import LockWaiter
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.testing.journal import MemoryJournal
from ganeti.testing.queue import MemoryArchive


def per_second(count: int, work: Callable[[], None]) -> float:
    """How many of ``count`` pieces of ``work`` are done in a second."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def through_the_queue(jobs: int, locked: bool) -> float:
    """Jobs per second from submission to their end, each with a lock of its own or none."""
    clock = Clock()
    clock.advance(1_700_000_000)
    keeper = LockWaiter(clock)
    journal = MemoryJournal()

    async def run(opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        wants = {f"instance/{task.job_id}": LockMode.EXCLUSIVE} if locked else {}
        async with keeper.hold_locks(task.owner, wants, task.priority):
            await task.locked()
            return OpcodeResult(None)

    store = JobStore(journal, clock.seconds)
    queue = Queue(
        store=store,
        journal=journal,
        run=run,
        clock=clock,
        max_running=lambda: 20,
        archive=MemoryArchive(),
        locks=keeper,
    )
    Deferred.fromCoroutine(queue.start())

    def all_of_them() -> None:
        for _ in range(jobs):
            Deferred.fromCoroutine(queue.submit([Delay(duration=0.0)]))
        while clock.getDelayedCalls():
            clock.advance(0)

    rate = per_second(jobs, all_of_them)
    assert all(job.is_final for job in store.jobs.values()) and len(store.jobs) == jobs
    return rate


def through_the_locks(waiters: int) -> float:
    """Owners per second that wait for one lock and pass it."""
    clock = Clock()
    keeper = LockWaiter(clock)

    async def pass_through(number: int) -> None:
        async with keeper.hold_locks(f"job {number}", {"instance/one": LockMode.EXCLUSIVE}):
            pass

    def all_of_them() -> None:
        first: Deferred[None] = Deferred()

        async def hold_first() -> None:
            async with keeper.hold_locks("first", {"instance/one": LockMode.EXCLUSIVE}):
                await first

        Deferred.fromCoroutine(hold_first())
        for number in range(waiters):
            Deferred.fromCoroutine(pass_through(number))
        first.callback(None)
        while clock.getDelayedCalls():
            clock.advance(0)

    return per_second(waiters, all_of_them)


def picks(jobs: int) -> float:
    """Picks per second from a queue of ``jobs``."""
    scheduler = Scheduler()
    for job_id in range(jobs):
        scheduler.add_job(job_id, job_id % 3, {}, lambda _: None)

    def all_of_them() -> None:
        while scheduler.pick(1):
            pass

    return per_second(jobs, all_of_them)


def moves(count: int) -> float:
    """Moves per second, each with the encoding of its job."""
    job = Job(id=1, ops=(QueuedOpcode(input=OpcodeInput.from_opcode(Delay(duration=0.0))),))

    def all_of_them() -> None:
        for _ in range(count):
            encode(job.after(JobEvent.PICKED, 1_700_000_000.0).without_logs())

    return per_second(count, all_of_them)


def main() -> None:
    """Print each figure in a line."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    figures = {
        "jobs without locks per second": through_the_queue(jobs, False),
        "jobs with a lock each per second": through_the_queue(jobs, True),
        "owners through one lock per second": through_the_locks(3000),
        "picks per second": picks(jobs),
        "moves, encoded, per second": moves(20_000),
    }
    for what, figure in figures.items():
        print(f"{what:40} {figure:10.0f}")


if __name__ == "__main__":
    main()
