# SPDX-License-Identifier: BSD-2-Clause
"""The node status cache: the last answer of each node about itself.

Nodes report changes (``master/status_watch.py``), so that a query waits only for nodes that have
never answered. A guest that a job has started or stopped is known from the success of this call,
until the node reports it.

A node that does not report, and one whose free memory an allocation needs, is asked. At most one
query per node runs at a time, and all callers share its answer. A job that changes a node
invalidates its answer; one that starts or stops a guest invalidates only what is known of this
guest, which is asked for alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, NotMaster, Unreachable
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.disks import CreateDisk, GrowDiskCall, RemoveDisk
from ganeti.rpc.instances import (
    BalloonMemory,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    RebootInstanceCall,
    RebootMethod,
    StartInstanceCall,
    StopInstance,
)
from ganeti.rpc.node import DescribeNode, NodeInfo, StatusReport
from ganeti.schema.records import replace

R = TypeVar("R")

Observer: TypeAlias = Callable[[str, NodeInfo | Failed], None]

STATUS_CHANGING_CALLS: frozenset[type[Call[object]]] = frozenset(
    {
        BalloonMemory,
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

MAX_STALE_GUESTS = 100
"""Number of guests with an outdated state beyond which all guests of a node are asked for."""


def _guest_of(call: Call[object]) -> str | None:
    """Return the only guest whose state a call changes; None if it changes more of a node."""
    match call:
        case StartInstanceCall() | RebootInstanceCall() | BalloonMemory():
            return call.guest.name
        case StopInstance():
            return call.instance_name
    return None


@dataclass
class _NodeEntry:
    """The last answer of a node, the time of its query, and the running query.

    ``stale`` are the guests that jobs have started or stopped since; ``old`` is set if the whole
    answer is outdated. ``reports`` is whether the node reports changes by itself.
    """

    facts: NodeInfo | None = None
    trouble: Failed | None = None
    asked: float = -1e9
    old: bool = True
    stale: set[str] = field(default_factory=set)
    reports: bool = False
    asking: Deferred[None] | None = None
    waiting: list[Deferred[None]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether a job has changed the node since it was asked."""
        return self.old or bool(self.stale)


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
        self._known: dict[str, _NodeEntry] = defaultdict(_NodeEntry)
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

    def invalidate(self, uuid: str, guest: str | None = None) -> None:
        """Invalidate the answer of a node that a job has changed, or the state of one guest."""
        if known := self._known.get(uuid):
            if guest is not None and len(known.stale) < MAX_STALE_GUESTS:
                known.stale.add(guest)
            else:
                known.old = True

    def report(self, uuid: str, report: StatusReport) -> bool:
        """Record a report of a node; return False if it is of changes to something unknown."""
        known = self._known[uuid]
        if report.whole:
            facts = report.info
        elif known.facts is None:
            return False
        else:
            facts = _merge_guests(known.facts, report.info, report.gone)
        known.facts, known.trouble, known.reports = facts, None, True
        known.asked = self._clock.seconds()
        self._notify_observers(uuid, facts)
        return True

    def report_failed(self, uuid: str, error: Failed) -> None:
        """Record that a node that has reported does not answer; it is called for reports again.

        Others are asked as if there were no reports: their daemon may be of an earlier release.
        """
        if (known := self._known.get(uuid)) is not None and known.reports:
            known.facts, known.trouble = None, error
            self._notify_observers(uuid, error)

    def reports_ended(self, uuid: str) -> None:
        """Record that a node reports nothing, and has to be asked from now on."""
        if known := self._known.get(uuid):
            known.reports, known.old = False, True

    def succeeded(self, uuid: str, call: Call[object]) -> None:
        """Record what a call has done to a guest, so that a query sees it at once.

        The node reports the guest, too, whether or not it is still so.
        """
        known = self._known.get(uuid)
        if known is None or known.facts is None or not known.reports:
            return
        guests = dict(known.facts.guests)
        match call:
            case StartInstanceCall() | RebootInstanceCall() | FinalizeMigrationDst(arrived=True):
                guest = call.guest
                if isinstance(call, RebootInstanceCall) and call.kind is RebootMethod.HARD:
                    guests.pop(guest.name, None)  # it was started with its present settings
                paused = isinstance(call, StartInstanceCall) and call.paused
                guests.setdefault(
                    guest.name,
                    GuestState(
                        name=guest.name, memory=guest.memory, vcpus=guest.vcpus, paused=paused
                    ),
                )
            case StopInstance():
                guests.pop(call.instance_name, None)
            case BalloonMemory() if call.guest.name in guests:
                name = call.guest.name
                guests[name] = replace(guests[name], memory=call.memory)
            case FinalizeMigrationSrc(left=True):
                guests.pop(call.guest.name, None)
            case _:
                return
        known.facts = replace(known.facts, guests=guests)

    async def refresh(
        self, nodes: Sequence[Node], *, changed: bool = True, reported: bool = True
    ) -> None:
        """Refresh old answers of ``nodes``, as far as the nodes answer within the time-out.

        Unless ``changed``, changes by jobs do not make an answer old. Nodes that report changes are
        not asked, if what they have ``reported`` will do.
        """
        now = self._clock.seconds()
        waits = []
        for node in nodes:
            if node.offline:
                self._known.pop(node.uuid, None)
                continue
            known = self._known[node.uuid]
            if known.reports and reported:
                continue
            if (changed and known.changed) or now - known.asked > self._max_age:
                waits.append(self._wait_for_answer(node, known))
        if not waits:
            return
        together = DeferredList(waits, consumeErrors=True)
        timer = self._clock.callLater(self._wait_timeout, together.cancel)
        together.addBoth(self._stop_timer, timer)
        await together

    async def recent(
        self, nodes: Sequence[Node], max_age: float
    ) -> Mapping[str, NodeInfo | Failed]:
        """Return the last answers of ``nodes`` by UUID, at most ``max_age`` seconds old.

        Nodes that a job has changed since, or that have not answered, are asked again; the caller
        waits until they have answered or failed.
        """
        now = self._clock.seconds()
        known = [(node, self._known[node.uuid]) for node in nodes]
        waits = [
            self._wait_for_answer(node, entry)
            for node, entry in known
            if entry.facts is None or entry.changed or now - entry.asked > max_age
        ]
        if waits:
            await DeferredList(waits, consumeErrors=True)
        return {node.uuid: _answer_of(node, entry) for node, entry in known}

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
        try:
            # Again if a job changed the node meanwhile: callers since then need to see the change.
            for _ in range(2):
                known.facts, known.trouble = await self._ask(node, known), None
                if not known.changed:
                    break
        except Failed as e:
            known.facts, known.trouble = None, e
            self._notify_observers(node.uuid, e)
        except NotMaster as e:
            known.facts, known.trouble = None, Failed(str(e))
        else:
            if known.facts is not None:
                self._notify_observers(node.uuid, known.facts)

    async def _ask(self, node: Node, known: _NodeEntry) -> NodeInfo:
        """Ask a node for everything, or only for the guests whose state is outdated."""
        state, now = self._state(), self._clock.seconds()
        question = DescribeNode(
            hypervisors=state.cluster.enabled_hypervisors, storage=storage_units(state)
        )
        before, names = known.facts, tuple(sorted(known.stale))
        recent = now - known.asked <= self._max_age
        # Before the question: what a job changes meanwhile is outdated again.
        known.stale.clear()
        if before is not None and names and recent and not known.old:
            answer = await self._nodes.ask(node, replace(question, only=names))
            if not answer.problems:
                # The node may have reported other guests meanwhile.
                return _merge_guests(known.facts or before, answer, names)
        known.asked, known.old = now, False
        return await self._nodes.ask(node, question)

    def _notify_observers(self, uuid: str, answer: NodeInfo | Failed) -> None:
        for observer in self._observers:
            try:
                observer(uuid, answer)
            except Exception:
                self._log.failure("an observer failed for node {uuid}", uuid=uuid)

    def _stop_timer(self, result: object, timer: IDelayedCall) -> None:
        # A caller that times out or disconnects does not cancel the shared query.
        if timer.active():
            timer.cancel()

    def stop(self) -> None:
        """Cancel all running queries."""
        for known in self._known.values():
            if known.asking is not None:
                known.asking.cancel()


