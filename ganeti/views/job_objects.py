# SPDX-License-Identifier: BSD-2-Clause
"""Lists of jobs for the remote API, joined from JSON objects that are cached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ganeti.jobs.job import Job
from ganeti.views.jobs import JOBS, JobRow
from ganeti.views.json_rows import object_encoder


class JobObjects:
    """Jobs as JSON objects with a fixed set of fields; a job is encoded again when it has changed.

    Most jobs in the queue have ended and do not change again.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        """:raises Invalid: if ``fields`` contains an unknown field."""
        self._encode = object_encoder(JOBS, fields)
        self._pieces: dict[int, tuple[Job, bytes]] = {}

    def everything(self, jobs: Iterable[Job]) -> bytes:
        """Return these jobs, which are all jobs of the queue, as a JSON list of objects."""
        return b"[" + b",".join(self.texts(jobs)) + b"]"

    def texts(self, jobs: Iterable[Job]) -> list[bytes]:
        """Return these jobs, which are all jobs of the queue, as JSON objects."""
        before, now = self._pieces, {}
        for job in jobs:
            known = before.get(job.id)
            if known is None or known[0] is not job:
                known = (job, self._encode(JobRow.from_job(job)))
            now[job.id] = known
        self._pieces = now
        return [encoded for _, encoded in now.values()]
