# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator's rules may say of a job that has not begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ganeti.jobs.job import Job


@dataclass(frozen=True)
class JobRateLimit:
    """A job waits until fewer than ``room`` jobs of the gate ``key`` run; without room, it stays.

    All jobs of one gate say the same of its room.
    """

    key: str
    room: int


@dataclass(frozen=True)
class Reject:
    """A job is canceled before it begins; ``why`` is for its owner."""

    why: str


Verdict: TypeAlias = JobRateLimit | Reject | None
"""None lets a job have its turn."""


class JobFilter(Protocol):
    """Says what becomes of a job; of the same job always the same."""

    def __call__(self, job: Job) -> Verdict: ...
