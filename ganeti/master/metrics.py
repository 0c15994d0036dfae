# SPDX-License-Identifier: BSD-2-Clause
"""What the master counts: jobs, commits, replicas, calls to nodes, guests, and spare memory."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, Invalid, Unreachable
from ganeti.jobs.job import Job, JobStatus, Stamp
from ganeti.jobs.store import JobStore
from ganeti.journal.file import FileJournal
from ganeti.locking.waiting import LockWaiter
from ganeti.master.candidates import Candidates
from ganeti.master.event_feed import EventFeed
from ganeti.master.mastership import Quorum
from ganeti.master.node_events import NodeEvents
from ganeti.master.node_status_cache import NodeStatusCache
from ganeti.master.time_slices import TimeSlices
from ganeti.metrics.family import Counter, Histogram, MetricFamily, gauge, gauges
from ganeti.model.instance import Instance, Wanted
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled
from ganeti.rpc.call import Call, Nodes
from ganeti.views.instances.status import GuestStatus, condition

R = TypeVar("R")

MIB = 1 << 20

SPARE_INTERVAL = 60.0
"""Seconds after which the nodes that could not take over others are worked out again."""


class MeasuredNodes:
    """Passes calls on to nodes, and counts them."""

    def __init__(self, nodes: Nodes, clock: IReactorTime) -> None:
        self._nodes = nodes
        self._clock = clock
        self._calls = Counter(
            "ganeti_rpc_calls", "Calls to nodes that were answered or not.", ("node", "outcome")
        )
        self._seconds = Histogram(
            "ganeti_rpc_seconds", "How long nodes took to answer, by the call.", ("call",)
        )

    async def ask(self, node: Node, call: Call[R]) -> R:
        begun, outcome = self._clock.seconds(), "canceled"
        try:
            answer = await self._nodes.ask(node, call)
            outcome = "success"
            return answer
        except Unreachable:
            outcome = "unreachable"
            raise
        except GanetiError:
            outcome = "failure"
            raise
        finally:
            self._count(node, call, outcome, begun)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        begun = self._clock.seconds()
        answers = await self._nodes.ask_all(nodes, call)
        for node in nodes:
            answer = answers.get(node.uuid)
            outcome = "failure" if isinstance(answer, Failed) else "success"
            if isinstance(answer, Unreachable):
                outcome = "unreachable"
            # Until the last of them had answered.
            self._count(node, call, outcome, begun)
        return answers

    def _count(self, node: Node, call: Call[R], outcome: str, begun: float) -> None:
        self._calls.count(node.name, outcome)
        self._seconds.observe(self._clock.seconds() - begun, call.wire)

    def families(self) -> Iterator[MetricFamily]:
        """Yield what was counted."""
        yield self._calls.family()
        yield self._seconds.family()


class JobTimes:
    """How long jobs have waited and run, by opcode."""

    def __init__(self) -> None:
        self._ended = Counter("ganeti_jobs_ended", "Jobs that have ended.", ("status",))
        self._queued = Histogram(
            "ganeti_opcode_queue_seconds",
            "From the submission of a job until an opcode of it wants its locks.",
            ("opcode",),
        )
        self._locked = Histogram(
            "ganeti_opcode_lock_seconds",
            "How long an opcode has waited for its locks.",
            ("opcode",),
        )
        self._ran = Histogram(
            "ganeti_opcode_run_seconds", "How long an opcode has run.", ("opcode",)
        )

    def published(self, job: Job) -> None:
        """Take the times of a job that is durable in a new state, if it has ended."""
        if not job.is_final:
            return
        self._ended.count(job.status.value)
        for op in job.ops:
            try:
                name = op.opcode.op_id.removeprefix("OP_")
            except Invalid:  # of another version
                continue
            for times, since, until in (
                (self._queued, job.received_timestamp, op.start_timestamp),
                (self._locked, op.start_timestamp, op.exec_timestamp),
                (self._ran, op.exec_timestamp, op.end_timestamp),
            ):
                if since is not None and until is not None:
                    times.observe(_between(since, until), name)

    def families(self) -> Iterator[MetricFamily]:
        """Yield what was observed."""
        for each in (self._ended, self._queued, self._locked, self._ran):
            yield each.family()


def _between(since: Stamp, until: Stamp) -> float:
    return max(0.0, until[0] - since[0] + (until[1] - since[1]) / 1e6)


@dataclass(frozen=True)
class Sources:
    """What the numbers are of."""

    state: Callable[[], ClusterState]
    journal: FileJournal
    jobs: JobStore
    locks: LockWaiter
    live: NodeStatusCache
    nodes: MeasuredNodes
    candidates: Candidates
    quorum: Quorum
    events: EventFeed
    node_events: NodeEvents
    slices: TimeSlices
    clock: IReactorTime
    name: str


class MasterMetrics:
    """Answers with all the numbers of the master."""

    _log = Logger()

    def __init__(self, sources: Sources) -> None:
        self._of = sources
        self._times = JobTimes()
        self._spare: Tally[bool] | None = None
        self._spare_from = -1e9
        self._working: Deferred[None] | None = None
        sources.jobs.observe(self._times.published)

    async def query(self) -> list[MetricFamily]:
        """Return all families; what nodes say is as old as the age of it tells."""
        # Who watches numbers wants them fresh: nodes are asked as if events were read.
        self._of.events.touch()
        self._work_out_spare()
        return [
            *self._jobs(),
            *self._journal(),
            *self._of.nodes.families(),
            *self._of_nodes(),
            *self._guests(),
        ]

    def stop(self) -> None:
        """Work out nothing more."""
        if self._working is not None:
            self._working.cancel()

    # --- jobs and the journal

    def _jobs(self) -> Iterator[MetricFamily]:
        counts = self._of.jobs.statuses
        yield gauges(
            "ganeti_jobs",
            "Jobs that are not archived.",
            ("status",),
            [((status.value,), counts[status]) for status in JobStatus],
        )
        yield gauge("ganeti_queue_drained", "1 if the queue takes no jobs.", self._of.jobs.drained)
        rows = self._of.locks.rows()
        yield gauges(
            "ganeti_locks",
            "Locks that are held, and requests that wait for one.",
            ("what",),
            [
                (("held",), sum(1 for row in rows if row.owners)),
                (("pending",), sum(len(who) for row in rows for _, who in row.pending)),
            ],
        )
        yield from self._times.families()

    def _journal(self) -> Iterator[MetricFamily]:
        journal, quorum = self._of.journal, self._of.quorum
        yield gauge("ganeti_journal_position", "The last durable commit.", journal.end())
        yield gauge("ganeti_journal_refuses", "1 if no change can be kept.", bool(journal.refusal))
        yield journal.sync_seconds.family()
        lags = self._of.candidates.lags()
        yield gauges(
            "ganeti_replica_lag_commits",
            "Commits that a master candidate's copy lacks.",
            ("node",),
            [((name,), lag) for name, (_, lag) in lags.items()],
        )
        yield gauges(
            "ganeti_replica_in_sync",
            "1 if no change is acknowledged before this copy has it.",
            ("node",),
            [((name,), in_sync) for name, (in_sync, _) in lags.items()],
        )
        yield gauges(
            "ganeti_master_term",
            "The number of the master's term.",
            ("node",),
            [((self._of.name,), quorum.term())],
        )
        yield gauge("ganeti_master_lease", "1 if a majority follows this master.", quorum.holds())
        yield gauge("ganeti_event_position", "The last event.", self._of.events.end.position)
        yield gauge(
            "ganeti_event_requests", "Requests that wait for events.", self._of.events.readers
        )

    # --- nodes and guests

    def _of_nodes(self) -> Iterator[MetricFamily]:
        state, live = self._of.state(), self._of.live
        roles = Tally(node.role(state.cluster.master_node).value for node in state.nodes.values())
        yield gauges(
            "ganeti_nodes", "Nodes by their role.", ("role",), [((r,), n) for r, n in roles.items()]
        )
        known = {
            node.name: facts
            for node in state.nodes.values()
            if (facts := live.facts(node.uuid)) is not None
        }
        up = [((n.name,), n.name in known) for n in state.nodes.values() if not n.offline]
        yield gauges("ganeti_node_up", "1 if the node has answered.", ("node",), up)
        ages = [(node.name, live.age(node.uuid)) for node in state.nodes.values()]
        yield gauges(
            "ganeti_node_age_seconds",
            "How old the last answer is.",
            ("node",),
            [((name,), age) for name, age in ages if age is not None],
        )
        for name, doc, values in (
            ("memory_total_bytes", "Memory.", {n: f.memory_total * MIB for n, f in known.items()}),
            (
                "memory_free_bytes",
                "Free memory.",
                {n: f.memory_free * MIB for n, f in known.items()},
            ),
            ("cpus", "Logical processors.", {n: f.cpus for n, f in known.items()}),
            ("guests", "Guests that run.", {n: len(f.guests) for n, f in known.items()}),
        ):
            yield gauges(
                f"ganeti_node_{name}", doc, ("node",), [((n,), v) for n, v in values.items()]
            )
        spaces = [
            ((name, space.kind, space.name), space)
            for name, facts in known.items()
            for space in facts.storage
        ]
        labels = ("node", "kind", "unit")
        yield gauges(
            "ganeti_node_storage_size_bytes",
            "Space of a storage unit.",
            labels,
            [(given, space.size * MIB) for given, space in spaces],
        )
        yield gauges(
            "ganeti_node_storage_free_bytes",
            "Free space of a storage unit.",
            labels,
            [(given, space.free * MIB) for given, space in spaces],
        )

    def _guests(self) -> Iterator[MetricFamily]:
        state = self._of.state()
        counts = count_guests(state, self._of.live)
        yield gauges(
            "ganeti_instances",
            "Instances by their status, in the words of gnt-instance list.",
            ("status",),
            [((status,), count) for status, count in sorted(counts.items())],
        )
        degraded = self._of.node_events.watch.degraded
        yield gauge("ganeti_disks_degraded", "Mirrored disks with one good copy.", degraded)
        spare = None if self._spare is None else self._spare[False]
        yield gauge(
            "ganeti_nodes_without_spare_memory",
            "Nodes that could not take over the instances of another one (N+1).",
            spare,
        )

    def _work_out_spare(self) -> None:
        now = self._of.clock.seconds()
        if self._working is None and now >= self._spare_from + SPARE_INTERVAL:
            self._spare_from = now
            self._working = Deferred.fromCoroutine(self._find_spare())
            self._working.addErrback(
                lambda failure: self._log.failure("working out N+1 broke", failure)
            )
            self._working.addCallback(self._worked_out)

    def _worked_out(self, _: None) -> None:
        self._working = None

    async def _find_spare(self) -> None:
        state, live = self._of.state(), self._of.live
        if all(live.facts(uuid) is None for uuid in state.nodes):
            self._spare_from = -1e9  # to be tried again when some node has answered
            return
        needed: Tally[tuple[str, str]] = Tally()

        def add(instance: Instance) -> None:
            filled = be_filled(state.cluster, instance)
            if filled["auto_balance"]:
                for other in state.secondaries_of(instance):
                    needed[other, instance.primary_node] += int(filled["minmem"])

        task = self._of.slices.task("working out N+1")
        await task.map(add, list(state.instances.values()), steps=10)
        short = {
            node
            for (node, _), memory in needed.items()
            if (facts := live.facts(node)) is not None and memory > facts.memory_free
        }
        self._spare = Tally(uuid not in short for uuid in state.nodes)


def count_guests(state: ClusterState, live: NodeStatusCache) -> Tally[str]:
    """Return how many instances have each status."""
    facts = {uuid: live.facts(uuid) for uuid in state.nodes}
    guests: dict[str, Collection[str]] = {
        uuid: () if said is None or state.nodes[uuid].offline else said.guests
        for uuid, said in facts.items()
    }
    as_wanted = 0
    others: list[Instance] = []
    for instance in state.instances.values():
        # Nearly all, and quick: counting by enums would take ten times as long.
        if instance.name in guests[instance.primary_node] and instance.admin_state is Wanted.UP:
            as_wanted += 1
        else:
            others.append(instance)
    counts: Tally[str] = Tally({condition(GuestStatus.RUNNING, Wanted.UP).value: as_wanted})
    somewhere = frozenset(name for names in guests.values() for name in names) if others else ()
    for instance in others:
        node = state.nodes[instance.primary_node]
        if node.offline:
            seen = GuestStatus.NODE_OFFLINE
        elif facts[node.uuid] is None:
            seen = GuestStatus.NO_ANSWER
        elif instance.name in guests[node.uuid]:
            seen = GuestStatus.RUNNING
        else:
            seen = GuestStatus.ELSEWHERE if instance.name in somewhere else GuestStatus.ABSENT
        status = condition(seen, instance.admin_state, instance.admin_state_source)
        counts[status.value] += 1
    return counts
