# SPDX-License-Identifier: BSD-2-Clause
"""The actions that job filters can apply to a job that has not started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ganeti.jobs.job import Job


@dataclass(frozen=True)
class JobRateLimit:
    """Let the job wait until fewer than ``room`` jobs of the limit ``key`` run; 0 blocks it.

    All jobs with the same key have the same ``room``.
    """

    key: str
    room: int


@dataclass(frozen=True)
class Reject:
    """Cancel the job before it starts; ``why`` is shown to its owner."""

    why: str


Verdict: TypeAlias = JobRateLimit | Reject | None
"""None lets the job start in its turn."""


class JobFilter(Protocol):
    """Return the action for a job; pure, so that the same job always gets the same action."""

    def __call__(self, job: Job) -> Verdict: ...
