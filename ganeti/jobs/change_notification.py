# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for a job to change, without asking again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ganeti.errors import JobLost
from ganeti.jobs.job import Job, LogEntry

T = TypeVar("T")

MAX_LENGTH = 89.0
"""Seconds that anybody waits; clients ask again after that."""


class ChangeNotifier:
    """Those who wait for jobs to change; a job that nobody watches costs nothing."""

    def __init__(self, jobs: Mapping[int, Job], clock: IReactorTime) -> None:
        self._jobs = jobs
        self._clock = clock
        self._waiting: dict[int, set[Deferred[None]]] = {}

    async def wait_for_change(
        self,
        job_id: int,
        snapshot: Callable[[Job], T],
        previous: T | None,
        log_serial: int | None,
        timeout: float,
    ) -> tuple[T, Sequence[LogEntry]] | None:
        """What ``snapshot`` makes of the job and its messages after ``log_serial``.

        Answers as soon as the snapshot differs from ``previous``, there are such messages, or the
        job has ended; answers None when ``timeout`` seconds, at most 89, have passed.

        :raises JobLost: there is no such job, or not any more.
        """
        waiting: Deferred[None] = Deferred()
        expires = None

        def expire() -> None:
            # Only this one: were all woken who watch the job, a thousand whose time is up together
            # would look at it a million times.
            _wake(waiting)

        try:
            while True:
                job = self._jobs.get(job_id)
                if job is None:
                    raise JobLost(f"Job {job_id} not found")
                now, said = snapshot(job), job.log_after(log_serial)
                if now != previous or said or job.is_final:
                    return now, said
                if expires is None:
                    patience = max(0.0, min(timeout, MAX_LENGTH))
                    expires = self._clock.callLater(patience, expire)
                elif not expires.active():
                    return None
                waiting = Deferred()
                self._waiting.setdefault(job_id, set()).add(waiting)
                await waiting
        finally:
            self._leave(job_id, waiting)
            if expires is not None and expires.active():
                expires.cancel()

    def changed(self, job_id: int) -> None:
        """A job is different now, or gone; those who watch it look at it in a later turn."""
        if job_id in self._waiting:
            self._clock.callLater(0, self._notify, job_id)

    def _notify(self, job_id: int) -> None:
        for waiting in self._waiting.pop(job_id, ()):
            _wake(waiting)

    def _leave(self, job_id: int, waiting: Deferred[None]) -> None:
        others = self._waiting.get(job_id)
        if others is not None:
            others.discard(waiting)
            if not others:
                del self._waiting[job_id]


def _wake(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
