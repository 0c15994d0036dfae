# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of jobs that were under way when the master daemon ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ganeti.errors import Failed, Invalid, to_wire
from ganeti.jobs.job import Job, JobEvent, JobStatus


def recovered(jobs: Iterable[Job], now: float) -> list[Job]:
    """The jobs that are different after a restart.

    What was queued or only waited for locks is queued, for it has done nothing yet. What ran ends
    in error, and says so; so does what was asked for with secrets, which are not on disk.
    """
    found = []
    for job in jobs:
        if (index := job.current) is None:
            continue
        after = job
        match job.ops[index].status:
            case JobStatus.RUNNING:
                after = job.after(JobEvent.RESTARTED, now, _was_under_way(job, index))
            case JobStatus.WAITING | JobStatus.CANCELING:
                after = job.after(JobEvent.RESTARTED, now)
        if not after.is_final and _lacks_secrets(after):
            after = after.after(JobEvent.FAILED, now, to_wire(Failed(_NO_SECRETS)))
        if after is not job:
            found.append(after)
    return found


_NO_SECRETS = (
    "the master daemon has restarted, and the secret parameters of this job are kept in its memory"
    " only; submit the job again"
)


def _was_under_way(job: Job, index: int) -> list[Any]:
    op = job.ops[index]
    lines = [text for _, _, kind, text in op.log if kind == "message"]
    said = f", and had last said: {lines[-1]}" if lines else ""
    return to_wire(
        Failed(
            f"the master daemon has restarted while {op.summary} was under way{said};"
            " check what it was about before you submit it again"
        )
    )


def _lacks_secrets(job: Job) -> bool:
    try:
        return any(op.input.lacks_secrets for op in job.ops if op.status is JobStatus.QUEUED)
    except Invalid:
        return False  # the queue ends jobs that it cannot read, with what is wrong with them
