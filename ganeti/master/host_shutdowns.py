# SPDX-License-Identifier: BSD-2-Clause
"""Migration of the guests of hosts that are shut down, if their administrators want that.

A host that waits for it says so in the reports of its node daemon; see
``ganeti.bootstrap.guest_shutdown.migrate_guests``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError
from ganeti.opcodes.node import MigrateNode
from ganeti.opcodes.opcode import Opcode
from ganeti.rpc.node import NodeInfo

RETRY_INTERVAL = 5.0
"""Seconds until jobs are submitted again that the queue did not accept."""

ATTEMPTS = 6
"""After so many attempts, the guests are left to shut down with their host."""


Submit: TypeAlias = Callable[[Sequence[Opcode]], Awaitable[int]]
"""Accepts a job and returns its number; that of ``JobQueue``."""


class HostShutdowns:
    """Submits a job that migrates all guests away from each host that is about to stop."""

    _log = Logger()

    def __init__(
        self,
        state: Callable[[], ClusterState],
        submit: Submit,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """``now`` is the time in seconds since the epoch, for the reasons of jobs."""
        self._state = state
        self._submit_jobs = submit
        self._clock = clock
        self._now = now
        self._stopping: set[str] = set()

    def node_answered(self, uuid: str, answer: NodeInfo | Failed) -> None:
        """Begin when a node reports it for the first time; an observer of the status cache."""
        if isinstance(answer, Failed):
            return
        if not answer.host_stops:
            # Booted again, or the shutdown was given up.
            self._stopping.discard(uuid)
        elif uuid not in self._stopping:
            self._stopping.add(uuid)
            submitting = Deferred.fromCoroutine(self._submit(uuid))
            submitting.addErrback(self._log_failure)

    def _log_failure(self, failure: Failure) -> None:
        self._log.failure("internal error: guests are not migrated", failure)

    async def _submit(self, uuid: str) -> None:
        for _ in range(ATTEMPTS):
            node = self._state().nodes.get(uuid)
            if node is None or uuid not in self._stopping:
                return
            reason = ("ganeti:host-shutdown", "its host is shut down", int(self._now() * 1e9))
            job = MigrateNode(node_name=node.name, node_uuid=uuid, reason=(reason,))
            try:
                number = await self._submit_jobs([job])
            except GanetiError as e:
                self._log.warn(
                    "the instances of node {node}, whose host is shut down, cannot be migrated: "
                    "{why}",
                    node=node.name,
                    why=str(e),
                )
                await deferLater(self._clock, RETRY_INTERVAL)
                continue
            self._log.info(
                "the host of node {node} is shut down; job {job} migrates its instances",
                node=node.name,
                job=number,
            )
            return
