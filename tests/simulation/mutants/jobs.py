# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in the queue, in the life of jobs, and in locks."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_QUEUE = "ganeti/jobs/queue.py"
_STORE = "ganeti/jobs/job_store.py"
_WORKER = "ganeti/jobs/worker.py"
_RECOVERY = "ganeti/jobs/restart_recovery.py"
_MENDING = "ganeti/jobs/journal_recovery.py"
_SCHEDULER = "ganeti/jobs/scheduler.py"
_NAMES = "ganeti/locking/names.py"
_TABLE = "ganeti/locking/lock_table.py"
_KEEPER = "ganeti/locking/waiting.py"
_PERFORM = "ganeti/operations/perform.py"

MUTANTS = (
    Mutant(
        name="queue-answers-before-durable",
        file=_QUEUE,
        before="""
        job = new_job(job_id, opcodes, self._store.now())
        await shield_from_cancellation(self._accept([job], who))
""",
        after="""
        job = new_job(job_id, opcodes, self._store.now())
        shield_from_cancellation(self._accept([job], who)).addErrback(lambda _: None)
""",
        reason="a job is acknowledged that a crash makes unknown",
        modes=(
            "crash",
            "crashes",
            "disk",
        ),
        seeds=150,
    ),
    Mutant(
        name="queue-forgets-waiting-jobs",
        file=_QUEUE,
        before="""
                self._live.add(job.id)
                self._enqueue(job)

""",
        after="""
                self._live.add(job.id)
                if job.start_timestamp is None:
                    self._enqueue(job)

""",
        reason="a job of which an opcode has ended is never carried on after a restart",
        modes=(
            "crash",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="recovery-runs-twice",
        file=_RECOVERY,
        before="""
            case JobStatus.RUNNING:
                after = job.after(JobEvent.RESTARTED, now, _interrupted_result(job, index))
            case JobStatus.WAITING | JobStatus.CANCELING:
""",
        after="""
            case JobStatus.WAITING | JobStatus.CANCELING:
""",
        reason="a job that ran when the master died never ends",
        modes=(
            "crash",
            "crashes",
        ),
        seeds=150,
    ),
    Mutant(
        name="store-number-of-two-jobs",
        file=_STORE,
        before="        self._serial += count\n",
        after="        self._serial = max(self._jobs, default=0) + count\n",
        reason="two jobs that are submitted at the same time get the same number",
        modes=(
            "plain",
            "crash",
        ),
        seeds=150,
    ),
    Mutant(
        name="store-shows-what-is-not-durable",
        file=_STORE,
        before="""
            self._appended_serials[job.id] = job.log_serial
        try:
            if through is not None:
""",
        after="""
            self._appended_serials[job.id] = job.log_serial
            self._publish(job)
        try:
            if through is not None:
""",
        reason="clients see the end of a job that a crash takes back",
        modes=(
            "crashes",
            "disk",
            "crash",
        ),
        seeds=150,
    ),
    Mutant(
        name="mending-tries-once",
        file=_MENDING,
        before="""
                self._log.warn("job queue halted: {why}; retrying", why=str(e))
""",
        after="""
                return
""",
        reason="a journal that cannot be repaired at the first attempt stays broken",
        modes=("disks",),
        seeds=150,
    ),
    Mutant(
        name="scheduler-ignores-dependencies",
        file=_SCHEDULER,
        before="""
            if status not in FINAL:
                open_ones[other] = will_do
""",
        after="""
            if status not in FINAL:
                continue
""",
        reason="a job begins before one that it depends on has ended",
        modes=("plain",),
        seeds=150,
    ),
    Mutant(
        name="locks-shared-among-writers",
        file=_NAMES,
        before="""
    LockMode.EXCLUSIVE: tuple(LockMode),
    LockMode.SHARED: (LockMode.EXCLUSIVE, LockMode.SOME_EXCLUSIVE),
    LockMode.SOME_EXCLUSIVE: (LockMode.EXCLUSIVE, LockMode.SHARED),
""",
        after="""
    LockMode.EXCLUSIVE: (LockMode.SHARED, LockMode.SOME_SHARED, LockMode.SOME_EXCLUSIVE),
    LockMode.SHARED: (LockMode.EXCLUSIVE, LockMode.SOME_EXCLUSIVE),
    LockMode.SOME_EXCLUSIVE: (LockMode.EXCLUSIVE, LockMode.SHARED),
""",
        reason="two jobs hold one instance exclusively",
        modes=(
            "plain",
            "nodes",
        ),
        seeds=150,
    ),
    Mutant(
        name="locks-kept-by-the-canceled",
        file=_KEEPER,
        before="""
            self._waiters.pop(owner, None)
            if granted:
                self._remember(request)
            self._wake(self._table.release(owner))
""",
        after="""
            if self._waiters.pop(owner, None) is None:
                self._remember(request)
                self._wake(self._table.release(owner))
""",
        reason="a job that is canceled while it waits stays in the queue for its locks",
        modes=(
            "guests",
            "succession",
        ),
        seeds=150,
    ),
    Mutant(
        name="plan-of-an-old-state",
        file=_PERFORM,
        before="""
                if asked is not before or self.config.state() is not state:
                    state = self.config.state()
                    plan = operation.plan(opcode, state, asked.facts)
                if covers(wanted, plan.locks):
""",
        after="""
                if covers(wanted, plan.locks):
""",
        reason="a job acts on what it saw before it had its locks",
        modes=(
            "plain",
            "nodes",
        ),
        seeds=150,
    ),
    Mutant(
        name="facts-of-an-old-state",
        file=_PERFORM,
        before="""
                    asked = await self._ask(operation, opcode, tools, identity)
                # A plan depends on these alone.
""",
        after="""
                    pass
                # A plan depends on these alone.
""",
        reason="a job acts on what nodes said before it had its locks",
        modes=(
            "plain",
            "nodes",
        ),
        seeds=150,
    ),
)
