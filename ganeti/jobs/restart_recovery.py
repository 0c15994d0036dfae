# SPDX-License-Identifier: BSD-2-Clause
"""Recovery of the jobs that were not finished when the master daemon ended."""

from __future__ import annotations

from collections.abc import Iterable

from ganeti.errors import Failed, Invalid, to_wire
from ganeti.jobs.job import Job, JobEvent, JobStatus


def recovered(jobs: Iterable[Job], now: float) -> list[Job]:
    """Return the jobs that a restart changes.

    Jobs that waited for locks have changed nothing yet and are queued again. Running opcodes end in
    error with an explanation; so do jobs with secret parameters, which are never stored on disk.
    """
    found = []
    for job in jobs:
        if (index := job.current) is None:
            continue
        after = job
        match job.ops[index].status:
            case JobStatus.RUNNING:
                after = job.after(JobEvent.RESTARTED, now, _interrupted_result(job, index))
            case JobStatus.WAITING | JobStatus.CANCELING:
                after = job.after(JobEvent.RESTARTED, now)
        if not after.is_final and _lacks_secrets(after):
            after = after.after(JobEvent.FAILED, now, to_wire(Failed(_SECRETS_LOST)))
        if after is not job:
            found.append(after)
    return found


_SECRETS_LOST = (
    "the master daemon restarted, and the secret parameters of this job were in its memory"
    " only; submit the job again"
)


def _interrupted_result(job: Job, index: int) -> list[object]:
    op = job.ops[index]
    lines = [text for _, _, kind, text in op.log if kind == "message"]
    last_message = f"; its last message was: {lines[-1]}" if lines else ""
    return to_wire(
        Failed(
            f"the master daemon restarted while {op.summary} was running{last_message};"
            " check what the opcode has changed before you submit the job again"
        )
    )


def _lacks_secrets(job: Job) -> bool:
    try:
        return any(op.input.lacks_secrets for op in job.ops if op.status is JobStatus.QUEUED)
    except Invalid:
        return False  # the queue ends jobs that cannot be decoded, with the problem as result
