# SPDX-License-Identifier: BSD-2-Clause
"""Jobs of a cluster, followed to their end over its remote API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ganeti.rapi.client import Error, GanetiApiError, GanetiRapiClient

T = TypeVar("T")

FINAL = frozenset({"success", "error", "canceled"})
FIELDS = ("status", "opresult")

TRIES = 60
"""How often a cluster that cannot be reached is asked again, a second apart."""

_AWAY = frozenset({None, 502, 503, 504})
"""The codes of answers that the cluster's master did not give."""

Say = Callable[[str], None]


class JobFailed(Error):
    """A job was not successful; the message says why."""


@dataclass(frozen=True)
class FollowedCluster:
    """A cluster as one follows it: by the client of its remote API, and its name."""

    client: GanetiRapiClient
    name: str
    say: Say
    sleep: Callable[[float], None]

    def asked(self, question: Callable[[], T]) -> T:
        """The answer to a question, which is repeated while the cluster is away for a moment."""
        for left in reversed(range(TRIES)):
            try:
                return question()
            except GanetiApiError as e:
                if e.code not in _AWAY or not left:
                    raise
                if left == TRIES - 1:
                    self.say(f"{self.name} does not answer; asking again: {e}")
            self.sleep(1.0)
        raise AssertionError("the last try ends the loop")

    def job(self, number: int) -> JobFollower:
        return JobFollower(self, number)

    def do(self, order: Callable[[], int]) -> Any:
        """The result of a job that may be ordered twice.

        :raises JobFailed: it was not successful.
        """
        return self.job(self.asked(order)).wait()


class JobFollower:
    """A job, whose messages are passed on as they come."""

    def __init__(self, cluster: FollowedCluster, number: int) -> None:
        self.number = number
        self._cluster = cluster
        self._seen: Sequence[Any] | None = None
        self._serial: int | None = None
        self._result: Any = None
        self._ended: str | None = None

    def wait_for(self, kind: str) -> Any:
        """The payload of the next message of this type.

        :raises JobFailed: the job ended without one.
        """
        for ended, entries in self._changes():
            payload = None
            for _, _, its_kind, its_payload in entries:
                if its_kind == kind:
                    payload = its_payload
                else:
                    self._show(its_payload)
            if payload is not None:
                return payload
            if ended:
                break
        raise self._failed()

    def wait(self) -> Any:
        """The result of the job's only opcode.

        :raises JobFailed: the job was not successful.
        """
        for _, entries in self._changes():
            for _, _, _, payload in entries:
                self._show(payload)
        if self._ended != "success":
            raise self._failed()
        return self._result

    def end(self) -> None:
        """Have the job end, and wait until it has; whatever becomes of it is only told."""
        if self._ended:
            return
        try:
            self._cluster.asked(lambda: self._cluster.client.CancelJob(self.number))
            self.wait()
        except Error as e:
            self._show(e)

    def _changes(self) -> Iterator[tuple[str | None, Sequence[Any]]]:
        """The job's final status, or None, and its new messages, until it has ended."""
        while not self._ended:
            changed = self._cluster.asked(
                lambda: self._cluster.client.WaitForJobChange(
                    self.number, FIELDS, self._seen, self._serial
                )
            )
            if changed is None:
                continue
            self._seen, entries = changed["job_info"], changed["log_entries"] or ()
            if entries:
                self._serial = max(entry[0] for entry in entries)
            status, results = self._seen or (None, None)
            self._result = results[0] if results else None
            self._ended = status if status in FINAL else None
            yield self._ended, entries

    def _show(self, payload: object) -> None:
        self._cluster.say(f"{self._cluster.name}: {payload}")

    def _failed(self) -> JobFailed:
        match self._result:
            case [str(), [str(text), *_]]:
                why = text
            case _:
                why = str(self._result)
        return JobFailed(f"job {self.number} of {self._cluster.name} was not successful: {why}")
