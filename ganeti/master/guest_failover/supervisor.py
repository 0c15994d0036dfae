# SPDX-License-Identifier: BSD-2-Clause
"""The supervision of nodes with guests: leases, suspicion, fencing, failover, rejoining.

What was decided is committed before it is acted on, so that the next master goes on with it. What
is only known to this master, such as when a node has last answered, starts empty with each master.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.changes.failover import (
    begin_fence,
    end_fence,
    forget_guard,
    forget_unconfirmed,
    set_guard,
)
from ganeti.config.changes.nodes import certificate_of, set_role
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change, ChangeCause
from ganeti.errors import GanetiError, Unreachable
from ganeti.events.event import EventAction, EventKind
from ganeti.master.guest_failover.decisions import (
    choose_electors,
    choose_fences,
    find_guard_method,
    find_power_helper,
    guard_of,
    list_lost_instances,
    needs_lease,
)
from ganeti.master.guest_failover.recovery import Recovery
from ganeti.master.guest_failover.restarts import INTERVAL as LOOK_INTERVAL
from ganeti.master.guest_failover.restarts import Restarts
from ganeti.metrics.family import Counter, MetricFamily, make_gauge, make_gauges
from ganeti.model.failover import FenceMethod, FenceStage, NodeFence
from ganeti.model.node import Node, NodeRole
from ganeti.opcodes.node import PowerCommand
from ganeti.operations.node.power import parse_output
from ganeti.rpc.call import URGENT, Call, Nodes
from ganeti.rpc.guest_lease import (
    RENEWAL_INTERVAL,
    SUSPICION,
    DenyGuestLeases,
    GuardReport,
    ProveClean,
    RenewGuestLease,
    compute_wait,
)
from ganeti.rpc.node import RunPowerHelper
from ganeti.schema.records import replace

R = TypeVar("R")

RETRY = 2.0
"""Seconds between two attempts at a step of fencing."""

PROOF_INTERVAL = 5.0
"""Seconds between two questions to a fenced node whether it is clean."""

POWER_TIMEOUT = 30.0
"""Seconds that one run of an out-of-band helper may take."""

CAUSE = "failover"
"""Who has made a commit, in the history."""


class ConfigChanger(Protocol):
    """The configuration, with changes by the master."""

    def state(self) -> ClusterState: ...

    async def change(self, change: Change, *, because: ChangeCause) -> ClusterState: ...


class TermHolder(Protocol):
    """Whether this master may act now."""

    def holds_lease(self) -> bool: ...


class EventObserver(Protocol):
    """The event stream."""

    def observed(
        self,
        kind: EventKind,
        action: EventAction,
        name: str,
        *,
        names: tuple[str, ...] = ...,
        tags: tuple[str, ...] = ...,
        **details: object,
    ) -> None: ...


@dataclass
class _Watched:
    """What this master knows about a node: its last answer, and when it arrived."""

    since: float
    answered: float | None = None
    report: GuardReport | None = None
    error: str = ""
    held: str = ""
    needs: bool = False
    asking: bool = False

    def silence(self, now: float) -> float:
        """Return the seconds since the last answer, or since this master began to ask."""
        return now - max(self.since, self.answered or self.since)


@dataclass
class _Fencing:
    """The work on one fence in this master; ``denied`` is when a majority has refused leases."""

    denied: float | None = None
    said: str = ""
    tasks: list[Deferred[None]] = field(default_factory=list)


class GuestSupervisor:
    """Watches nodes with guests that are to fail over, while this master holds its lease."""

    _log = Logger()

    def __init__(
        self,
        config: ConfigChanger,
        nodes: Nodes,
        quorum: TermHolder,
        recovery: Recovery,
        restarts: Restarts,
        events: EventObserver,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """``nodes`` sends calls whether the master holds its lease or not."""
        self._config = config
        self._nodes = nodes
        self._quorum = quorum
        self._recovery = recovery
        self._restarts = restarts
        self._events = events
        self._restarted = clock.seconds()
        self._clock = clock
        self._now = now
        self._watched: dict[str, _Watched] = {}
        self._fencing: dict[str, _Fencing] = {}
        self._fences: dict[str, NodeFence] | None = None
        """The fences of the last turn; None before the first one."""
        self._fenced = Counter(
            "ganeti_node_fenced", "Nodes of which it was confirmed that they are off.", ("method",)
        )
        self._told: dict[str, tuple[str, ...]] = {}
        self._tasks: dict[str, Deferred[None]] = {}
        self._looked = clock.seconds()
        self._timer: IDelayedCall | None = None
        self._stopped = True

    def start(self) -> None:
        """Begin the supervision."""
        self._stopped = False
        self._turn()

    def stop(self) -> None:
        """End the supervision; what is under way is canceled."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for task in list(self._tasks.values()):
            task.cancel()

    def _turn(self) -> None:
        # First, so that an error does not end the supervision.
        self._timer = self._clock.callLater(RENEWAL_INTERVAL, self._turn)
        state = self._config.state()
        if not self._quorum.holds_lease() or not is_used(state):
            return
        self._report_fences(state)
        self._watch(state)
        self._begin("denials", self._deny(state))
        self._suspect(state)
        for uuid, fence in state.node_fences.items():
            if uuid not in state.nodes:
                continue
            if fence.stage is FenceStage.FENCING:
                self._begin(f"fence {uuid}", self._fence(uuid))
            else:
                self._begin(f"rejoin {uuid}", self._rejoin(uuid))
        if list_lost_instances(state):
            self._begin("recovery", self._recovery.turn())
        if self._clock.seconds() - self._restarted >= LOOK_INTERVAL:
            self._restarted = self._clock.seconds()
            self._begin("restarts", self._restarts.look())

    def _report_fences(self, state: ClusterState) -> None:
        """Report the fences that have changed since the last turn, by a job or by this master."""
        before, self._fences = self._fences, dict(state.node_fences)
        if before is None:
            return  # an earlier master has reported these
        for uuid, fence in self._fences.items():
            known = before.get(uuid)
            if known is not None and known.stage is fence.stage:
                continue
            if fence.stage is FenceStage.FENCING:
                self._observe(state, uuid, EventAction.FENCING, reason=fence.reason)
            else:
                self._fenced.count(fence.method.value)
                self._observe(state, uuid, EventAction.FENCED, method=fence.method)
        for uuid in before.keys() - self._fences.keys():
            self._observe(state, uuid, EventAction.REJOINED)

    def _observe(
        self,
        state: ClusterState,
        uuid: str,
        action: EventAction,
        *,
        reason: str | None = None,
        method: FenceMethod | None = None,
    ) -> None:
        """Add an event of a node to the stream."""
        if (node := state.nodes.get(uuid)) is not None:
            self._events.observed(
                EventKind.NODE,
                action,
                node.name,
                tags=tuple(node.tags),
                reason=reason,
                method=method,
            )

    # --- leases

    def _watch(self, state: ClusterState) -> None:
        now = self._clock.seconds()
        late, self._looked = now - self._looked > 2 * RENEWAL_INTERVAL, now
        for uuid in self._watched.keys() - state.nodes.keys():
            del self._watched[uuid]
        for node in state.nodes.values():
            if node.offline or node.uuid in state.node_fences:
                self._watched.pop(node.uuid, None)
                continue
            known = self._watched.setdefault(node.uuid, _Watched(since=now))
            if late:
                # This master was paused, or without its lease: nodes could not answer meanwhile.
                known.since = now
            needs = needs_lease(state, node)
            if needs and not known.needs:
                known.since = now  # it was not asked before
            known.needs = needs
            # One that has not answered this master may have been protected by an earlier one.
            unknown = known.report is None or known.report.protected
            if (needs or unknown) and not known.asking:
                known.asking = True
                self._begin(f"lease {node.uuid}", self._renew(node, known))

    async def _renew(self, node: Node, known: _Watched) -> None:
        try:
            state = self._config.state()
            # The answer that this renewal counts from has arrived before now, and now this master
            # holds its lease: so the next one knows when the lease of the guests has ended.
            if not self._quorum.holds_lease() or node.uuid in state.node_fences:
                return
            before = known.report
            protect = needs_lease(state, node)
            call = RenewGuestLease(revision=state.serial_no)
            if before is not None:
                call = RenewGuestLease(
                    revision=state.serial_no,
                    protect=protect,
                    electors=choose_electors(state) if protect else (),
                    answered=before.at,
                    boot_id=before.boot_id,
                )
            try:
                report = await self._ask(node, call)
            except GanetiError as e:
                known.error = str(e)
                return
            known.report, known.answered, known.error = report, self._clock.seconds(), ""
            await self._record_guard(node, report)
        finally:
            known.asking = False

    async def _record_guard(self, node: Node, report: GuardReport) -> None:
        state = self._config.state()
        before = state.node_guards.get(node.uuid)
        after = None
        if needs_lease(state, node):
            after = guard_of(report, node.uuid, choose_electors(state), before)
        if after == before or node.uuid in state.node_fences:
            return
        if after is None:
            why = report.problem or "the node needs no lease"
            cause = ChangeCause(CAUSE, f"the guests of {node.name} have no guard: {why}")
            await self._config.change(forget_guard(node.uuid), because=cause)
        else:
            cause = ChangeCause(
                CAUSE, f"the guests of {node.name} have a guard: {after.kind.value}"
            )
            await self._config.change(set_guard(after), because=cause)

    async def _deny(self, state: ClusterState) -> None:
        """Tell the electors whose leases they must not extend, unless they know."""
        call = make_denial(state)
        names = {each.name for each in choose_electors(state)}
        names |= {each for guard in state.node_guards.values() for group in guard.electors
                  for each in group}  # fmt: skip
        nodes = [
            node
            for node in state.nodes.values()
            if node.name in names
            and not node.offline
            and node.uuid not in state.node_fences
            and self._told.get(node.uuid) != call.nodes
        ]
        if not nodes:
            return
        for uuid in await self._ask_each(nodes, call):
            self._told[uuid] = call.nodes

    # --- suspicion

    def _suspect(self, state: ClusterState) -> None:
        now = self._clock.seconds()
        silent = [
            uuid
            for uuid, known in self._watched.items()
            if known.silence(now) >= SUSPICION and needs_lease(state, state.nodes[uuid])
        ]
        for uuid, known in self._watched.items():
            if uuid not in silent:
                known.held = ""
        if silent:
            self._begin("suspicion", self._decide(silent))

    async def _decide(self, silent: Sequence[str]) -> None:
        state = self._config.state()
        reached = await self._ask_electors_about(silent, state)
        # Read again: it may have changed while the electors answered.
        state = self._config.state()
        now = self._clock.seconds()
        still = [
            uuid
            for uuid in silent
            if uuid in state.nodes
            and (known := self._watched.get(uuid)) is not None
            and known.silence(now) >= SUSPICION
        ]
        choice = choose_fences(state, still, reached, self._now())
        for uuid, why in choice.held.items():
            known = self._watched[uuid]
            if known.held != why:
                known.held = why
                name = state.nodes[uuid].name
                self._log.warn("node {name} is silent: {why}", name=name, why=why)
                self._observe(state, uuid, EventAction.HELD, reason=why)
        for uuid in choice.fence:
            name = state.nodes[uuid].name
            error = self._watched[uuid].error or "it does not answer"
            reason = f"node {name} is silent: {error}"
            self._log.warn("{reason}; it is fenced", reason=reason)
            fence = NodeFence(uuid=uuid, since=self._now(), reason=_one_line(reason))
            await self._config.change(
                begin_fence(fence, automatic=True), because=ChangeCause(CAUSE, reason)
            )

    async def _ask_electors_about(
        self, silent: Sequence[str], state: ClusterState
    ) -> frozenset[str]:
        """Return the silent nodes that a majority of the electors has heard."""
        electors = {elector.name for elector in choose_electors(state)}
        # Silent ones are not asked, because their answers would be waited for.
        nodes = [
            node
            for node in state.nodes.values()
            if node.name in electors and node.uuid not in silent
        ]
        heard = (await self._ask_each(nodes, make_denial(state))).values()
        return frozenset(
            uuid
            for uuid in silent
            if 2 * sum(state.nodes[uuid].name in answer for answer in heard) > len(electors)
        )

    # --- fencing

    async def _fence(self, uuid: str) -> None:
        """Have it confirmed that no guest runs on a node, by the first of all ways."""
        state = self._config.state()
        node = state.nodes[uuid]
        work = self._fencing.setdefault(uuid, _Fencing())
        # From now on, no majority extends the lease, so that the wait for its end begins.
        if work.denied is None and self._is_denied(uuid, state):
            work.denied = self._clock.seconds()
        self._begin(f"return {uuid}", self._let_return(uuid))
        self._begin(f"power {uuid}", self._power_off(uuid))
        state = self._config.state()
        guard = state.node_guards.get(uuid)
        if guard is not None and work.denied is not None:
            method = find_guard_method(state, guard)
            if method is not None and self._clock.seconds() - work.denied >= compute_wait(guard):
                await self._confirm(uuid, method)
                return
        if guard is None and not find_power_helper(state, node):
            self._say(
                work,
                f"nothing can confirm that node {node.name} is off; power it off, and run:"
                f" gnt-node confirm-off {node.name}",
            )

    async def _let_return(self, uuid: str) -> None:
        """End a fence that is not confirmed yet if the node is back, and its guests have ended.

        Nothing was started elsewhere, so they start there again. The master's own node, which its
        predecessor has decided to fence, comes back only in this way.
        """
        state = self._config.state()
        node = state.nodes[uuid]
        try:
            proof = await self._ask(node, ProveClean())
        except GanetiError:
            await deferLater(self._clock, RETRY)
            return
        # It may have been confirmed while the node answered.
        fence = self._config.state().node_fences.get(uuid)
        if proof.leftovers or fence is None or fence.stage is not FenceStage.FENCING:
            await deferLater(self._clock, RETRY)
            return
        why = f"{node.name} is back before its fence was confirmed, and runs no guest"
        await self._config.change(forget_unconfirmed(uuid), because=ChangeCause(CAUSE, why))
        self._log.info("{why}", why=why)
        self._fencing.pop(uuid, None)

    def _is_denied(self, uuid: str, state: ClusterState) -> bool:
        """Return whether a majority of a node's electors has stored that it is fenced."""
        guard, name = state.node_guards.get(uuid), state.nodes[uuid].name
        if guard is None:
            return False
        know = {
            state.nodes[each].name
            for each, nodes in self._told.items()
            if each in state.nodes and name in nodes
        }
        return all(2 * len(know.intersection(group)) > len(group) for group in guard.electors)

    async def _power_off(self, uuid: str) -> None:
        """Power a node off by its out-of-band helper, until the helper says that it is off."""
        state = self._config.state()
        node = state.nodes[uuid]
        program = find_power_helper(state, node)
        if not program:
            return
        work = self._fencing.setdefault(uuid, _Fencing())
        try:
            await self._run_helper(program, "power-off", node)
            # A helper may return before the power is off.
            text = await self._run_helper(program, "power-status", node)
            powered = parse_output(PowerCommand.POWER_STATUS, text)["powered"]
        except GanetiError as e:
            self._say(work, f"node {node.name} could not be powered off: {e}")
            await deferLater(self._clock, RETRY)
            return
        if not powered:
            await self._confirm(uuid, FenceMethod.POWER)
        else:
            self._say(work, f"the out-of-band helper says that node {node.name} is not off")
            await deferLater(self._clock, RETRY)

    async def _run_helper(self, program: str, command: str, node: Node) -> str:
        call = RunPowerHelper(
            oob_program=program, command=command, remote_node=node.name, timeout=POWER_TIMEOUT
        )
        return await self._nodes.ask(self._config.state().master, call)

    async def _confirm(self, uuid: str, method: FenceMethod) -> None:
        """Record that nothing runs on a node, which marks it offline."""
        # Without the lease, another master may decide otherwise.
        if not self._quorum.holds_lease():
            return
        state = self._config.state()
        fence, node = state.node_fences.get(uuid), state.nodes.get(uuid)
        if fence is None or node is None or fence.stage is not FenceStage.FENCING:
            return
        why = f"no guest runs on {node.name} any more: confirmed by {method.value}"
        change = confirm_fence(node, method)
        await self._config.change(change, because=ChangeCause(CAUSE, why))
        self._log.warn("{why}", why=why)
        self._fencing.pop(uuid, None)

    # --- rejoining

    async def _rejoin(self, uuid: str) -> None:
        """Let a fenced node rejoin when it has proven that it is clean."""
        await deferLater(self._clock, PROOF_INTERVAL)
        state = self._config.state()
        node, fence = state.nodes.get(uuid), state.node_fences.get(uuid)
        if node is None or fence is None or not node.offline:
            return
        if not self._recovery.settled(node) or state.node_maintenance.get(uuid) is not None:
            return
        if state.authorities is not None and certificate_of(state, node) is None:
            return  # the authority was replaced meanwhile: it has to be added again
        # A node that is marked offline is not called.
        online = replace(node, offline=False)
        known = self._fencing.setdefault(uuid, _Fencing())
        try:
            proof = await self._ask(online, ProveClean())
        except GanetiError:
            return
        if proof.leftovers:
            left = "; ".join(proof.leftovers)
            self._say(known, f"node {node.name} was fenced and is not clean: {left}")
            return
        role = NodeRole.CANDIDATE if fence.candidate and node.master_capable else NodeRole.REGULAR
        why = f"{node.name} is clean and a member again"
        await self._config.change(
            set_role(node, role, certificate_of(state, node)), because=ChangeCause(CAUSE, why)
        )
        self._log.info("{why}", why=why)
        self._fencing.pop(uuid, None)

    # --- calls

    async def _ask(self, node: Node, call: Call[R]) -> R:
        """Return the answer of a node, whose member list may have to be updated before.

        :raises GanetiError: there is none in time, or it is an error.
        """
        asking = Deferred.fromCoroutine(self._nodes.ask(node, call))
        try:
            return await asking.addTimeout(call.call_timeout or URGENT, self._clock)
        except TimedOut:
            raise Unreachable(node.name, f"no answer to {call.wire} in time") from None

    async def _ask_each(self, nodes: Sequence[Node], call: Call[R]) -> dict[str, R]:
        """Return the answers of the nodes that answer in time, by UUID."""
        asking = [(node, Deferred.fromCoroutine(self._ask(node, call))) for node in nodes]
        found = {}
        for node, each in asking:
            try:
                found[node.uuid] = await each
            except GanetiError as e:
                self._log.debug("{node}: {why}", node=node.name, why=str(e))
        return found

    # --- tasks

    def _begin(self, name: str, work: Coroutine[Deferred[object], object, None]) -> None:
        """Run a task, unless the one of this name still runs."""
        if name in self._tasks or self._stopped:
            work.close()
            return
        task = Deferred.fromCoroutine(work)
        task.addErrback(self._on_failed, name)
        # A Deferred that waits for another one is called, and paused.
        if not task.called or task.paused:
            self._tasks[name] = task
            task.addBoth(lambda _: self._tasks.pop(name, None) and None)

    def _on_failed(self, failure: Failure, name: str) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(GanetiError, OSError):
            # For example, there is a newer master, or the lease is lost: the next turn tries again.
            self._log.info("{name}: {why}", name=name, why=failure.getErrorMessage())
            return
        self._log.failure("internal error in the failover of guests ({name})", failure, name=name)

    def _say(self, work: _Fencing, what: str) -> None:
        if work.said != what:
            work.said = what
            self._log.warn("{what}", what=what)

    # --- queries

    def families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of the failover of guests."""
        fences = list(self._config.state().node_fences.values())
        yield make_gauges(
            "ganeti_node_fences",
            "Nodes that are being fenced, and those that were fenced and have not rejoined.",
            ("stage",),
            [((stage.value,), sum(each.stage is stage for each in fences)) for stage in FenceStage],
        )
        yield make_gauge(
            "ganeti_nodes_held",
            "Silent nodes that are not fenced without a person.",
            sum(bool(known.held) for known in self._watched.values()),
        )
        yield self._fenced.family()
        yield from self._recovery.families()
        yield self._restarts.submitted.family()

    async def query(self) -> dict[str, object]:
        """Return the settings, and what is known about each node that is concerned."""
        state = self._config.state()
        now = self._clock.seconds()
        rows = []
        for node in sorted(state.nodes.values(), key=lambda node: node.name):
            known, guard = self._watched.get(node.uuid), state.node_guards.get(node.uuid)
            fence = state.node_fences.get(node.uuid)
            work = self._fencing.get(node.uuid)
            answered = known.answered if known is not None else None
            rows.append(
                {
                    "name": node.name,
                    "needs_lease": needs_lease(state, node),
                    "maintenance": node.uuid in state.node_maintenance,
                    "guard": guard.kind.value if guard is not None else None,
                    "answered": None if answered is None else round(now - answered, 1),
                    "fence": fence.stage.value if fence is not None else None,
                    "method": fence.method.value if fence is not None else None,
                    "reason": fence.reason if fence is not None else "",
                    "suspected": bool(known is not None and known.held),
                    "problem": _problem(known, work),
                }
            )
        return {"settings": msgspec.to_builtins(state.failover_settings), "nodes": rows}


def confirm_fence(node: Node, method: FenceMethod) -> Change:
    """Record that nothing runs on a node any more, and mark it offline, in one change."""
    return together(end_fence(node.uuid, method), set_role(node, NodeRole.OFFLINE))


def _problem(known: _Watched | None, work: _Fencing | None) -> str:
    if work is not None and work.said:
        return work.said
    if known is None:
        return ""
    if known.held or known.error:
        return known.held or known.error
    report = known.report
    return report.problem if report is not None and report.protected else ""


def make_denial(state: ClusterState) -> DenyGuestLeases:
    """Return the call that tells an elector whose leases have ended."""
    fenced = (state.nodes[uuid].name for uuid in state.node_fences if uuid in state.nodes)
    return DenyGuestLeases(revision=state.serial_no, nodes=tuple(sorted(fenced)))


def is_used(state: ClusterState) -> bool:
    """Return whether failover was ever configured; the settings are recorded from then on.

    Nodes may need to be told that they are not protected any more.
    """
    return bool(state.objects.get(RecordKind.FAILOVER_SETTINGS))


def _one_line(text: str) -> str:
    return " ".join(text.split())
