# SPDX-License-Identifier: BSD-2-Clause
"""Notification of clients that wait for a job to change, without polling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ganeti.jobs.job import Job, LogEntry, job_not_found

T = TypeVar("T")

MAX_LENGTH = 89.0
"""Maximum wait in seconds; clients then send the request again."""


class ChangeNotifier:
    """Wakes the clients that wait for jobs to change; a job without waiters costs nothing."""

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
        """Return a snapshot of the job and its messages after ``log_serial`` when either changes.

        Return as soon as the snapshot differs from ``previous``, there are such messages, or the
        job has ended. Return None after ``timeout`` seconds, at most ``MAX_LENGTH``.

        :raises JobLost: the job does not exist, or no longer exists.
        """
        waiting: Deferred[None] = Deferred()
        expires = None

        def expire() -> None:
            # Wake this waiter only: if each timeout woke all waiters of the job, a thousand
            # timeouts at the same moment would compute a million snapshots.
            _wake(waiting)

        try:
            while True:
                job = self._jobs.get(job_id)
                if job is None:
                    raise job_not_found(job_id)
                now, messages = snapshot(job), job.log_after(log_serial)
                if now != previous or messages or job.is_final:
                    return now, messages
                if expires is None:
                    wait = max(0.0, min(timeout, MAX_LENGTH))
                    expires = self._clock.callLater(wait, expire)
                elif not expires.active():
                    return None
                waiting = Deferred()
                self._waiting.setdefault(job_id, set()).add(waiting)
                await waiting
        finally:
            self._remove_waiter(job_id, waiting)
            if expires is not None and expires.active():
                expires.cancel()

    def job_changed(self, job_id: int) -> None:
        """Wake the waiters of a job that has changed or was deleted, in a later reactor turn."""
        if job_id in self._waiting:
            self._clock.callLater(0, self._wake_waiters, job_id)

    def _wake_waiters(self, job_id: int) -> None:
        for waiting in self._waiting.pop(job_id, ()):
            _wake(waiting)

    def _remove_waiter(self, job_id: int, waiting: Deferred[None]) -> None:
        others = self._waiting.get(job_id)
        if others is not None:
            others.discard(waiting)
            if not others:
                del self._waiting[job_id]


def _wake(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
