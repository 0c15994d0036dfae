# SPDX-License-Identifier: BSD-2-Clause
"""The node status cache: the last answer of each node about itself.

At most one query per node runs at a time, and all callers share its answer. A job that changes a
node invalidates its answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.disks import CreateDisk, GrowDiskCall, RemoveDisk
from ganeti.rpc.instances import (
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    RebootInstanceCall,
    StartInstanceCall,
    StopInstance,
)
from ganeti.rpc.node import DescribeNode, NodeInfo

R = TypeVar("R")

Observer: TypeAlias = Callable[[str, NodeInfo | Failed], None]

STATUS_CHANGING_CALLS: frozenset[type[Call[Any]]] = frozenset(
    {
        StartInstanceCall,
        StopInstance,
        RebootInstanceCall,
        FinalizeMigrationDst,
        FinalizeMigrationSrc,
        CreateDisk,
        RemoveDisk,
        GrowDiskCall,
    }
)
"""Calls that invalidate the status of a node."""


@dataclass
class _NodeEntry:
    """The last answer of a node, the time of its query, and the running query."""

    facts: NodeInfo | None = None
    trouble: Failed | None = None
    asked: float = -1e9
    old: bool = True
    asking: Deferred[None] | None = None
    waiting: list[Deferred[None]] = field(default_factory=list)


class NodeStatusCache:
    """The status of all nodes, refreshed on demand."""

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        clock: IReactorTime,
        *,
        max_age: float = 5.0,
        patience: float = 2.0,
    ) -> None:
        """Refresh answers older than ``max_age`` seconds.

        Callers wait at most ``patience`` seconds for that, then use what is known.
        """
        self._nodes = nodes
        self._state = state
        self._clock = clock
        self._max_age = max_age
        self._wait_timeout = patience
        self._known: dict[str, _NodeEntry] = {}
        self._observers: list[Observer] = []

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with the UUID of a node and each answer or error."""
        self._observers.append(observer)

    def facts(self, uuid: str) -> NodeInfo | None:
        """Return the last answer of a node; None after an error, or if it was never queried."""
        known = self._known.get(uuid)
        return known.facts if known is not None else None

    def age(self, uuid: str) -> float | None:
        """Return the age of a node's answer in seconds; None if there is none."""
        known = self._known.get(uuid)
        if known is None or known.facts is None:
            return None
        return self._clock.seconds() - known.asked

    def changed(self, uuid: str) -> None:
        """Invalidate the answer of a node that a job has changed."""
        if known := self._known.get(uuid):
            known.old = True

    async def refresh(self, nodes: Sequence[Node]) -> None:
        """Refresh old answers of ``nodes``, as far as the nodes answer within the time-out."""
        now = self._clock.seconds()
        waits = []
        for node in nodes:
            if node.offline:
                self._known.pop(node.uuid, None)
                continue
            known = self._known.setdefault(node.uuid, _NodeEntry())
            if known.old or now - known.asked > self._max_age:
                waits.append(self._wait_for_answer(node, known))
        if not waits:
            return
        together: Deferred[Any] = DeferredList(waits, consumeErrors=True)
        timer = self._clock.callLater(self._wait_timeout, together.cancel)
        together.addBoth(self._stop_timer, timer)
        await together

    def _wait_for_answer(self, node: Node, known: _NodeEntry) -> Deferred[None]:
        """Return a Deferred that fires when the running query, or else a new one, is answered."""
        waiter: Deferred[None] = Deferred(known.waiting.remove)
        known.waiting.append(waiter)
        if known.asking is None:
            known.asking = Deferred.fromCoroutine(self._query_node(node, known))
            known.asking.addErrback(self._log_failure, node)
            known.asking.addCallback(lambda _: self._on_query_ended(known))
        return waiter

    def _log_failure(self, failure: Failure, node: Node) -> None:
        if not failure.check(CancelledError):
            self._log.failure("internal error while querying {node}", failure, node=node.name)

    def _on_query_ended(self, known: _NodeEntry) -> None:
        # Not inside the coroutine: one that is discarded with its master must wake no waiters.
        known.asking = None
        waiting, known.waiting = known.waiting, []
        for waiter in waiting:
            waiter.callback(None)

    async def _query_node(self, node: Node, known: _NodeEntry) -> None:
        cluster = self._state().cluster
        question = DescribeNode(
            hypervisors=cluster.enabled_hypervisors, storage=storage_units(self._state())
        )
        try:
            # Again if a job changed the node meanwhile: callers since then need to see the change.
            for _ in range(2):
                known.asked, known.old = self._clock.seconds(), False
                known.facts, known.trouble = await self._nodes.ask(node, question), None
                if not known.old:
                    break
        except Failed as e:
            known.facts, known.trouble = None, e
            self._notify_observers(node.uuid, e)
        except NotMaster as e:
            known.facts, known.trouble = None, Failed(str(e))
        else:
            if known.facts is not None:
                self._notify_observers(node.uuid, known.facts)

    def _notify_observers(self, uuid: str, answer: NodeInfo | Failed) -> None:
        for observer in self._observers:
            try:
                observer(uuid, answer)
            except Exception:
                self._log.failure("an observer failed for node {uuid}", uuid=uuid)

    def _stop_timer(self, result: Any, timer: IDelayedCall) -> None:
        # A caller that times out or disconnects does not cancel the shared query.
        if timer.active():
            timer.cancel()

    def stop(self) -> None:
        """Cancel all running queries."""
        for known in self._known.values():
            if known.asking is not None:
                known.asking.cancel()


def storage_units(state: ClusterState) -> tuple[tuple[str, str], ...]:
    """Return the storage units, as (kind, name), that the cluster's disk templates use."""
    cluster = state.cluster
    enabled = set(cluster.enabled_disk_templates)
    units = []
    if enabled & {"plain", "drbd"} and cluster.volume_group_name:
        units.append(("lvm-vg", cluster.volume_group_name))
    if "file" in enabled and cluster.file_storage_dir:
        units.append(("file", cluster.file_storage_dir))
    if "sharedfile" in enabled and cluster.shared_file_storage_dir:
        units.append(("sharedfile", cluster.shared_file_storage_dir))
    return tuple(units)


class WatchedNodes:
    """``Nodes`` for jobs: requires the lease, and reports calls that change a node's status."""

    def __init__(
        self,
        nodes: Nodes,
        changed: Callable[[str], None],
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        self._nodes = nodes
        self._changed = changed
        self._confirm = confirm

    async def ask(self, node: Node, call: Call[R]) -> R:
        await self._confirm()
        try:
            return await self._nodes.ask(node, call)
        finally:
            if type(call) in STATUS_CHANGING_CALLS:
                self._changed(node.uuid)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        await self._confirm()
        try:
            return await self._nodes.ask_all(nodes, call)
        finally:
            if type(call) in STATUS_CHANGING_CALLS:
                for node in nodes:
                    self._changed(node.uuid)
