# SPDX-License-Identifier: BSD-2-Clause
"""A master daemon in memory, on a simulated host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from ganeti.errors import Failed, NotMaster
from ganeti.journal.etcd.interfaces import IEtcd
from ganeti.journal.etcd.leadership import Holder, Leadership, StateInFiles, keep_in_files
from ganeti.journal.etcd.store_settings import (
    StateStore,
    encode_settings,
    read_last_settings,
    read_settings,
)
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.folder_lock import wait_for_lock
from ganeti.master.ancillary_files import AncillaryFiles
from ganeti.master.current_store import CurrentTerm
from ganeti.master.follower import FollowerTimeouts, to_wire
from ganeti.master.master import Dependencies, Master
from ganeti.master.mastership import MasterTerm
from ganeti.master.offline_nodes import end_calls_to_absent_nodes
from ganeti.master.startup import Startup, StartupMandate
from ganeti.master.state_paths import StatePaths
from ganeti.master.store_startup import OpenedStore, StoreStartup, open_store
from ganeti.node.voter import read_voter_state
from ganeti.operations.operation import AncillaryFile
from ganeti.rpc.liveness import ProbedTransport
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.shared_listings import SharedListings
from ganeti.schema.records import replace
from ganeti.testing.certificates import (
    MemoryKeys,
)
from ganeti.testing.clocks import ProcessClock
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.simulated_host import SimulatedHost
from ganeti.testing.tools import MemoryAllocators
from ganeti.testing.wire import Wire

if TYPE_CHECKING:
    from ganeti.testing.cluster import SimulatedCluster

LOOK, LOOK_AROUND = 1.0, 5.0
"""Seconds between two looks of a master daemon at whom its own host's node daemon obeys, and
between two questions to other nodes, as ``ganeti.daemon.master_services.start`` has them."""


class MasterProcess:
    """A master daemon on one of the hosts; ``ended`` says why it has ended by itself.

    ``term`` is its term once that has ``begun``, which is when clients' changes are no longer held
    back.
    """

    master: Master

    def __init__(
        self, cluster: SimulatedCluster, host: SimulatedHost, *, vacant: bool = False
    ) -> None:
        """Unless the role of the master is ``vacant``, only its last host takes it by itself."""
        self.host = host
        self.clock = ProcessClock(host.clock)
        self.wire = Wire(cluster.switch, host.name, self.clock)
        self.begun = False
        self.ended: NotMaster | None = None
        self.etcd = cluster.etcd_client(host, self.clock)
        self._ended = cluster.ended
        self._vacant = vacant
        self._ids = cluster.ids
        self._serials = cluster.serials
        self._senders = cluster.senders
        self.pid = next(cluster.pids)
        self._random = cluster.random
        self._startup: Startup | StoreStartup | None = None
        assert not host.has_master, f"a master daemon runs on {host.name} already"
        host.process = self

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self.clock.dead

    @property
    def acts(self) -> bool:
        """Whether clients that reach the process can have something changed."""
        return self.begun and self.ended is None and not self.dead

    @property
    def term(self) -> int:
        """The newest term that it has been granted."""
        return self._startup.quorum.term() if self._startup is not None else 0

    async def begin(self, mandate: StartupMandate) -> None:
        """Recover, be elected, and run jobs.

        :raises NotMaster: another one is the master.
        :raises Refused: this host's copy is not the one to go on from.
        """
        host, files = self.host, MemoryFiles(self.host.disk, self.clock, latency=0.0005)
        places = StatePaths(host.paths.data)
        await wait_for_lock(files, places.data, self.clock)
        settings = read_settings(files, host.paths.state_store)
        opened: OpenedStore | None = None
        if settings is not None:
            with suppress(StateInFiles):
                opened = await self._open_store(settings, files, places, mandate)
        journal = (
            opened.journal
            if opened is not None
            else await FileJournal.open(
                files, places.journal, self.clock, segment_size=host.segment_size
            )
        )
        self._way = ProbedTransport(self.wire, self.clock)
        nodes = NodeClient(
            self._way,
            self.clock,
            term=self._get_term,
            master=host.name,
            elected=lambda: self._quorum.elected,
            deposed=lambda error: self._quorum.observe_newer_master(error),
        )
        shared = _Shared(files, host)
        around = self._make_dependencies(
            files, places, nodes, shared, partial(self._make_votes, files, nodes, journal)
        )
        startup = self._startup = self._make_startup(files, around, journal, opened)
        self._use(startup.master)
        startup.check_mandate(mandate)
        await startup.start_master(mandate)
        self.begun = True
        self.sharing = AncillaryFiles(
            self.master.nodes, self.master.config.state, shared, self.clock
        )
        self.master.config.observe(self.sharing.config_changed)
        self.sharing.schedule_upload()
        self._every(LOOK, lambda: self._look(files, startup.quorum))

    @property
    def _quorum(self) -> CurrentTerm:
        assert self._startup is not None
        return self._startup.quorum

    def _get_term(self) -> int:
        return self._quorum.term()

    def _make_votes(
        self, files: MemoryFiles, nodes: NodeClient, journal: FileJournal
    ) -> MasterTerm:
        host = self.host

        def own_term() -> int:
            state = read_voter_state(files, host.paths.term_file)
            return state.term if state.master == host.name else 0

        return MasterTerm(
            nodes,
            host.name,
            lambda: list(self.master.config.state().nodes.values()),
            self.clock,
            lost=self._over,
            acknowledged=lambda: to_wire(journal.acknowledged()),
            own_term=own_term,
            process=self.pid,
            random=self._random,
        )

    def _make_dependencies(
        self,
        files: MemoryFiles,
        places: StatePaths,
        nodes: NodeClient,
        shared: _Shared,
        make_votes: Callable[[], MasterTerm],
    ) -> Dependencies:
        keys = MemoryKeys(files, self.host.paths, self._serials)
        return Dependencies(
            files=files,
            places=places,
            # One call per turn, so that questions to so few nodes go this way as well.
            nodes=SharedListings(nodes, self.clock, calls_per_turn=1),
            clock=self.clock,
            now=self.clock.now,
            ids=self._ids,
            run_allocator=MemoryAllocators({}, []),
            shared=shared,
            machine="x86_64",
            issue=keys.issue,
            name=self.host.name,
            sessions=self.host.sessions,
            keys=keys,
            # Small as well, so that copies get checkpoints within minutes.
            patience=FollowerTimeouts(frames=4 * self.host.segment_size),
            senders=self._senders,
            move_tools=_MoveTools(self, files, shared, make_votes),
            # With hooks, a job makes its last change before its end, and else together with it.
            hooks_here=lambda folder: self.pid % 2 == 0,
        )

    def _make_startup(
        self,
        files: MemoryFiles,
        around: Dependencies,
        journal: FileJournal,
        opened: OpenedStore | None,
    ) -> Startup | StoreStartup:
        if opened is not None:
            return StoreStartup(around, opened)
        return Startup(
            around,
            journal,
            lambda: read_voter_state(files, self.host.paths.term_file),
            self._random,
            process=self.pid,
            lost=self._over,
            replaced=self._use,
            on_elected=partial(self._undo_move, files),
        )

    async def _undo_move(self, files: MemoryFiles) -> None:
        # Read only now: another master may have sent them since this one was started.
        found = read_settings(files, self.host.paths.state_store)
        if found is not None:
            await keep_in_files(self.etcd, found.prefix, self.host.name, self.clock)
            await save_settings(files, self.host, replace(found, kind="file", moving=False))

    def connect(self, settings: StateStore) -> Leadership:
        """Return the leader key of this process."""
        me = Holder(master=self.host.name, process=self.pid)
        return Leadership(self.etcd, settings.prefix, me, self.clock, lost=self._over)

    async def _open_store(
        self,
        settings: StateStore,
        files: MemoryFiles,
        places: StatePaths,
        mandate: StartupMandate,
    ) -> OpenedStore:
        async def founded() -> None:
            now = replace(settings, founded=True, moving=False)
            await save_settings(files, self.host, now)

        return await open_store(
            self.etcd,
            settings.prefix,
            self.connect(settings),
            files,
            places,
            self.clock,
            founded=settings.founded,
            on_founded=founded,
            floor=read_voter_state(files, self.host.paths.term_file).term,
            take_over=mandate.take_over,
            vacant=self._vacant,
            moving=settings.moving,
            has_ended=lambda holder: holder.process in self._ended,
        )

    def _use(self, master: Master) -> None:
        self.master = master
        master.config.observe(end_calls_to_absent_nodes(self._way.give_up))

    def _every(self, seconds: float, work: Callable[[], object]) -> None:
        def turn() -> None:
            if self.ended is None:
                work()
                self.clock.callLater(seconds, turn)

        self.clock.callLater(seconds, turn)

    def _look(self, files: MemoryFiles, quorum: CurrentTerm) -> None:
        if self.host.disk.crashed:
            return
        granted = read_voter_state(files, self.host.paths.term_file)
        quorum.observed(granted.term, granted.master)

    async def move_state(self, store: str) -> None:
        """Move the state of the cluster, as ``gnt-cluster modify --state-store`` does."""
        while not await self.master.state_move.move(store):
            pass

    async def stop(self) -> None:
        """End the process in an orderly way, as its init script does."""
        if self.begun and self.ended is None and self._startup is not None:
            await self.master.stop()
            await self._startup.quorum.release_lease()
        self.die()

    def _over(self, error: NotMaster) -> None:
        self.ended = error
        ending = Deferred.fromCoroutine(self.master.stop(replaced=True))
        # In either case, as a master without a term must not stay.
        ending.addBoth(lambda _: self.die())

    def die(self) -> None:
        """End the process where it is."""
        self.clock.die()


async def save_settings(files: MemoryFiles, host: SimulatedHost, settings: StateStore) -> None:
    """Replace the settings of the store on a host."""
    await files.replace(host.paths.state_store, encode_settings(settings), mode=0o640)


@dataclass(frozen=True)
class _MoveTools:
    """What a move of the state needs from the host of a simulated master."""

    process: MasterProcess
    local: MemoryFiles
    shared: _Shared
    votes: Callable[[], MasterTerm]

    def settings(self) -> StateStore:
        found = read_last_settings(self.local, self.process.host.paths.state_store)
        if found is None:
            raise Failed("there are no settings of the store")
        return found

    async def save(self, settings: StateStore) -> None:
        await save_settings(self.local, self.process.host, settings)

    async def wait_for_settings(self) -> None:
        await self.process.sharing.wait_for_uploads()

    async def files(self) -> Sequence[AncillaryFile]:
        path = self.process.host.paths.state_store
        return [AncillaryFile(path, self.local.read(path), 0o640)]

    def connect(self, settings: StateStore) -> tuple[IEtcd, Leadership]:
        return self.process.etcd, self.process.connect(settings)


@dataclass(frozen=True)
class _Shared:
    """The files of a host that every master candidate has a copy of."""

    files: MemoryFiles
    host: SimulatedHost

    async def read(self) -> Sequence[AncillaryFile]:
        return [
            AncillaryFile(path, self.files.read(path), 0o600)
            for path in (*self.host.secrets, self.host.paths.state_store)
            if self.files.stat(path) is not None
        ]
