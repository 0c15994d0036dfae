# SPDX-License-Identifier: BSD-2-Clause
"""The master: assembles configuration, queue, replication and queries into one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti import __version__
from ganeti.config.changes.cluster import update_cluster
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.config.writer import ChangeCause, ConfigWriter
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.queue import Queue
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import Commit
from ganeti.journal.marker import check_same_history, read_marker
from ganeti.locking.lock_table import LockRow
from ganeti.locking.waiting import LockWaiter
from ganeti.luxi.server import Answerer
from ganeti.master.access.accounts import Accounts
from ganeti.master.access.audit_trail import AuditTrail
from ganeti.master.access.change_history import History
from ganeti.master.access.console_rights import ConsoleRights
from ganeti.master.access.gate import Gate
from ganeti.master.access.view import View
from ganeti.master.answers import answers
from ganeti.master.backup_queries import BackupQueries
from ganeti.master.backup_scheduler import BackupScheduler
from ganeti.master.candidates import Candidates
from ganeti.master.checkpoints import Checkpoints
from ganeti.master.cluster_address import ClusterAddress
from ganeti.master.console_tickets import ConsoleTickets
from ganeti.master.current_store import Copies, CurrentCopies, CurrentTerm
from ganeti.master.enrolment import Enrolment
from ganeti.master.event_feed import EventFeed
from ganeti.master.follower import CheckpointFiles, CheckpointSource, FollowerTimeouts
from ganeti.master.guest_failover.recovery import Recovery
from ganeti.master.guest_failover.restarts import Restarts
from ganeti.master.guest_failover.supervisor import GuestSupervisor
from ganeti.master.host_shutdowns import HostShutdowns
from ganeti.master.job_archive import JobArchive
from ganeti.master.job_filters import JobFilters
from ganeti.master.job_operations import OperationRunner
from ganeti.master.job_rates import JobRates
from ganeti.master.lease_waiting import LEASE_WAIT_TIMEOUT
from ganeti.master.master_metrics import MasterMetrics, MeasuredNodes, MetricSources
from ganeti.master.mastership import MasterTerm
from ganeti.master.member_distribution import MemberDistribution
from ganeti.master.node_events import NodeEvents
from ganeti.master.node_status_cache import NodeStatusCache, WatchedNodes
from ganeti.master.notifications.delivery import DeliveryTools
from ganeti.master.notifications.notifier import Notifier
from ganeti.master.notifications.senders import NO_SENDERS, Senders
from ganeti.master.queries import Jobs as AskedJobs
from ganeti.master.queries import Queries
from ganeti.master.shared_jobs import SharedJobs
from ganeti.master.state_move import MoveTools, StateMove
from ganeti.master.state_paths import StatePaths
from ganeti.master.state_recovery import recover
from ganeti.master.status_watch import StatusWatch
from ganeti.master.store_replication import StoreReplication
from ganeti.master.time_slices import TimeSlices
from ganeti.master.usage_queries import UsageQueries
from ganeti.master.watcher_findings import WatcherFindings
from ganeti.master.watcher_pause import WatcherPause
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import (
    UNAVAILABLE_KEYS,
    AllocatorRunner,
    AnyOperation,
    ClusterKeys,
    ConfigAccess,
    Identifiers,
    PlacementSolver,
    Progress,
    SharedFiles,
    Tools,
    solve_here,
)
from ganeti.operations.perform import Performer
from ganeti.pki.issuing import CertificateIssuer
from ganeti.rpc.call import Nodes
from ganeti.system.interfaces import IFiles, IStateFiles

ReplicationFactory: TypeAlias = Callable[[CheckpointSource], StoreReplication]
"""Makes the replication to a state store, which gets checkpoints from this source."""


@dataclass(frozen=True)
class Dependencies:
    """The boundaries that the master is given: files, nodes, programs, time and identifiers.

    ``clock`` measures durations, ``now`` is the time of day in seconds since the epoch. ``machine``
    is the processor type as printed by ``uname -m``; ``name`` is the name of this node;
    ``patience`` are the time-outs for replication to candidates. ``sessions`` are the notes of the
    browsers that have signed in. ``move_tools`` are for moves of the state to etcd and back.
    ``hooks_here`` returns whether this host may have scripts in this directory of hooks.
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
    sessions: IStateFiles
    keys: ClusterKeys = UNAVAILABLE_KEYS
    solve: PlacementSolver = solve_here
    patience: FollowerTimeouts | None = None
    senders: Senders = NO_SENDERS
    move_tools: MoveTools | None = None
    hooks_here: Callable[[str], bool] = lambda folder: True


