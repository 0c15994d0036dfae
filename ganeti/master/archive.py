# SPDX-License-Identifier: BSD-2-Clause
"""Jobs that nobody waits for any more, one file each in folders of ten thousand."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import dirname

from ganeti.errors import Invalid, NotKept
from ganeti.jobs.job import Job, decode, encode
from ganeti.master.state_paths import StatePaths
from ganeti.system.interfaces import IFiles


class JobArchive:
    """The archive folders of the queue."""

    def __init__(self, files: IFiles, places: StatePaths) -> None:
        self._files = files
        self._places = places

    async def keep(self, jobs: Sequence[Job]) -> None:
        """Keep ``jobs``; they are durable when this returns.

        :raises NotKept: some of them may not be there.
        """
        contents = {self._places.archived(job.id): encode(job) for job in jobs}
        try:
            for folder in {dirname(path) for path in contents}:
                await self._files.make_folder(folder)
            await self._files.replace_all(contents)
        except OSError as e:
            raise NotKept(f"the jobs could not be archived: {e}") from e

    def find(self, job_id: int) -> Job | None:
        """An archived job; None if there is none, or its file is damaged."""
        path = self._places.archived(job_id)
        if self._files.stat(path) is None:
            return None
        try:
            return decode(self._files.read(path))
        except Invalid:
            return None
