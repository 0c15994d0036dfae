# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of the master: jobs, commits, replicas, RPC, nodes, instances, spare memory."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, Invalid, Refused, Unreachable
from ganeti.jobs.job import Job, JobStatus, Timestamp
from ganeti.jobs.job_store import JobStore
from ganeti.journal.file_journal import FileJournal
from ganeti.locking.waiting import LockWaiter
from ganeti.master.backup_scheduler import BackupScheduler
from ganeti.master.current_store import CurrentCopies, CurrentTerm
from ganeti.master.event_feed import EventFeed
from ganeti.master.guest_failover.supervisor import GuestSupervisor
from ganeti.master.node_events import NodeEvents
from ganeti.master.node_status_cache import NodeStatusCache
from ganeti.master.notifications.notifier import Notifier
from ganeti.master.watcher_findings import WatcherFindings
from ganeti.metrics.family import Counter, Histogram, MetricFamily, make_gauge, make_gauges
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.model.parameters.filling import default_backend_of
from ganeti.rpc.call import Call, Nodes
from ganeti.views.instances.status import GuestStatus, condition

R = TypeVar("R")

MIB = 1 << 20


class MeasuredNodes:
    """Counts and times calls to nodes."""

    def __init__(self, nodes: Nodes, clock: IReactorTime) -> None:
        self._nodes = nodes
        self._clock = clock
        self._calls = Counter(
            "ganeti_rpc_calls", "Calls to nodes, by outcome.", ("node", "outcome")
        )
        self._seconds = Histogram(
            "ganeti_rpc_seconds", "Response time of nodes, by call.", ("call",)
        )

    async def ask(self, node: Node, call: Call[R]) -> R:
        # Without an answer or an error, the call was cancelled.
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
            # The time until the last node has answered; ask_all does not report single times.
            self._count(node, call, outcome, begun)
        return answers

    def _count(self, node: Node, call: Call[R], outcome: str, begun: float) -> None:
        self._calls.count(node.name, outcome)
        self._seconds.observe(self._clock.seconds() - begun, call.wire)

    def families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of all calls."""
        yield self._calls.family()
        yield self._seconds.family()


class JobTimes:
    """Waiting and run times of jobs, by opcode."""

    def __init__(self) -> None:
        self._ended = Counter("ganeti_jobs_ended", "Jobs that have ended.", ("status",))
        self._queued = Histogram(
            "ganeti_opcode_queue_seconds",
            "Time from the submission of a job until an opcode requests its locks.",
            ("opcode",),
        )
        self._locked = Histogram(
            "ganeti_opcode_lock_seconds",
            "Time that an opcode has waited for its locks.",
            ("opcode",),
        )
        self._ran = Histogram(
            "ganeti_opcode_run_seconds", "Time that an opcode has run.", ("opcode",)
        )

    def record_job(self, job: Job) -> None:
        """Record the times of a job when it has ended; an observer of ``JobStore``."""
        if not job.is_final:
            return
        self._ended.count(job.status.value)
        for op in job.ops:
            try:
                name = op.opcode.op_id.removeprefix("OP_")
            except Invalid:  # stored by another version
                continue
            for times, since, until in (
                (self._queued, job.received_timestamp, op.start_timestamp),
                (self._locked, op.start_timestamp, op.exec_timestamp),
                (self._ran, op.exec_timestamp, op.end_timestamp),
            ):
                if since is not None and until is not None:
                    times.observe(_seconds_between(since, until), name)

    def families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of ended jobs."""
        for each in (self._ended, self._queued, self._locked, self._ran):
            yield each.family()


def _seconds_between(since: Timestamp, until: Timestamp) -> float:
    # The clock may have been set back.
    return max(0.0, until[0] - since[0] + (until[1] - since[1]) / 1e6)


