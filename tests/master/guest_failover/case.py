# SPDX-License-Identifier: BSD-2-Clause
"""What the parts of the failover need of a master, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.jobs.job import Job
from ganeti.jobs.submission import new_job
from ganeti.opcodes.opcode import Opcode

NOW = 1e6


class MemoryQueue:
    """A job queue that runs nothing: the test ends jobs."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self.submitted: list[Opcode] = []

    def jobs(self) -> list[Job]:
        return list(self._jobs)

    def end_all(self) -> None:
        """End all jobs, however."""
        self._jobs.clear()

    async def submit_many(
        self, requests: Sequence[Sequence[Opcode]], *, who: str = ""
    ) -> list[tuple[bool, int | str]]:
        assert who == "failover"
        ids: list[int] = []
        for opcodes in requests:
            number = len(self.submitted) + 1
            self._jobs.append(new_job(number, opcodes, NOW, ids))
            self.submitted += opcodes
            ids.append(number)
        return [(True, number) for number in ids]
