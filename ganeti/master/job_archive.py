# SPDX-License-Identifier: BSD-2-Clause
"""The job archive: one file per job, in folders of ten thousand."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import dirname

from ganeti.errors import CommitFailed, Invalid
from ganeti.jobs.job import Job, decode, encode
from ganeti.master.state_paths import StatePaths
from ganeti.system.interfaces import IFiles


class JobArchive:
    """The archive folders of the job queue."""

    def __init__(self, files: IFiles, places: StatePaths) -> None:
        self._files = files
        self._paths = places

    async def save_jobs(self, jobs: Sequence[Job]) -> None:
        """Store ``jobs`` durably; see ``IJobArchive``.

        :raises CommitFailed: some of the jobs may be missing.
        """
        contents = {self._paths.archived(job.id): encode(job) for job in jobs}
        try:
            for folder in {dirname(path) for path in contents}:
                await self._files.make_folder(folder)
            await self._files.replace_all(contents)
        except OSError as e:
            raise CommitFailed(f"the jobs could not be archived: {e}") from e

    def find_job(self, job_id: int) -> Job | None:
        """Return an archived job; None if it does not exist or its file is damaged."""
        path = self._paths.archived(job_id)
        if self._files.stat(path) is None:
            return None
        try:
            return decode(self._files.read(path))
        except Invalid:
            return None