@dataclass(frozen=True)
class MetricSources:
    """The objects that the metrics are read from."""

    state: Callable[[], ClusterState]
    journal: FileJournal
    jobs: JobStore
    locks: LockWaiter
    live: NodeStatusCache
    nodes: MeasuredNodes
    candidates: CurrentCopies
    quorum: CurrentTerm
    events: EventFeed
    node_events: NodeEvents
    guests: GuestSupervisor
    notifier: Notifier
    backup_scheduler: BackupScheduler
    watcher: WatcherFindings
    clock: IReactorTime
    now: Callable[[], float]
    name: str


class MasterMetrics:
    """Collects all metrics of the master."""

    def __init__(self, sources: MetricSources) -> None:
        self._sources = sources
        self._times = JobTimes()
        sources.jobs.observe(self._times.record_job)

    async def collect_families(self) -> list[MetricFamily]:
        """Return all metric families; values from nodes are as old as their age metric says."""
        # Monitoring needs fresh values: poll nodes as for a reader of events.
        self._sources.events.touch()
        return [
            *self._job_families(),
            *self._journal_families(),
            *self._sources.nodes.families(),
            *self._sources.notifier.families(),
            *self._sources.backup_scheduler.schedule_families(),
            *self._node_families(),
            *self._guest_families(),
            *self._sources.guests.families(),
            *self._watcher_families(),
        ]

    # --- jobs and journal

    def _job_families(self) -> Iterator[MetricFamily]:
        counts = self._sources.jobs.statuses
        yield make_gauges(
            "ganeti_jobs",
            "Jobs that are not archived.",
            ("status",),
            [((status.value,), counts[status]) for status in JobStatus],
        )
        yield make_gauge(
            "ganeti_queue_drained", "1 if the queue is drained.", self._sources.jobs.drained
        )
        rows = self._sources.locks.rows()
        yield make_gauges(
            "ganeti_locks",
            "Held locks, and requests that wait for one.",
            ("what",),
            [
                (("held",), sum(1 for row in rows if row.owners)),
                (("pending",), sum(len(who) for row in rows for _, who in row.pending)),
            ],
        )
        yield from self._times.families()

    def _journal_families(self) -> Iterator[MetricFamily]:
        journal, quorum = self._sources.journal, self._sources.quorum
        yield make_gauge(
            "ganeti_journal_position",
            "Position of the last durable commit.",
            journal.last_commit(),
        )
        yield make_gauge(
            "ganeti_journal_refuses", "1 if the journal accepts no commits.", bool(journal.refusal)
        )
        yield journal.sync_seconds.family()
        lags = self._sources.candidates.lags()
        yield make_gauges(
            "ganeti_replica_lag_commits",
            "Commits that a master candidate's copy lacks.",
            ("node",),
            [((name,), lag) for name, (_, lag) in lags.items()],
        )
        yield make_gauges(
            "ganeti_replica_in_sync",
            "1 if commits wait for this copy.",
            ("node",),
            [((name,), in_sync) for name, (in_sync, _) in lags.items()],
        )
        yield from self._sources.candidates.families()
        yield make_gauges(
            "ganeti_master_term",
            "Term of the master.",
            ("node",),
            [((self._sources.name,), quorum.term())],
        )
        yield make_gauge(
            "ganeti_master_lease", "1 if this master holds the lease.", quorum.holds_lease()
        )
        yield make_gauge(
            "ganeti_event_position",
            "Position of the last event.",
            self._sources.events.newest_position.position,
        )
        yield make_gauge(
            "ganeti_event_requests",
            "Requests that wait for events, and notifications.",
            self._sources.events.readers,
        )

    # --- nodes and instances

    def _node_families(self) -> Iterator[MetricFamily]:
        state, live = self._sources.state(), self._sources.live
        roles = Tally(node.role(state.cluster.master_node).value for node in state.nodes.values())
        yield make_gauges(
            "ganeti_nodes", "Nodes by role.", ("role",), [((r,), n) for r, n in roles.items()]
        )
        known = {
            node.name: facts
            for node in state.nodes.values()
            if (facts := live.facts(node.uuid)) is not None
        }
        up = [((n.name,), n.name in known) for n in state.nodes.values() if not n.offline]
        yield make_gauges("ganeti_node_up", "1 if the node has answered.", ("node",), up)
        ages = [(node.name, live.age(node.uuid)) for node in state.nodes.values()]
        yield make_gauges(
            "ganeti_node_age_seconds",
            "Age of the last answer of the node.",
            ("node",),
            [((name,), age) for name, age in ages if age is not None],
        )
        for name, doc, values in (
            (
                "memory_total_bytes",
                "Total memory.",
                {n: f.memory_total * MIB for n, f in known.items()},
            ),
            (
                "memory_free_bytes",
                "Free memory.",
                {n: f.memory_free * MIB for n, f in known.items()},
            ),
            ("cpus", "Logical processors.", {n: f.cpus for n, f in known.items()}),
            ("guests", "Running guests.", {n: len(f.guests) for n, f in known.items()}),
        ):
            yield make_gauges(
                f"ganeti_node_{name}", doc, ("node",), [((n,), v) for n, v in values.items()]
            )
        spaces = [
            ((name, space.kind, space.name), space)
            for name, facts in known.items()
            for space in facts.storage
        ]
        labels = ("node", "kind", "unit")
        yield make_gauges(
            "ganeti_node_storage_size_bytes",
            "Total space of a storage unit.",
            labels,
            [(given, space.size * MIB) for given, space in spaces],
        )
        yield make_gauges(
            "ganeti_node_storage_free_bytes",
            "Free space of a storage unit.",
            labels,
            [(given, space.free * MIB) for given, space in spaces],
        )

    def _guest_families(self) -> Iterator[MetricFamily]:
        state = self._sources.state()
        counts = count_guests(state, self._sources.live)
        yield make_gauges(
            "ganeti_instances",
            "Instances by status, as in gnt-instance list.",
            ("status",),
            [((status,), count) for status, count in sorted(counts.items())],
        )
        degraded = self._sources.node_events.watch.degraded
        yield make_gauge(
            "ganeti_disks_degraded", "Mirrored disks with only one good copy.", degraded
        )
        spare = count_nodes_without_spare_memory(state, self._sources.live)
        yield make_gauge(
            "ganeti_nodes_without_spare_memory",
            "Nodes that cannot take over the instances of some other node (N+1).",
            spare,
        )

    def _watcher_families(self) -> Iterator[MetricFamily]:
        state, live = self._sources.state(), self._sources.live

        def runs(uuid: str) -> bool:
            instance = state.instances[uuid]
            facts = live.facts(instance.primary_node)
            return facts is not None and instance.name in facts.guests

        return self._sources.watcher.families(state, runs, self._sources.now())


