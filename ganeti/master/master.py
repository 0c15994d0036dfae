# SPDX-License-Identifier: BSD-2-Clause
"""The master: assembles configuration, queue, replication and queries into one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti import __version__
from ganeti.config.changes.cluster import update_cluster
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.config.writer import ChangeCause, ConfigWriter
from ganeti.jobs.queue import Queue
from ganeti.jobs.store import JobStore
from ganeti.journal.file import FileJournal
from ganeti.journal.interfaces import Commit
from ganeti.journal.marker import check_same_history, read_marker
from ganeti.locking.table import LockRow
from ganeti.locking.waiting import LockWaiter
from ganeti.luxi.server import Answerer
from ganeti.master.access.accounts import Accounts
from ganeti.master.access.audit import AuditTrail
from ganeti.master.access.gate import Gate
from ganeti.master.access.history import History
from ganeti.master.access.view import View
from ganeti.master.answers import answers
from ganeti.master.archive import JobArchive
from ganeti.master.candidates import Candidates
from ganeti.master.checkpoints import Checkpoints
from ganeti.master.enrolment import Enrolment
from ganeti.master.event_feed import EventFeed
from ganeti.master.follower import FollowerTimeouts
from ganeti.master.job_filters import JobFilters
from ganeti.master.mastership import LEASE_WAIT_TIMEOUT, MasterTerm
from ganeti.master.member_distribution import MemberDistribution
from ganeti.master.metrics import MasterMetrics, MeasuredNodes, MetricSources
from ganeti.master.node_events import NodeEvents
from ganeti.master.node_status_cache import NodeStatusCache, WatchedNodes
from ganeti.master.queries import Jobs as AskedJobs
from ganeti.master.queries import Queries
from ganeti.master.running import OperationRunner
from ganeti.master.shared_jobs import SharedJobs
from ganeti.master.state_paths import StatePaths
from ganeti.master.state_recovery import recover
from ganeti.master.time_slices import TimeSlices
from ganeti.master.watcher_pause import WatcherPause
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import (
    UNAVAILABLE_KEYS,
    AllocatorRunner,
    ClusterKeys,
    ConfigAccess,
    Identifiers,
    Operation,
    Progress,
    SharedFiles,
    Tools,
)
from ganeti.operations.perform import Performer
from ganeti.pki.issuing import CertificateIssuer
from ganeti.rpc.call import Nodes
from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class Dependencies:
    """The boundaries that the master is given: files, nodes, programs, time and identifiers.

    ``clock`` measures durations, ``now`` is the time of day in seconds since the epoch. ``machine``
    is the processor type as printed by ``uname -m``; ``name`` is the name of this node;
    ``patience`` are the time-outs for replication to candidates.
    """

    files: IFiles
    places: StatePaths
    nodes: Nodes
    clock: IReactorTime
    now: Callable[[], float]
    ids: Identifiers
    run_allocator: AllocatorRunner
    shared: SharedFiles
    machine: str
    issue: CertificateIssuer
    name: str
    keys: ClusterKeys = UNAVAILABLE_KEYS
    patience: FollowerTimeouts | None = None


class Master:
    """Configuration, queue, locks, replication and queries, with one start and one stop."""

    _log = Logger()

    def __init__(self, around: Dependencies, journal: FileJournal, quorum: MasterTerm) -> None:
        """Build the master from durable state; nothing runs before ``start``.

        :raises Failed: a file of the checkpoint is missing or damaged.
        :raises JournalDamaged: the journal does not verify, or does not match the checkpoint.
        :raises Refused: the cluster has no node with this name.
        """
        self._dependencies = around
        clock = around.clock
        self.journal = journal
        self.jobs = JobStore(journal, around.now)
        check_same_history(
            read_marker(around.files, around.places.marker), journal, around.places.data
        )
        found = recover(around.files, around.places, journal, self.jobs, around.ids.uuid)
        self._edit = found.edit
        self.config = ConfigWriter(found.state, journal, around.now)
        self.events = EventFeed(journal, self.config.state, clock, around.now)
        self.quorum = quorum
        nodes = MeasuredNodes(around.nodes, clock)
        self.members = MemberDistribution(nodes, self.config.state, clock, quorum.agreed)
        self.candidates = Candidates(
            journal,
            self.members,
            clock,
            quorum,
            master=found.state.node(around.name),
            checkpoint=lambda: self.checkpoints.whole(),
            patience=around.patience,
        )
        self.locks = LockWaiter(clock)
        self.pause = WatcherPause(around.files, around.places.watcher_pause)
        self.live = NodeStatusCache(self.members, self.config.state, clock)
        self.node_events = NodeEvents(
            self.events, self.live, self.members, self.config.state, self.locks, clock
        )
        self.nodes = WatchedNodes(self.members, self.node_events.changed, quorum.confirm)
        self.queue = Queue(
            store=self.jobs,
            journal=journal,
            run=OperationRunner(self._performer()),
            clock=clock,
            max_running=lambda: self.config.state().cluster.max_running_jobs,
            archive=JobArchive(around.files, around.places),
            locks=self.locks,
        )
        self.shared = SharedJobs(self.queue, self.jobs)
        self.filters = JobFilters(self.config, self.jobs, self.queue, around.ids.uuid)
        self.enrolment = Enrolment(
            self.config, around.files, around.places, around.issue, around.now, clock
        )
        self._slices = TimeSlices(clock)
        self.questions = self._asking(self.config.state, self.queue, self.locks.rows)
        self.accounts = Accounts(self.config, around.now, clock)
        self.audit = AuditTrail(journal, clock, around.now)
        self.gate = Gate(
            self.accounts.callers,
            self.config.state,
            lambda rights: View(rights, self.config.state, self.queue),
            self._questions_about,
            self.events,
            around.now,
            self.accounts.sessions,
            self.audit,
        )
        self.history = History(
            journal,
            clock,
            self.queue.jobs,
            lambda number: self.queue.find(number) or self.queue.archived(number),
        )
        self.metrics = MasterMetrics(
            MetricSources(
                state=self.config.state,
                journal=journal,
                jobs=self.jobs,
                locks=self.locks,
                live=self.live,
                nodes=nodes,
                candidates=self.candidates,
                quorum=quorum,
                events=self.events,
                node_events=self.node_events,
                slices=self._slices,
                clock=clock,
                name=around.name,
            )
        )
        self.checkpoints: Checkpoints = Checkpoints(
            around.files,
            around.places,
            journal,
            self.config.state,
            self.jobs,
            clock,
        )
        self.jobs.observe(lambda job: self.checkpoints.changed())
        self.config.observe(self._on_config_change)

    def _questions_about(self, view: View) -> Queries:
        return self._asking(view.state, view, lambda: ())

    def _asking(
        self,
        state: Callable[[], ClusterState],
        jobs: AskedJobs,
        locks: Callable[[], Sequence[LockRow]],
    ) -> Queries:
        return Queries(
            state=state,
            live=self.live,
            nodes=self.nodes,
            queue=jobs,
            locks=locks,
            watcher_pause=self.pause.until,
            slices=self._slices,
            release=__version__,
            machine=self._dependencies.machine,
        )

    def _performer(self) -> Performer:
        return Performer(_operations, self.config, self.locks, self._tools)

    def _tools(self, config: ConfigAccess, progress: Progress) -> Tools:
        return Tools(
            config=config,
            nodes=self.nodes,
            progress=progress,
            ids=self._dependencies.ids,
            time=_Time(self._dependencies.clock, self._dependencies.now),
            submit=self._submit,
            run_allocator=self._dependencies.run_allocator,
            copies=self.candidates,
            shared=self._dependencies.shared,
            answers=self.questions,
            issue=self._dependencies.issue,
            members=self.members,
            keys=self._dependencies.keys,
        )

    async def _submit(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]:
        return await self.queue.submit_many(jobs, who="job")

    def _on_config_change(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        self.checkpoints.changed()
        self.shared.changed()
        # First, so that calls made because of this change find nodes with the current member list.
        self.members.changed(state, edits)
        self.gate.changed(state, edits)
        if any(edit.kind is RecordKind.NODE for edit in edits):
            self.candidates.members(state.nodes.values())
            self.quorum.on_members_changed()

    def answers(self) -> Mapping[str, Answerer]:
        """Return the answering function for each LUXI method."""
        return answers(
            self.queue,
            self.shared,
            self.questions,
            self.pause,
            self.filters,
            self.enrolment,
            self._confirm_down,
            self.events,
            self.metrics,
            self.accounts,
            self.audit,
            self.history,
        )

    async def _confirm_down(self, names: Sequence[str]) -> None:
        state = self.config.state()
        self.quorum.confirm_down([state.node(name).name for name in names])

    async def start(self) -> None:
        """Commit the start of the term, recover interrupted jobs, and run jobs.

        The first commit is acknowledged when every in-sync copy has all earlier commits, so that no
        state which clients see from then on can be lost with this master.

        :raises NotKept: the commit failed.
        """
        self.members.soon()
        self.enrolment.schedule_expiry()
        self.journal.replicate_to(self.candidates)
        self.candidates.members(self.config.state().nodes.values())
        await self._begin_term()
        if self._edit is not None:
            await self.config.change(self._edit.apply, because=self._edit.cause)
        self.events.start(self._dependencies.name)
        await self.queue.start()

    async def _begin_term(self) -> None:
        state, term = self.config.state(), self.quorum.term()
        node = state.node(self._dependencies.name)
        if node.uuid != state.cluster.master_node:
            why = f"{node.name} is the master, after {state.master.name}, in term {term}"
            await self.config.change(
                update_cluster(master_node=node.uuid), because=ChangeCause("master-failover", why)
            )
        else:
            why = f"{node.name} is the master in term {term}"
            await self.journal.append(
                Commit(at=self._dependencies.now(), who="master", why=why, edits=())
            )

    def discard(self) -> None:
        """Release what a master that was never started holds."""
        self.metrics.stop()
        self.accounts.stop()
        self.audit.stop()
        self.node_events.stop()
        self.events.stop()
        self.live.stop()
        self.members.stop()

    async def stop(self, *, replaced: bool = False) -> None:
        """Stop jobs and queries, then write a last checkpoint.

        A ``replaced`` master writes none: the files belong to its successor. A master without a
        majority does not wait for one: its successor decides about unacknowledged commits.
        """
        if replaced or not self.quorum.holds():
            self._stop_acknowledging()
        timer = self._dependencies.clock.callLater(LEASE_WAIT_TIMEOUT, self._stop_acknowledging)
        try:
            await self.queue.stop()
            self.metrics.stop()
            self.accounts.stop()
            self.audit.stop()
            self.node_events.stop()
            self.events.stop()
            self.live.stop()
            self.members.stop()
            self.enrolment.stop()
            await self.checkpoints.stop(write=not replaced)
            await self.journal.close()
        finally:
            if timer.active():
                timer.cancel()
        # Last, because commits until here are still replicated to the candidates.
        self._stop_acknowledging()

    def _stop_acknowledging(self) -> None:
        self.candidates.stop()
        self.quorum.stop()


def _operations() -> Mapping[type[Opcode], Operation[Any, Any]]:
    # Imported with the first job: the operations are a quarter of the code that a master loads.
    from ganeti.operations.registry import OPERATIONS

    return OPERATIONS


@dataclass(frozen=True)
class _Time:
    clock: IReactorTime
    now: Callable[[], float]

    def date(self) -> float:
        return self.now()

    def seconds(self) -> float:
        return self.clock.seconds()

    async def sleep(self, seconds: float) -> None:
        await deferLater(self.clock, seconds)
