# SPDX-License-Identifier: BSD-2-Clause
"""Events that only nodes can observe, from their reports.

While clients read events, nodes that do not report are polled, and all nodes if it has to be
decided what has become of a guest.
"""

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
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.rpc.call import Nodes
from ganeti.rpc.disks import DescribeDisks, DiskStatus
from ganeti.rpc.node import NodeInfo

INTERVAL = 5.0
"""Seconds between two polls of all nodes."""

SOON = 0.3
"""Seconds before a poll after a job has changed a node, or a guest has vanished."""

ROUNDS_PER_DISK_POLL = 6
"""Number of polls of nodes per poll of mirrored disks."""

LINGER = 120.0
"""Seconds for which polling continues after the last reader has disconnected."""


class NodeEvents:
    """Polls nodes while there are readers, and adds observed changes to the event feed."""

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
        self.watch = NodeWatch(state, self.is_locked)
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None
        self._rounds = 0
        self._stopped = False
        live.observe(self._on_answer)
        feed.set_read_callback(self._on_read)

    def node_changed(self, uuid: str, guest: str | None = None) -> None:
        """Poll a node soon after a change, of one guest or more, if there are readers of events."""
        self._live.invalidate(uuid, guest)
        if self._timer is not None:
            self._schedule(SOON)

    def stop(self) -> None:
        """Stop polling."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asking.cancel()

    def _on_read(self) -> None:
        if self._timer is None and self._asking is None and not self._stopped:
            self._timer = self._clock.callLater(0, self._start_round)

    def _schedule(self, delay: float) -> None:
        at = self._clock.seconds() + delay
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._start_round)
        elif self._timer.getTime() > at:
            self._timer.reset(delay)

    def _start_round(self) -> None:
        self._timer = None
        self._asking = Deferred.fromCoroutine(self._poll_nodes())
        self._asking.addErrback(self._log_failure)
        self._asking.addCallback(self._schedule_next)

    def _log_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("internal error while polling nodes for events", failure)

    def _schedule_next(self, _: None) -> None:
        self._asking = None
        read = self._feed.readers or self._clock.seconds() < self._feed.last_read + LINGER
        if read and not self._stopped:
            self._schedule(SOON if self.watch.undecided else INTERVAL)

    async def _poll_nodes(self) -> None:
        state = self._state()
        # A decision about a vanished guest needs answers from after its disappearance.
        if self.watch.undecided:
            for uuid in state.nodes:
                self._live.invalidate(uuid)
        await self._live.refresh(list(state.nodes.values()), reported=not self.watch.undecided)
        for node in state.nodes.values():
            if node.offline:
                self.watch.drop_answer(node.uuid)
        self._add_events(self.watch.classify_vanished())
        self._rounds += 1
        if self._rounds % ROUNDS_PER_DISK_POLL == 1:
            await self._poll_disks()

    async def _poll_disks(self) -> None:
        state = self._state()
        found: dict[str, DiskStatus | None] = {}
        for node in state.nodes.values():
            disks = list_mirrored_disks(node, state)
            if node.offline or not disks:
                continue
            try:
                statuses = await self._nodes.ask(node, DescribeDisks(disks=tuple(disks.values())))
            except GanetiError:
                continue  # an unreachable node is an event of its own kind
            found.update(zip(disks, statuses, strict=True))
        self._add_events(self.watch.disks(found))

    def _on_answer(self, uuid: str, answer: NodeInfo | Failed) -> None:
        self._add_events(self.watch.answered(uuid, answer))

    def _add_events(self, observations: Iterable[Observation]) -> None:
        for seen in observations:
            self._feed.observed(
                seen.kind, seen.action, seen.name, names=seen.names, tags=seen.tags, **seen.details
            )

    def is_locked(self, instance: Instance) -> bool:
        """Return whether a job holds or requests the lock of an instance."""
        name = f"instance/{instance.uuid}"
        return any(row.name == name for row in self._locks.rows())


def list_mirrored_disks(node: Node, state: ClusterState) -> dict[str, Disk]:
    """Return the mirrored disks of instances whose primary is ``node``, as RPC calls carry them."""
    return {
        disk.uuid: fill_disk_parameters(state, instance, disk)
        for instance in state.list_primary_instances(node)
        if instance.disks_active
        for disk in state.get_disks(instance)
        if disk.dev_type in MIRRORED_TEMPLATES
    }