class Master:
    """Configuration, queue, locks, replication and queries, with one start and one stop."""

    _log = Logger()

    def __init__(
        self,
        around: Dependencies,
        journal: FileJournal,
        quorum: CurrentTerm,
        *,
        replication: ReplicationFactory | None = None,
    ) -> None:
        """Build the master from durable state; nothing runs before ``start``.

        ``replication`` makes what copies the journal to other hosts; without it, and with a
        ``MasterTerm`` in charge, the master candidates have copies.

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
        if isinstance(quorum.now, MasterTerm):
            copies: Copies = self.replicate_to_candidates(quorum.now)
        else:
            assert replication is not None
            copies = replication(self.make_checkpoint)
        self.candidates = CurrentCopies(copies)
        self.state_move = self._make_state_move()
        self.locks = LockWaiter(clock)
        self.pause = WatcherPause(around.files, around.places.watcher_pause)
        self.live = NodeStatusCache(self.members, self.config.state, clock)
        self.node_events = NodeEvents(
            self.events, self.live, self.members, self.config.state, self.locks, clock
        )
        self.status_watch = StatusWatch(self.members, self.live, self.config.state, clock)
        self.nodes = WatchedNodes(
            self.members, self.node_events.node_changed, quorum.confirm_lease, self.live.succeeded
        )
        self.address = ClusterAddress(self.nodes, self.config.state, quorum.holds_lease)
        self.queue = self._make_queue()
        self.guests = self._make_guest_supervisor()
        shutdowns = HostShutdowns(self.config.state, self.queue.submit, clock, around.now)
        self.live.observe(shutdowns.node_answered)
        self.shared = SharedJobs(self.queue, self.jobs)
        self.filters = JobFilters(self.config, self.jobs, self.queue, around.ids.uuid)
        self.enrolment = Enrolment(
            self.config, around.files, around.places, around.issue, around.now, clock
        )
        self._slices = TimeSlices(clock)
        self._numbers = count(1)
        self.questions = self._asking(self.config.state, self.queue, self.locks.rows)
        self.accounts = Accounts(self.config, around.now, clock, around.sessions)
        self.audit = AuditTrail(journal, clock, around.now)
        self.consoles = ConsoleRights(
            self.accounts.callers,
            self.config.state,
            ConsoleTickets(self.config.state, self.nodes),
            clock,
        )
        self.gate = self._make_gate()
        self.history = History(
            journal,
            clock,
            self.queue.jobs,
            lambda number: self.queue.find_job(number) or self.queue.archived(number),
        )
        self.notifier = self._make_notifier()
        self.backup_scheduler = BackupScheduler(
            self.config, self.queue.submit, self.queue.find_job, self.quorum.holds_lease, around.now
        )
        self.metrics = self._make_metrics(nodes)
        self.checkpoints: Checkpoints = Checkpoints(
            around.files, around.places, journal, self.config.state, self.jobs, clock
        )
        self.job_rates = JobRates(around.now, self.jobs.jobs.values())
        self.jobs.observe(self.job_rates.record)
        self.jobs.observe(lambda job: self.checkpoints.schedule())
        self.config.observe(self._on_config_change)

    def _make_state_move(self) -> StateMove:
        return StateMove(
            self.journal,
            self.candidates,
            self.quorum,
            self.members,
            lambda: self.config.state().nodes,
            lambda: self.config.state().node(self._dependencies.name),
            self._dependencies.clock,
            checkpoint=self.make_checkpoint,
            replicate=self.replicate_to_candidates,
            tools=self._dependencies.move_tools,
        )

    def _make_queue(self) -> Queue:
        return Queue(
            store=self.jobs,
            journal=self.journal,
            run=OperationRunner(self._performer()),
            clock=self._dependencies.clock,
            max_running=lambda: self.config.state().cluster.max_running_jobs,
            archive=JobArchive(self._dependencies.files, self._dependencies.places),
            locks=self.locks,
        )

    def _make_guest_supervisor(self) -> GuestSupervisor:
        state, clock, now = self.config.state, self._dependencies.clock, self._dependencies.now
        return GuestSupervisor(
            self.config,
            self.members,
            self.quorum,
            Recovery(state, self.nodes, self.queue, clock, now),
            Restarts(state, self.nodes, self.queue, self.node_events.is_locked, clock, now),
            self.events,
            clock,
            now,
        )

    def _make_gate(self) -> Gate:
        return Gate(
            self.accounts.callers,
            self.config.state,
            lambda rights: View(rights, self.config.state, self.queue),
            self._questions_about,
            self.events,
            self._dependencies.now,
            self.accounts,
            self.consoles,
            self.audit,
        )

    def _make_notifier(self) -> Notifier:
        around = self._dependencies
        tools = DeliveryTools(
            stream=self.events,
            senders=around.senders,
            clock=around.clock,
            now=around.now,
            random=lambda: around.ids.random.random(),
            cluster=lambda: self.config.state().cluster.cluster_name,
            master=around.name,
        )
        return Notifier(self.config, tools)

    def _make_metrics(self, nodes: MeasuredNodes) -> MasterMetrics:
        around = self._dependencies
        sources = MetricSources(
            state=self.config.state,
            journal=self.journal,
            jobs=self.jobs,
            locks=self.locks,
            live=self.live,
            nodes=nodes,
            candidates=self.candidates,
            quorum=self.quorum,
            events=self.events,
            node_events=self.node_events,
            guests=self.guests,
            notifier=self.notifier,
            backup_scheduler=self.backup_scheduler,
            watcher=WatcherFindings(around.files, around.places, self.pause.until),
            clock=around.clock,
            now=around.now,
            name=around.name,
        )
        return MasterMetrics(sources)

    def replicate_to_candidates(self, votes: MasterTerm) -> Candidates:
        """Return the replication to the master candidates, for a master that the nodes elect."""
        around = self._dependencies
        return Candidates(
            self.journal,
            self.members,
            around.clock,
            votes,
            master=self.config.state().node(around.name),
            checkpoint=self.make_checkpoint,
            patience=around.patience,
        )

    async def make_checkpoint(self) -> CheckpointFiles:
        """Return a checkpoint of the present state.

        :raises OSError: it could not be read or written.
        """
        return await self.checkpoints.whole()

    def _questions_about(self, view: View) -> Queries:
        return self._asking(view.state, view, lambda: ())

    def _asking(
        self,
        state: Callable[[], ClusterState],
        jobs: AskedJobs,
        locks: Callable[[], Sequence[LockRow]],
    ) -> Queries:
        # By time and term: another master may have used the same numbers.
        number, began = next(self._numbers), int(self._dependencies.now())
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
            tag_prefix=lambda: f"{began:x}.{self.quorum.term()}.{number}",
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
            address=self.address,
            keys=self._dependencies.keys,
            recent=self.live,
            solve=self._dependencies.solve,
            event_position=lambda: str(self.events.newest_position),
            stopping=lambda: self.queue.stopped,
            hooks_on_master=self._dependencies.hooks_here,
        )

    async def _submit(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]:
        return await self.queue.submit_many(jobs, who="job")

    def _on_config_change(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        self.checkpoints.schedule()
        self.shared.config_changed()
        # First, so that calls made because of this change find nodes with the current member list.
        self.members.config_changed(state, edits)
        self.gate.config_changed(state, edits)
        self.notifier.config_changed(state, edits)
        self.status_watch.config_changed(edits)
        if any(edit.kind is RecordKind.NODE for edit in edits):
            self.candidates.members(state.nodes.values())
            self.quorum.on_members_changed()

    def answers(self) -> Mapping[str, Answerer]:
        """Return the answering function for each LUXI method."""
        return answers(
            self.queue,
            self._performer().explain,
            self.shared,
            self.questions,
            self.pause,
            self.filters,
            self.enrolment,
            self._confirm_down,
            self.state_move.move,
            self.events,
            self.metrics,
            self.notifier,
            self.accounts,
            self.audit,
            self.history,
            self.consoles,
            UsageQueries(self.config.state, self.nodes),
            self.job_rates,
            self.guests,
            BackupQueries(self.config.state, self.nodes),
            self.backup_scheduler,
        )

    async def _confirm_down(self, names: Sequence[str]) -> None:
        state = self.config.state()
        self.quorum.confirm_down([state.node(name).name for name in names])

    async def start(self) -> None:
        """Commit the start of the term, recover interrupted jobs, and run jobs.

        The first commit is acknowledged when every in-sync copy has all earlier commits, so that no
        state which clients see from then on can be lost with this master.

        :raises CommitFailed: the commit failed.
        """
        self.members.schedule_update()
        self.enrolment.schedule_expiry()
        self.journal.replicate_to(self.candidates)
        self.candidates.members(self.config.state().nodes.values())
        await self._begin_term()
        if self._edit is not None:
            await self.config.change(self._edit.apply, because=self._edit.cause)
        self.events.start(self._dependencies.name)
        self.notifier.start()
        await self.queue.start()
        self.guests.start()

    async def _begin_term(self) -> None:
        state, term = self.config.state(), self.quorum.term()
        node = state.node(self._dependencies.name)
        if node.uuid != state.cluster.master_node:
            # What was ended with the master before, this one does not know.
            self.accounts.sessions.clear()
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
        self.accounts.stop()
        self.audit.stop()
        self.node_events.stop()
        self.events.stop()
        self.status_watch.stop()
        self.live.stop()
        self.members.stop()

    async def stop(self, *, replaced: bool = False, grace: float = 0.0) -> None:
        """Stop jobs and queries, then write a last checkpoint.

        Opcodes that run may end within ``grace`` seconds. A ``replaced`` master gives none, and
        writes no checkpoint: the files belong to its successor. A master without a majority does
        not wait for one: its successor decides about unacknowledged commits.
        """
        if replaced or not self.quorum.holds_lease():
            self._stop_acknowledging()
            grace = 0.0
        timer = self._dependencies.clock.callLater(
            grace + LEASE_WAIT_TIMEOUT, self._stop_acknowledging
        )
        try:
            self.guests.stop()
            self.state_move.stop()
            await self.queue.stop(grace=grace)
            await self.notifier.stop(record=not replaced and self.quorum.holds_lease())
            self.accounts.stop()
            self.audit.stop()
            self.node_events.stop()
            self.events.stop()
            self.status_watch.stop()
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


def _operations() -> Mapping[type[Opcode], AnyOperation]:
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
