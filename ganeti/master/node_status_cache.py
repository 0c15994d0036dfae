# SPDX-License-Identifier: BSD-2-Clause
"""What the nodes last said of themselves.

However many ask, a node is asked one question at a time, and everybody gets its answer. An
answer knows its age; what jobs do on a node makes its answer old at once.
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

CHANGES_FACTS: frozenset[type[Call[Any]]] = frozenset(
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
"""Calls after which a node's facts are not what they were."""


@dataclass
class _Known:
    """One node's last answer and when it was asked for, and the question that is under way."""

    facts: NodeInfo | None = None
    trouble: Failed | None = None
    asked: float = -1e9
    old: bool = True
    asking: Deferred[None] | None = None
    waiting: list[Deferred[None]] = field(default_factory=list)


class NodeStatusCache:
    """The facts of all nodes, kept and refreshed on demand."""

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
        """Answers older than ``max_age`` seconds are asked for anew; who needs one waits for at
        most ``patience`` seconds and then makes do with what is known.
        """
        self._nodes = nodes
        self._state = state
        self._clock = clock
        self._max_age = max_age
        self._patience = patience
        self._known: dict[str, _Known] = {}
        self._observers: list[Observer] = []

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with the UUID of a node and each answer, or why there is none."""
        self._observers.append(observer)

    def facts(self, uuid: str) -> NodeInfo | None:
        """What the node last said; None if its last answer was trouble, or it was never asked."""
        known = self._known.get(uuid)
        return known.facts if known is not None else None

    def age(self, uuid: str) -> float | None:
        """How many seconds old the facts of a node are; None if there are none."""
        known = self._known.get(uuid)
        if known is None or known.facts is None:
            return None
        return self._clock.seconds() - known.asked

    def changed(self, uuid: str) -> None:
        """Something was done on the node that its facts do not show yet."""
        if known := self._known.get(uuid):
            known.old = True

    async def refresh(self, nodes: Sequence[Node]) -> None:
        """See to it that what is known of ``nodes`` is fresh, as far as they answer in time."""
        now = self._clock.seconds()
        waits = []
        for node in nodes:
            if node.offline:
                self._known.pop(node.uuid, None)
                continue
            known = self._known.setdefault(node.uuid, _Known())
            if known.old or now - known.asked > self._max_age:
                waits.append(self._asked(node, known))
        if not waits:
            return
        together: Deferred[Any] = DeferredList(waits, consumeErrors=True)
        timer = self._clock.callLater(self._patience, together.cancel)
        together.addBoth(self._stop_timer, timer)
        await together

    def _asked(self, node: Node, known: _Known) -> Deferred[None]:
        """Fires when the question that is under way, or else a new one, is answered."""
        waiter: Deferred[None] = Deferred(known.waiting.remove)
        known.waiting.append(waiter)
        if known.asking is None:
            known.asking = Deferred.fromCoroutine(self._ask(node, known))
            known.asking.addErrback(self._broke, node)
            known.asking.addCallback(lambda _: self._ended(known))
        return waiter

    def _broke(self, failure: Failure, node: Node) -> None:
        if not failure.check(CancelledError):
            self._log.failure("asking {node} broke", failure, node=node.name)

    def _ended(self, known: _Known) -> None:
        # Not at the end of the coroutine: one that is thrown away with its master wakes nobody.
        known.asking = None
        waiting, known.waiting = known.waiting, []
        for waiter in waiting:
            waiter.callback(None)

    async def _ask(self, node: Node, known: _Known) -> None:
        cluster = self._state().cluster
        question = DescribeNode(
            hypervisors=cluster.enabled_hypervisors, storage=storage_units(self._state())
        )
        try:
            # Once more if something was done there meanwhile: who came since wants to see it.
            for _ in range(2):
                known.asked, known.old = self._clock.seconds(), False
                known.facts, known.trouble = await self._nodes.ask(node, question), None
                if not known.old:
                    break
        except Failed as e:
            known.facts, known.trouble = None, e
            self._tell(node.uuid, e)
        except NotMaster as e:
            known.facts, known.trouble = None, Failed(str(e))
        else:
            if known.facts is not None:
                self._tell(node.uuid, known.facts)

    def _tell(self, uuid: str, answer: NodeInfo | Failed) -> None:
        for observer in self._observers:
            try:
                observer(uuid, answer)
            except Exception:
                self._log.failure("an observer of node {uuid} broke", uuid=uuid)

    def _stop_timer(self, result: Any, timer: IDelayedCall) -> None:
        # Whoever gave up waiting, by time-out or by hanging up, leaves the question under way.
        if timer.active():
            timer.cancel()

    def stop(self) -> None:
        """End every question that is under way."""
        for known in self._known.values():
            if known.asking is not None:
                known.asking.cancel()


def storage_units(state: ClusterState) -> tuple[tuple[str, str], ...]:
    """The storage units, as kind and name, whose space the cluster is interested in."""
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
    """The nodes as jobs ask them: only while ``confirm`` says that this master holds its lease, and
    with a look at every call that changes what they would say of themselves.
    """

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
            if type(call) in CHANGES_FACTS:
                self._changed(node.uuid)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        await self._confirm()
        try:
            return await self._nodes.ask_all(nodes, call)
        finally:
            if type(call) in CHANGES_FACTS:
                for node in nodes:
                    self._changed(node.uuid)
