# SPDX-License-Identifier: BSD-2-Clause
"""Doubles around the job queue: an archive in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.errors import CommitFailed
from ganeti.jobs.job import Job


class MemoryArchive:
    """Archived jobs that exist only in this object; ``full`` lets it refuse more."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.full = False

    async def save_jobs(self, jobs: Sequence[Job]) -> None:
        if self.full:
            raise CommitFailed("the archive takes no more jobs: disk is full")
        self.jobs.update({job.id: job for job in jobs})

    def find_job(self, job_id: int) -> Job | None:
        return self.jobs.get(job_id)
