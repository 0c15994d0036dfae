# SPDX-License-Identifier: BSD-2-Clause
"""How many jobs have ended over the last hours, how long they waited, and how long they ran.

The numbers are in memory only. Times are counted in classes, each a fifth longer than the one
before, so that a step costs the same for one job and for thousands.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ganeti.jobs.job import Job, JobStatus, Timestamp

STEP = 60
"""Seconds of one point."""

SIZE = 240
"""How many points are kept: four hours."""

RATIO = 1.2
"""Between the times of two neighbouring classes: a percentile is off by at most a tenth."""

SHORTEST, LONGEST = 0.001, 7 * 86400.0
"""Seconds; what is shorter or longer counts as this."""

ENDED = (JobStatus.SUCCESS, JobStatus.ERROR, JobStatus.CANCELED)
PERCENTILES = (50, 95)


class Durations:
    """Durations in seconds, of which percentiles are known."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count a duration."""
        bounded = min(max(seconds, SHORTEST), LONGEST)
        self._classes[round(math.log(bounded / SHORTEST, RATIO))] += 1

    def percentile(self, percent: int) -> float | None:
        """Return a duration that ``percent`` of all do not exceed; None if there are none."""
        missing = self._classes.total() * percent / 100
        for number, count in sorted(self._classes.items()):
            missing -= count
            if missing <= 0:
                return float(f"{SHORTEST * RATIO**number:.3g}")
        return None


@dataclass
class _Step:
    """The jobs that have ended within one step."""

    ended: Counter[JobStatus] = field(default_factory=Counter)
    waited: Durations = field(default_factory=Durations)
    ran: Durations = field(default_factory=Durations)


class JobRates:
    """Counts jobs when they end; ``now`` in seconds since the epoch, ``jobs`` from before."""

    def __init__(self, now: Callable[[], float], jobs: Iterable[Job] = ()) -> None:
        self._now = now
        self._steps: dict[int, _Step] = {}
        for job in jobs:
            self.record(job)

    def record(self, job: Job) -> None:
        """Count a job if it has ended; an observer of ``JobStore``."""
        if not job.is_final or job.end_timestamp is None:
            return
        newest = self._newest()
        # A clock that was set back must not make room for times to come.
        number = min(job.end_timestamp[0] // STEP, newest)
        if number <= newest - SIZE:
            return
        if number not in self._steps:
            self._forget(newest - SIZE)
            self._steps[number] = _Step()
        step = self._steps[number]
        step.ended[job.status] += 1
        if job.start_timestamp is not None:
            step.ran.add(_seconds_between(job.start_timestamp, job.end_timestamp))
            if job.received_timestamp is not None:
                step.waited.add(_seconds_between(job.received_timestamp, job.start_timestamp))

    async def query_job_rates(self) -> dict[str, object]:
        """Return the points, the oldest first, as for ``QueryJobRates``."""
        newest = self._newest()
        nothing = _Step()
        steps = [
            self._steps.get(number, nothing) for number in range(newest - SIZE + 1, newest + 1)
        ]
        series: dict[str, list[int] | list[float | None]] = {
            status.value: [step.ended[status] for step in steps] for status in ENDED
        }
        for percent in PERCENTILES:
            series[f"wait_p{percent}"] = [step.waited.percentile(percent) for step in steps]
            series[f"run_p{percent}"] = [step.ran.percentile(percent) for step in steps]
        return {"step": float(STEP), "end": float((newest + 1) * STEP), "series": series}

    def _newest(self) -> int:
        return int(self._now() // STEP)

    def _forget(self, last: int) -> None:
        """Forget the steps up to the number ``last``."""
        for number in [number for number in self._steps if number <= last]:
            del self._steps[number]


def _seconds_between(since: Timestamp, until: Timestamp) -> float:
    return until[0] - since[0] + (until[1] - since[1]) / 1e6
