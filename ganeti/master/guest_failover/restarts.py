# SPDX-License-Identifier: BSD-2-Clause
"""The restart of guests that have stopped without being told to, on their own nodes.

The watcher restarts guests as well, every few minutes and whatever their policy is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.config.changes.failover import wants_restart
from ganeti.config.state import ClusterState
from ganeti.errors import GanetiError
from ganeti.master.guest_failover.recovery import JobQueue
from ganeti.metrics.family import Counter
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.rpc.call import Nodes
from ganeti.rpc.instances import ListGuests

INTERVAL = 3.0
"""Seconds between two looks at the guests."""

MISSED = 2
"""The number of looks in a row without a guest after which it is restarted.

One that is migrating, or that a job is restarting, is away for a moment.
"""

ATTEMPTS = 3
"""How often a guest is restarted within ``PERIOD``; then it is left to the watcher."""

PERIOD = 600.0

ANSWER_TIMEOUT = 3.0


@dataclass
class _Seen:
    """A guest that should run: in how many looks it was missing, and when it was restarted."""

    missing: int = 0
    restarts: list[float] = field(default_factory=list)


class Restarts:
    """Restarts guests with a policy; ``look`` has to be called every ``INTERVAL`` seconds.

    ``locked`` returns whether a job holds or requests the lock of an instance.
    """

    _log = Logger()

    def __init__(
        self,
        state: Callable[[], ClusterState],
        nodes: Nodes,
        queue: JobQueue,
        locked: Callable[[Instance], bool],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._state = state
        self._nodes = nodes
        self._queue = queue
        self._locked = locked
        self._clock = clock
        self._now = now
        self._seen: dict[str, _Seen] = {}
        self.submitted = Counter(
            "ganeti_guest_restarts", "Jobs that restart a guest which has stopped by itself."
        )

    async def look(self) -> None:
        """Ask the nodes for their guests, and submit jobs for those that are missing.

        :raises GanetiError: the jobs could not be submitted.
        """
        state = self._state()
        wanted = self._list_wanted(state)
        for uuid in self._seen.keys() - {each.uuid for some in wanted.values() for each in some}:
            del self._seen[uuid]
        asking = [
            (node, Deferred.fromCoroutine(self._find_missing(state.nodes[node], some)))
            for node, some in wanted.items()
        ]
        due: list[Instance] = []
        for _, each in asking:
            due += await each
        jobs = [[self._make_job(instance)] for instance in due]
        if jobs:
            await self._queue.submit_many(jobs, who="failover")
            self.submitted.count(by=len(jobs))

    def _list_wanted(self, state: ClusterState) -> dict[str, list[Instance]]:
        """Return the instances that should run, by the UUID of their node."""
        found: dict[str, list[Instance]] = {}
        for uuid in state.failover_policies:
            instance = state.instances.get(uuid)
            if instance is None or not wants_restart(state, uuid):
                continue
            if not state.nodes[instance.primary_node].offline:
                found.setdefault(instance.primary_node, []).append(instance)
        return found

    async def _find_missing(self, node: Node, wanted: Sequence[Instance]) -> list[Instance]:
        """Return the guests that have been missing for long enough; none if the node is silent."""
        call = ListGuests(
            hypervisors=tuple(sorted({each.hypervisor for each in wanted})),
            only=tuple(each.name for each in wanted),
        )
        asking = Deferred.fromCoroutine(self._nodes.ask(node, call))
        try:
            running = await asking.addTimeout(ANSWER_TIMEOUT, self._clock)
        except (GanetiError, TimedOut):
            return []
        return [each for each in wanted if self._is_due(each, each.name in running)]

    def _is_due(self, instance: Instance, runs: bool) -> bool:
        seen, now = self._seen.setdefault(instance.uuid, _Seen()), self._clock.seconds()
        if runs or self._locked(instance):
            seen.missing = 0
            return False
        seen.missing += 1
        seen.restarts = [at for at in seen.restarts if at > now - PERIOD]
        if seen.missing < MISSED or len(seen.restarts) >= ATTEMPTS:
            return False
        seen.missing = 0
        seen.restarts.append(now)
        return True

    def _make_job(self, instance: Instance) -> StartInstance:
        self._log.warn("instance {name} has stopped; it is restarted", name=instance.name)
        reason = ("ganeti:failover", "its guest had stopped", int(self._now() * 1e9))
        return StartInstance(instance_name=instance.name, reason=(reason,))
