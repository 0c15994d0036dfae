# SPDX-License-Identifier: BSD-2-Clause
"""Events of what only nodes know; nodes are asked for it while somebody reads events."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError
from ganeti.locking.waiting import LockWaiter
from ganeti.master.event_feed import EventFeed
from ganeti.master.node_status_cache import NodeStatusCache
from ganeti.master.node_watch import NodeWatch, Observation
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.guests import with_parameters
from ganeti.rpc.call import Nodes
from ganeti.rpc.disks import DescribeDisks, DiskStatus
from ganeti.rpc.node import NodeInfo

INTERVAL = 5.0
"""Seconds between two questions to all nodes."""

SOON = 0.3
"""Seconds after which they are asked when a job has changed something, or a guest is gone."""

DISK_ROUNDS = 6
"""Mirrored disks are asked for in every so many rounds."""

LINGER = 120.0
"""Seconds for which nodes are still asked after the last reader has gone."""


class NodeEvents:
    """Asks nodes as long as there are readers, and adds what has happened there to the feed."""

    _log = Logger()

    def __init__(
        self,
        feed: EventFeed,
        live: NodeStatusCache,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        locks: LockWaiter,
        clock: IReactorTime,
    ) -> None:
        self._feed = feed
        self._live = live
        self._nodes = nodes
        self._state = state
        self._locks = locks
        self._clock = clock
        self.watch = NodeWatch(state, self._locked)
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None
        self._rounds = 0
        self._stopped = False
        live.observe(self._answered)
        feed.on_read(self._read)

    def changed(self, uuid: str) -> None:
        """Something was done on a node: ask it soon, if somebody reads events."""
        self._live.changed(uuid)
        if self._timer is not None:
            self._schedule(SOON)

    def stop(self) -> None:
        """Ask no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asking.cancel()

    def _read(self) -> None:
        if self._timer is None and self._asking is None and not self._stopped:
            self._timer = self._clock.callLater(0, self._begin)

    def _schedule(self, delay: float) -> None:
        at = self._clock.seconds() + delay
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._begin)
        elif self._timer.getTime() > at:
            self._timer.reset(delay)

    def _begin(self) -> None:
        self._timer = None
        self._asking = Deferred.fromCoroutine(self._round())
        self._asking.addErrback(self._failed)
        self._asking.addCallback(self._go_on)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("asking nodes for events broke", failure)

    def _go_on(self, _: None) -> None:
        self._asking = None
        read = self._feed.readers or self._clock.seconds() < self._feed.last_read + LINGER
        if read and not self._stopped:
            self._schedule(SOON if self.watch.undecided else INTERVAL)

    async def _round(self) -> None:
        state = self._state()
        # Whoever is undecided about a guest needs answers that are newer than its disappearance.
        if self.watch.undecided:
            for uuid in state.nodes:
                self._live.changed(uuid)
        await self._live.refresh(list(state.nodes.values()))
        for node in state.nodes.values():
            if node.offline:
                self.watch.forget(node.uuid)
        self._add(self.watch.decide())
        self._rounds += 1
        if self._rounds % DISK_ROUNDS == 1:
            await self._ask_disks()

    async def _ask_disks(self) -> None:
        state = self._state()
        found: dict[str, DiskStatus | None] = {}
        for node in state.nodes.values():
            disks = mirrored_on(node, state)
            if node.offline or not disks:
                continue
            try:
                statuses = await self._nodes.ask(node, DescribeDisks(disks=tuple(disks.values())))
            except GanetiError:
                continue  # that it does not answer is an event by itself
            found.update(zip(disks, statuses, strict=True))
        self._add(self.watch.disks(found))

    def _answered(self, uuid: str, answer: NodeInfo | Failed) -> None:
        self._add(self.watch.answered(uuid, answer))

    def _add(self, observations: Iterable[Observation]) -> None:
        for seen in observations:
            self._feed.observed(
                seen.kind, seen.action, seen.name, names=seen.names, tags=seen.tags, **seen.details
            )

    def _locked(self, instance: Instance) -> bool:
        name = f"instance/{instance.uuid}"
        return any(row.name == name for row in self._locks.rows())


def mirrored_on(node: Node, state: ClusterState) -> dict[str, Disk]:
    """Return the mirrored disks of instances that are to run on a node, as they are sent to it."""
    return {
        disk.uuid: with_parameters(state, instance, disk)
        for instance in state.primaries_on(node)
        if instance.disks_active
        for disk in state.disks_of(instance)
        if disk.dev_type in MIRRORED_BETWEEN_NODES
    }
