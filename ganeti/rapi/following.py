# SPDX-License-Identifier: BSD-2-Clause
"""Follows jobs of a cluster until they end, over its remote API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ganeti.rapi.client import Error, GanetiApiError, GanetiRapiClient

T = TypeVar("T")

FINAL = frozenset({"success", "error", "canceled"})
FIELDS = ("status", "opresult")

TRIES = 60
"""How many times a cluster that does not answer is tried, once per second."""

_RETRIABLE_STATUSES = frozenset({None, 502, 503, 504})
"""Status codes of answers that did not come from the cluster's master."""

Say = Callable[[str], None]


class JobFailed(Error):
    """A job failed; the message has the reason."""


@dataclass(frozen=True)
class RemoteCluster:
    """A cluster and the client of its remote API."""

    client: GanetiRapiClient
    name: str
    say: Say
    sleep: Callable[[float], None]

    def asked(self, question: Callable[[], T]) -> T:
        """Return the result of ``question``, which is repeated while the cluster does not
        answer."""
        for left in reversed(range(TRIES)):
            try:
                return question()
            except GanetiApiError as e:
                if e.code not in _RETRIABLE_STATUSES or not left:
                    raise
                if left == TRIES - 1:
                    self.say(f"{self.name} does not answer; retrying: {e}")
            self.sleep(1.0)
        raise AssertionError("the last attempt leaves the loop")

    def job(self, number: int) -> JobFollower:
        return JobFollower(self, number)

    def do(self, order: Callable[[], int]) -> Any:
        """Submit a job that may be submitted twice, and return its result.

        :raises JobFailed: if it failed.
        """
        return self.job(self.asked(order)).wait_for_result()


class JobFollower:
    """A job whose messages are reported as they arrive."""

    def __init__(self, cluster: RemoteCluster, number: int) -> None:
        self.number = number
        self._cluster = cluster
        self._seen: Sequence[Any] | None = None
        self._serial: int | None = None
        self._result: Any = None
        self._ended: str | None = None

    def wait_for_message(self, kind: str) -> Any:
        """Return the payload of the next message of this type.

        :raises JobFailed: if the job ended without one.
        """
        for ended, entries in self._read_changes():
            payload = None
            for _, _, its_kind, its_payload in entries:
                if its_kind == kind:
                    payload = its_payload
                else:
                    self._report(its_payload)
            # Only now, as the other messages of this answer are not read again.
            if payload is not None:
                return payload
            if ended:
                break
        raise self._failure()

    def wait_for_result(self) -> Any:
        """Return the result of the job's only opcode.

        :raises JobFailed: if the job failed.
        """
        for _, entries in self._read_changes():
            for _, _, _, payload in entries:
                self._report(payload)
        if self._ended != "success":
            raise self._failure()
        return self._result

    def cancel_job(self) -> None:
        """Cancel the job and wait until it has ended; errors are only reported."""
        if self._ended:
            return
        try:
            self._cluster.asked(lambda: self._cluster.client.CancelJob(self.number))
            self.wait_for_result()
        except Error as e:
            self._report(e)

    def _read_changes(self) -> Iterator[tuple[str | None, Sequence[Any]]]:
        """Yield the job's final status, or None, and its new messages, until it has ended."""
        while not self._ended:
            changed = self._cluster.asked(
                lambda: self._cluster.client.WaitForJobChange(
                    self.number, FIELDS, self._seen, self._serial
                )
            )
            if changed is None:
                # Nothing has changed within the time of one request.
                continue
            self._seen, entries = changed["job_info"], changed["log_entries"] or ()
            if entries:
                self._serial = max(entry[0] for entry in entries)
            status, results = self._seen or (None, None)
            self._result = results[0] if results else None
            self._ended = status if status in FINAL else None
            yield self._ended, entries

    def _report(self, payload: object) -> None:
        self._cluster.say(f"{self._cluster.name}: {payload}")

    def _failure(self) -> JobFailed:
        match self._result:
            case [str(), [str(text), *_]]:
                why = text
            case _:
                why = str(self._result)
        return JobFailed(f"job {self.number} of {self._cluster.name} failed: {why}")