def _merge_guests(before: NodeInfo, answer: NodeInfo, names: Iterable[str]) -> NodeInfo:
    """Return an answer about some guests, with the others as they were before.

    Of ``names``, the guests that are not in the answer do not run any more.
    """
    guests = {**before.guests, **answer.guests}
    for name in names:
        if name not in answer.guests:
            guests.pop(name, None)
    return replace(answer, guests=guests)


def _answer_of(node: Node, entry: _NodeEntry) -> NodeInfo | Failed:
    if entry.facts is not None:
        return entry.facts
    return entry.trouble or Unreachable(node.name, "the node has not answered")


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
    """``Nodes`` for jobs: requires the lease, and reports calls that change a node's status.

    ``changed`` gets the UUID of the node, and the guest if the call concerns only one;
    ``succeeded`` the UUID and a call that was answered without an error.
    """

    def __init__(
        self,
        nodes: Nodes,
        changed: Callable[[str, str | None], None],
        confirm: Callable[[], Awaitable[None]],
        succeeded: Callable[[str, Call[object]], None] = lambda uuid, call: None,
    ) -> None:
        self._nodes = nodes
        self._changed = changed
        self._confirm = confirm
        self._succeeded = succeeded

    async def ask(self, node: Node, call: Call[R]) -> R:
        await self._confirm()
        try:
            answer = await self._nodes.ask(node, call)
            if type(call) in STATUS_CHANGING_CALLS:
                self._succeeded(node.uuid, call)
            return answer
        finally:
            # Also after an error: the call may have had an effect.
            if type(call) in STATUS_CHANGING_CALLS:
                self._changed(node.uuid, _guest_of(call))

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        await self._confirm()
        try:
            answers = await self._nodes.ask_all(nodes, call)
            if type(call) in STATUS_CHANGING_CALLS:
                for uuid, answer in answers.items():
                    if not isinstance(answer, Failed):
                        self._succeeded(uuid, call)
            return answers
        finally:
            if type(call) in STATUS_CHANGING_CALLS:
                for node in nodes:
                    self._changed(node.uuid, _guest_of(call))