def count_nodes_without_spare_memory(state: ClusterState, live: NodeStatusCache) -> int | None:
    """Return the number of nodes that cannot take over the instances of some other node (N+1).

    None means that no node has answered, or that a default of the cluster is invalid.
    """
    known = {uuid: facts for uuid in state.nodes if (facts := live.facts(uuid)) is not None}
    if not known:
        return None
    try:
        default = default_backend_of(state.cluster)
    except Refused:  # jobs that need the defaults report it
        return None
    return sum(
        state.get_usage(state.nodes[uuid]).reserved(default.minmem, default.auto_balance)
        > facts.memory_free
        for uuid, facts in known.items()
    )


def count_guests(state: ClusterState, live: NodeStatusCache) -> Tally[str]:
    """Return the number of instances by status."""
    facts = {uuid: live.facts(uuid) for uuid in state.nodes}
    guests: dict[str, Collection[str]] = {
        uuid: () if said is None or state.nodes[uuid].offline else said.guests
        for uuid, said in facts.items()
    }
    as_wanted = 0
    others: list[Instance] = []
    for instance in state.instances.values():
        # The common case first: counting enum members would take ten times as long.
        if instance.name in guests[instance.primary_node] and instance.admin_state is AdminState.UP:
            as_wanted += 1
        else:
            others.append(instance)
    counts: Tally[str] = Tally({condition(GuestStatus.RUNNING, AdminState.UP).value: as_wanted})
    # Costly, and needed for few instances or none.
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
