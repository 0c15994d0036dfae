# SPDX-License-Identifier: BSD-2-Clause
"""A whole cluster in memory: the real master, queue, locks, journal, RPC encoding and node code,
over doubles of disks, guests and programs, on a clock, from a seed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ganeti.bootstrap.journal_copy import JournalCopy, read
from ganeti.config import access_file
from ganeti.config.changes.nodes import set_certificates
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.initial_state import initial_state
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, JobLost, NotMaster
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.journal.etcd.interfaces import IEtcd
from ganeti.journal.etcd.leadership import Holder, Leadership, StateInFiles, keep_in_files
from ganeti.journal.etcd.store_settings import (
    StateStore,
    encode_settings,
    read_last_settings,
    read_settings,
)
from ganeti.journal.file_journal import FileJournal
from ganeti.master.ancillary_files import AncillaryFiles
from ganeti.master.current_store import CurrentTerm
from ganeti.master.follower import FollowerTimeouts, to_wire
from ganeti.master.master import Dependencies, Master
from ganeti.master.mastership import MasterTerm
from ganeti.master.offline_nodes import end_calls_to_absent_nodes
from ganeti.master.startup import Startup, StartupMandate
from ganeti.master.state_paths import StatePaths
from ganeti.master.store_startup import OpenedStore, StoreStartup, open_store
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.node.answers import register_handlers
from ganeti.node.assembly import Host, assemble_node
from ganeti.node.voter import read_voter_state
from ganeti.node.watchdog import INTERVAL, Watchdog
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.lifecycle import (
    RemoveInstance,
    RenameInstance,
    ShutdownInstance,
    StartInstance,
)
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.elector_client import ElectorClient
from ganeti.rpc.guest_lease import RENEWAL_INTERVAL
from ganeti.rpc.liveness import ProbedTransport
from ganeti.rpc.node_client import NodeClient
from ganeti.schema.records import replace
from ganeti.testing.certificates import (
    MemoryKeys,
    certificate,
    content,
    is_issued_by,
    new_authority,
)
from ganeti.testing.clocks import HostClock, ProcessClock, SimulatedTime
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.images import MemoryImages
from ganeti.testing.links import Links
from ganeti.testing.names import MemoryNames
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.processes import MemoryProcesses, MemoryStateFiles, Script
from ganeti.testing.senders import MemorySenders
from ganeti.testing.streams import MemoryNetwork, MemoryStreams
from ganeti.testing.tools import MemoryAllocators, SeededIdentifiers
from ganeti.testing.wire import Switch, Wire

T = TypeVar("T")

BEGINNING = 1_700_000_000
"""The time, in seconds since the epoch, at which every simulation begins."""

LOOK, LOOK_AROUND = 1.0, 5.0
"""Seconds between two looks of a master daemon at whom its own host's node daemon obeys, and
between two questions to other nodes, as ``ganeti.daemon.master_services.start`` has them."""

FIRST_AUTHORITY = new_authority(0)
"""The authority that every simulated cluster begins with."""

MAX_LENGTH = 24 * 3600.0
"""Seconds of simulated time after which a cluster that is not quiet counts as stuck."""

OS_FOLDER = "/usr/share/ganeti/os/noop"
_OS_SCRIPTS = ("create", "import", "export", "rename", "verify")


RESTART = StartupMandate()
"""What a master may do that is started again where it was."""


class Stuck(AssertionError):
    """The cluster does not come to rest."""


class SimulatedHost:
    """A node's machine: what survives a restart of its daemons, and the daemon that runs now.

    ``clock`` is that of the machine, ``daemon_clock`` that of the node daemon.
    """

    daemon_clock: ProcessClock

    def __init__(
        self,
        name: str,
        address: str,
        clock: HostClock,
        random: Random,
        network: MemoryNetwork,
        switch: Switch,
    ) -> None:
        self.name = name
        self.address = address
        self.clock = clock
        self.paths = Paths()
        self.disk = MemoryDisk(random)
        self.images = MemoryImages()
        self.guests = self._no_guests()
        self.sessions = MemoryStateFiles()
        self.lease_notes = MemoryStateFiles()
        self.boots = 1
        self.has_device = False
        self.watchdog: SimulatedWatchdog | None = None
        self.process: MasterProcess | None = None
        # Small, so that segments are begun and forgotten within minutes, and not with each commit.
        self.segment_size = random.choice((2 << 10, 16 << 10, 16 << 20))
        self._network = network
        self._switch = switch
        self._random = random
        self._install()

    def _no_guests(self) -> MemoryHypervisor:
        return MemoryHypervisor(reaches=lambda address: self._network.reaches(self.name, address))

    def join(self) -> None:
        """Get what a node gets when it joins the cluster: its own certificate."""
        self.disk.put(self.paths.node_certificate, _first_certificate(self.name), 0o600, 0.0)
        self.disk.put(self.paths.authority, FIRST_AUTHORITY.certificate.encode(), 0o644, 0.0)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return where the files are that only the master and its candidates may have."""
        paths = self.paths
        return (
            paths.authority_key,
            paths.domain_secret,
            paths.rapi_certificate,
            paths.rapi_users,
        )

    @property
    def has_master(self) -> bool:
        """Whether a master daemon runs here."""
        return self.process is not None and not self.process.dead

    def _install(self) -> None:
        """The files that the operating system and the package bring."""
        for folder in ("/proc/sys/kernel/random", self.paths.queue, self.paths.log, OS_FOLDER):
            self.disk.add_folder(folder, 0o755)
        self.disk.put("/proc/meminfo", _MEMINFO, 0o444, 0.0)
        self.disk.put("/proc/cpuinfo", b"processor\t: 0\nprocessor\t: 1\n", 0o444, 0.0)
        self.disk.put("/proc/sys/kernel/random/boot_id", b"0d3f\n", 0o444, 0.0)
        self.disk.put(f"{OS_FOLDER}/ganeti_api_version", b"20\n", 0o444, 0.0)
        self.disk.put(f"{OS_FOLDER}/parameters.list", b"", 0o444, 0.0)
        self.join()
        for script in _OS_SCRIPTS:
            self.disk.put(f"{OS_FOLDER}/{script}", b"#!/bin/sh\n", 0o755, 0.0)

    def daemon(self) -> Host:
        """What a node daemon that is started now finds."""
        self.daemon_clock = clock = ProcessClock(self.clock)
        self.streams = MemoryStreams(self.disk, clock, self._network, host=self.name)
        takes = self._random.uniform(0.0, 2.0)
        programs = {f"{OS_FOLDER}/{script}": Script(takes=takes) for script in _OS_SCRIPTS}
        hypervisors: dict[str, IHypervisor] = {"fake": self.guests}
        return Host(
            name=self.name,
            paths=self.paths,
            files=MemoryFiles(self.disk, clock, latency=0.0002),
            images=self.images,
            processes=MemoryProcesses(clock, programs),
            names=MemoryNames(),
            streams=self.streams,
            hypervisors=hypervisors,
            clock=clock,
            now=clock.now,
            reach=lambda host, port: _reached(),
            stop=clock.die,
            master_pid=lambda: self.process.pid if self.process and self.has_master else 0,
            stop_master=self._stop_master,
            request=self._request,
            reload=self._prove,
            segment_size=self.segment_size,
            lease_notes=self.lease_notes,
            address_records=MemoryStateFiles(),
            uptime=clock.seconds,
            boot_id=self.read_boot_id,
            ask_elector=ElectorClient(Wire(self._switch, self.name, clock)),
        )

    async def _request(self, name: str) -> tuple[bytes, bytes]:
        return f"key of {name}\n".encode(), b"request\n"

    def _prove(self) -> None:
        if not self.trusts(self):
            raise Failed("this node's certificate was not issued by an authority that it trusts")

    def trusts(self, other: SimulatedHost) -> bool:
        """Whether TLS of this host accepts the certificate that the other one shows."""
        own, its = MemoryFiles(self.disk), MemoryFiles(other.disk)
        try:
            trusted = own.read(self.paths.authority)
            return is_issued_by(its.read(other.paths.node_certificate), trusted)
        except OSError:
            return False

    async def _stop_master(self) -> bool:
        process = self.process
        if process is None or process.dead:
            return False
        stopping = Deferred.fromCoroutine(process.stop())
        # A daemon that cannot end in an orderly way is killed.
        stopping.addErrback(lambda _: process.die())
        process.clock.keep_referenced(stopping)
        # It may also be killed meanwhile, and then that never ends.
        while not process.dead:
            await deferLater(self.daemon_clock, 0.1)
        return True

    def recover(self) -> None:
        """The machine comes back after a power cut, with what its disk has kept."""
        self.disk = self.disk.after_crash()

    def lose_guests(self) -> None:
        """Let everything that runs here end, as when the machine loses its power."""
        self.guests = self._no_guests()
        # These files are in memory, so that no boot leaves any.
        self.sessions = MemoryStateFiles()
        self.lease_notes = MemoryStateFiles()
        self.boots += 1
        if self.watchdog is not None:
            self.watchdog.lose_power()
            self.watchdog = None

    def read_boot_id(self) -> str:
        """Return what identifies the present boot of the machine."""
        return f"boot{self.boots}"


async def _reached() -> None:
    return None


_MEMINFO = b"MemTotal: 16777216 kB\nMemFree: 8388608 kB\nBuffers: 0 kB\nCached: 0 kB\n"


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
        host = self.host
        files = MemoryFiles(host.disk, self.clock, latency=0.0005)
        places = StatePaths(host.paths.data)
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
            # The startup is made below; none of these is called before.
            term=lambda: startup.quorum.term(),
            master=host.name,
            elected=lambda: startup.quorum.elected,
            deposed=lambda error: startup.quorum.observe_newer_master(error),
        )
        keys = MemoryKeys(files, host.paths, self._serials)
        shared = _Shared(files, host)

        def make_votes() -> MasterTerm:
            def own_term() -> int:
                state = read_voter_state(files, host.paths.term_file)
                return state.term if state.master == host.name else 0

            return MasterTerm(
                nodes,
                host.name,
                lambda: list(startup.master.config.state().nodes.values()),
                self.clock,
                lost=self._over,
                acknowledged=lambda: to_wire(journal.acknowledged()),
                own_term=own_term,
                process=self.pid,
                random=self._random,
            )

        around = Dependencies(
            files=files,
            places=places,
            nodes=nodes,
            clock=self.clock,
            now=self.clock.now,
            ids=self._ids,
            run_allocator=MemoryAllocators({}, []),
            shared=shared,
            machine="x86_64",
            issue=keys.issue,
            name=host.name,
            sessions=host.sessions,
            keys=keys,
            # Small as well, so that copies get checkpoints within minutes.
            patience=FollowerTimeouts(frames=4 * host.segment_size),
            senders=self._senders,
            move_tools=_MoveTools(self, files, shared, make_votes),
        )

        async def undo_move() -> None:
            # Read only now: another master may have sent them since this one was started.
            found = read_settings(files, host.paths.state_store)
            if found is not None:
                await keep_in_files(self.etcd, found.prefix, host.name, self.clock)
                await save_settings(files, host, replace(found, kind="file", moving=False))

        startup: Startup | StoreStartup
        if opened is not None:
            startup = StoreStartup(around, opened)
        else:
            startup = Startup(
                around,
                journal,
                lambda: read_voter_state(files, host.paths.term_file),
                self._random,
                process=self.pid,
                lost=self._over,
                replaced=self._use,
                on_elected=undo_move,
            )
        self._startup = startup
        self._use(startup.master)
        startup.check_mandate(mandate)
        await startup.start_master(mandate)
        self.begun = True
        sharing = AncillaryFiles(
            self.master.nodes, self.master.config.state, around.shared, self.clock
        )
        self.sharing = sharing
        self.master.config.observe(sharing.config_changed)
        sharing.schedule_upload()
        self._every(LOOK, lambda: self._look(files, startup.quorum))

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


class SimulatedDevice:
    """The watchdog device of a host, which no process and no kernel can stop."""

    timeout = 10

    def __init__(self, host: SimulatedHost, reset: Callable[[], None]) -> None:
        self._host = host
        self._reset = reset
        self._timer: IDelayedCall | None = None

    @property
    def armed(self) -> bool:
        return self._timer is not None

    def arm(self) -> None:
        if not self._host.has_device:
            raise FileNotFoundError("no device")
        self.keep_alive()

    def keep_alive(self) -> None:
        self.disarm()
        clock = self._host.clock
        self._timer = clock.true.callLater(self.timeout / clock.rate, self._due)

    def disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._reset()


class SimulatedWatchdog:
    """The watchdog process of a host, with its device."""

    def __init__(self, host: SimulatedHost, reset: Callable[[], None]) -> None:
        self.clock = ProcessClock(host.clock)
        self.device = SimulatedDevice(host, reset)
        watchdog = Watchdog(
            host.lease_notes,
            self.device,
            lambda: {"fake": host.guests},
            uptime=host.clock.seconds,
            boot_id=host.read_boot_id,
        )
        every(self.clock, INTERVAL, watchdog.tick)

    def lose_power(self) -> None:
        """End with the host."""
        self.clock.die()
        self.device.disarm()


def every(
    clock: ProcessClock,
    seconds: float,
    work: Callable[[], Coroutine[Deferred[object], object, None]],
) -> None:
    """Do some work again and again, as a periodic task of a daemon does."""

    def turn() -> None:
        working = Deferred.fromCoroutine(work())
        # A daemon logs these errors, and tries again at its next turn.
        working.addErrback(lambda failure: failure.trap(GanetiError, OSError) and None)
        working.addBoth(lambda _: clock.callLater(seconds, turn))

    clock.callLater(seconds, turn)


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


class SimulatedCluster:
    """A master and its nodes, from a seed; the same seed is the same history.

    The first host is the first master's. ``acknowledged`` are the jobs whose submission was
    answered.
    """

    def __init__(
        self,
        seed: int,
        nodes: int = 3,
        *,
        candidates: int | None = None,
        skew: float = 0.0,
        segment_size: int | None = None,
        store: str = "file",
        guarded: bool = False,
    ) -> None:
        """The state is in ``store``, "file" or "etcd".

        ``candidates`` of the nodes can become the master, or all of them; the clocks of hosts
        are slower or faster than the true one by up to ``skew`` seconds in each second. A log has
        segments of ``segment_size``, or on each host of another size. If they are ``guarded``,
        hosts have a watchdog, and most of them a device.
        """
        self.random = Random(seed)
        self.clock = SimulatedTime(BEGINNING)
        self.began = self.clock.seconds()
        self.guarded = guarded
        self.reset: list[SimulatedHost] = []
        self.ids = SeededIdentifiers(self.random)
        self.senders = MemorySenders()
        self.acknowledged: list[int] = []
        self.doubles: set[str] = set()
        self.pids = count(1)
        self.serials = count(1)
        self.etcd = EtcdData(self.clock)
        self.etcd_lost: dict[str, str] = {}
        self.etcd_slow = 0.02
        self.processes: list[MasterProcess] = []
        self.watchers: list[Callable[[], None]] = []
        self._submitting: dict[Deferred[int], MasterProcess] = {}
        self._candidates = nodes if candidates is None else candidates
        self.network = MemoryNodes(clock=self.clock)
        self.links = Links(self.clock, self.random, lambda: self.random.uniform(0.0002, 0.02))
        self.switch = Switch(self.network, self.links, self.random, self._shake_hands)
        network = MemoryNetwork(self.links.connected, self._host_at)
        self.hosts = [
            SimulatedHost(
                f"node{n}",
                f"192.0.2.{n}",
                HostClock(self.clock, rate=1.0 + self.random.uniform(-skew, skew)),
                self.random,
                network,
                self.switch,
            )
            for n in range(1, nodes + 1)
        ]
        for host in self.hosts:
            host.segment_size = segment_size or host.segment_size
            self.restart_node(host)
            if guarded:
                host.has_device = self.random.random() < 0.7
                self.start_watchdog(host)
        self._found()
        if store == "etcd":
            self.know_etcd(self.hosts[0], in_charge=True)
        self.start_master()

    def host(self, name: str) -> SimulatedHost:
        """Return the host of this name."""
        return next(host for host in self.hosts if host.name == name)

    def _shake_hands(self, caller: str, node: str) -> bool:
        one, other = self.host(caller), self.host(node)
        return one.trusts(other) and other.trusts(one)

    def _host_at(self, address: str) -> str:
        return next(host.name for host in self.hosts if host.address == address)

    def _found(self) -> None:
        """Write the first state of the cluster, with all its nodes, to the master's disk."""
        first, *others = self.hosts
        state = initial_state(
            name="cluster",
            address="192.0.2.100",
            master=first.name,
            master_address=first.address,
            certificate=_fingerprint(first),
            authority=FIRST_AUTHORITY.certificate,
            hypervisors=("fake",),
            templates=(Template.FILE, Template.DISKLESS),
            ids=self.ids.uuid,
            random=self.random,
            now=self.clock.seconds(),
        )
        for number, host in enumerate(others, 2):
            member = replace(
                state.master,
                uuid=self.ids.uuid(),
                name=host.name,
                primary_ip=host.address,
                secondary_ip=host.address,
                master_candidate=number <= self._candidates,
            )
            state = state.put(member)
            state = set_certificates(member, _fingerprint(host))(state)
            if member.master_candidate:
                known = {**state.cluster.candidate_certs, member.uuid: _fingerprint(host)}
                state = state.put(replace(state.cluster, candidate_certs=known))
        first.disk.put(first.paths.access_file, access_file.text(state), 0o640, 0.0)
        first.disk.put(first.paths.config_file, ConfigDataEncoder().text(state), 0o640, 0.0)
        contents = (
            FIRST_AUTHORITY.key,
            b"secret\n",
            _first_certificate("rapi"),
            b"user secret write\n",
        )
        first.disk.add_folder(posixpath.dirname(first.paths.rapi_users), 0o750)
        for path, secret in zip(first.secrets, contents, strict=True):
            first.disk.put(path, secret, 0o600, 0.0)

    # --- the state in etcd

    def etcd_latency(self) -> float:
        """Return the seconds that a request to etcd, or its answer, takes on the way."""
        return self.random.uniform(0.0002, self.etcd_slow)

    def etcd_client(self, host: SimulatedHost, clock: ProcessClock) -> MemoryEtcd:
        """Return a client of etcd on a host, for the process with this clock."""
        lost = self.etcd_lost.get(host.name, "")
        return MemoryEtcd(self.etcd, self.etcd_latency, lost=lost, clock=clock)

    @property
    def ended(self) -> frozenset[int]:
        """The numbers of the processes of masters that have ended."""
        return frozenset(process.pid for process in self.processes if process.dead)

    def know_etcd(self, host: SimulatedHost, *, in_charge: bool = False) -> None:
        """Give a host the settings of the store."""
        settings = StateStore(
            kind="etcd" if in_charge else "file",
            endpoints=("https://192.0.2.200:2379",),
            prefix="/s/",
        )
        host.disk.put(host.paths.state_store, encode_settings(settings), 0o640, 0.0)

    # --- daemons

    def kill_node(self, host: SimulatedHost) -> None:
        """Kill the node's daemon; its guests and disks are as they were."""
        if host.name in self.switch.daemons:
            host.daemon_clock.die()
            host.daemon_clock.keep_referenced(self.network.crash(host.name))
            host.streams.die()

    def restart_node(self, host: SimulatedHost) -> None:
        """Start the node's daemon again; its guests and disks are as they were."""
        self.kill_node(host)
        parts = assemble_node(host.daemon())
        self.network.add_node(host.name, register_handlers(parts))
        self.switch.voters[host.name] = parts.voter
        self.switch.daemons[host.name] = host.daemon_clock
        self.network.behave(host.name)
        if self.guarded:
            every(host.daemon_clock, RENEWAL_INTERVAL, parts.guest_lease.tick)

    def start_watchdog(self, host: SimulatedHost) -> None:
        """Start the watchdog of a host, as init does when it boots."""
        host.watchdog = SimulatedWatchdog(host, lambda: self._reset(host))

    def _reset(self, host: SimulatedHost) -> None:
        """Let the watchdog device of a host reset it; an administrator has to boot it again."""
        self.power_off(host)
        self.reset.append(host)

    def launch_master(
        self, host: SimulatedHost, mandate: StartupMandate = RESTART, *, vacant: bool = False
    ) -> tuple[MasterProcess, Deferred[None]]:
        """Start a master daemon on a host, and do not wait until its term has begun.

        It takes a ``vacant`` role if the state is in etcd.
        """
        process = MasterProcess(self, host, vacant=vacant)
        self.processes.append(process)

        def failed(failure: Failure) -> Failure:
            process.die()
            return failure

        return process, Deferred.fromCoroutine(process.begin(mandate)).addErrback(failed)

    def start_master(
        self, host: SimulatedHost | None = None, mandate: StartupMandate = RESTART
    ) -> None:
        """Start a master daemon on a host, the first one by default, from what is on its disk.

        :raises NotMaster: another host has the master.
        :raises Refused: the host's copy is not the one to go on from.
        """
        self.process, beginning = self.launch_master(host or self.hosts[0], mandate)
        self.wait(beginning)

    @property
    def master(self) -> Master:
        """The master that was started last."""
        return self.process.master

    def cut_off(self, host: SimulatedHost) -> None:
        """Part a host and the master on it from the others, and the others from it."""
        self.process.wire.closed = frozenset(each.name for each in self.hosts if each != host)
        self.network.vanish(host.name)

    def fail_over(self, host: SimulatedHost) -> MasterProcess:
        """Make a host the master's; answers the process that was the master.

        The old one is ended first where that is possible, as ``gnt-cluster master-failover`` does.

        :raises NotMaster: most nodes do not want it.
        :raises Refused: an acknowledged commit may be missing there.
        """
        old = self.process
        # A master that is cut off cannot be asked to end.
        if self.alive and not old.wire.closed:
            self.wait(old.stop())
        self.start_master(host, StartupMandate(take_over=True))
        return old

    def copy_of(self, host: SimulatedHost) -> JournalCopy:
        """What a host has of the journal and its checkpoint."""
        return read(MemoryFiles(host.disk, self.clock), host.paths.data)

    def power_off(self, host: SimulatedHost) -> None:
        """Let a host lose its power: its daemons, its guests, and what its disk had not synced."""
        if host.process is not None:
            host.process.die()
        self.kill_node(host)
        self.network.remove(host.name)
        host.recover()
        host.lose_guests()
        host.process = None

    def restore(self, host: SimulatedHost, old: MemoryDisk, folder: str = "/") -> None:
        """Bring an old disk of a host back, or one folder of it, while its daemons do not run."""
        if host.process is not None:
            host.process.die()
        self.kill_node(host)
        host.disk.restore(old, folder)

    def kill_master(self) -> None:
        """Let the master's process end where it is, and its disk lose what was not synced."""
        self.process.die()
        self.process.host.recover()
        self.restart_node(self.process.host)

    @property
    def alive(self) -> bool:
        """Whether a master's process is there."""
        return not self.process.dead

    @property
    def crashed(self) -> bool:
        """Whether the master's disk has reached the write at which it was told to crash."""
        return self.process.host.disk.crashed

    # --- work

    def submit(self, *opcodes: Opcode, to: MasterProcess | None = None) -> None:
        """Submit a job, by default to the newest master; its number is noted when answered."""
        process = to or self.process
        submitting = Deferred.fromCoroutine(process.master.queue.submit(opcodes))
        self._submitting[submitting] = process
        submitting.addCallback(self.acknowledged.append)
        submitting.addErrback(lambda failure: failure.trap(GanetiError, OSError))
        submitting.addBoth(lambda _: self._submitting.pop(submitting))

    def cancel(self, job_id: int, *, at: MasterProcess) -> None:
        """Ask a master to cancel a job, whatever it answers."""
        canceling = Deferred.fromCoroutine(at.master.queue.cancel(job_id))
        canceling.addErrback(lambda failure: failure.trap(GanetiError, OSError) and None)

    def pass_time(self, seconds: float) -> None:
        """Let everything happen that happens within some seconds."""
        until = self.clock.seconds() + seconds
        while (
            not self.crashed
            and (next_call := self.clock.next_time()) is not None
            and next_call <= until
        ):
            self._move_on(next_call)
        if self.clock.seconds() < until and not self.crashed:
            self._move_on(until)

    def wait(self, work: Coroutine[Deferred[object], object, T] | Deferred[T]) -> T:
        """What ``work`` returns, after as much time as it takes.

        :raises Stuck: nothing happens any more, and it has not returned.
        """
        results: list[T] = []
        running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        running.addCallback(results.append)
        until = self.clock.seconds() + MAX_LENGTH
        # A Deferred that waits for another one counts as called, but is paused.
        while not running.called or running.paused:
            next_call = self.clock.next_time()
            if next_call is None or next_call > until:
                raise Stuck(f"still waiting for {work}")
            self._move_on(next_call)
        if not results:
            failures: list[Any] = []
            running.addErrback(failures.append)
            failures[0].raiseException()
        return results[0]

    def _move_on(self, until: float) -> None:
        self.clock.advance(max(0.0, until - self.clock.seconds()))
        # After every event, as a guest may be on two nodes for a moment only.
        self.doubles.update(
            f"{name} ran on {' and '.join(hosts)} at once"
            for name, hosts in self.running().items()
            if len(hosts) > 1
        )
        for watch in self.watchers:
            watch()

    def finish_jobs(self) -> None:
        """Let every job end.

        :raises Stuck: some do not.
        """
        until = self.clock.seconds() + MAX_LENGTH
        while self._waits() or any(not job.is_final for job in self.master.queue.jobs()):
            next_call = self.clock.next_time()
            if next_call is None or next_call > until:
                waiting = [job.id for job in self.master.queue.jobs() if not job.is_final]
                raise Stuck(f"jobs do not end: {waiting}")
            self._move_on(next_call)
        # The last commit is there; what follows it in the same turn is not yet.
        self.pass_time(1.0)

    def _waits(self) -> bool:
        """Whether a client waits for an answer; those of a dead master wait for ever."""
        return any(not process.dead for process in self._submitting.values())

    def reconcile(self) -> None:
        """Do what the watcher does: make what runs what is wanted, and settle what broke off.

        What a dying master was about to make is removed, as an administrator would.
        """
        for name in self._half_made():
            self.submit(RemoveInstance(instance_name=name, ignore_failures=True))
        for renaming in self._half_renamed():
            name = renaming.instance_name
            self.submit(ShutdownInstance(instance_name=name, timeout=0), renaming)
        self.finish_jobs()
        state = self.master.config.state()
        if state.authorities is not None and state.authorities.must_be_replaced:
            self.submit(RenewCrypto(shared_secrets=True))
            self.finish_jobs()
        held = {name for host in self.hosts for name in host.guests.held()}
        for instance in state.instances.values():
            # A master that ends while it records a move does not know whether it is recorded.
            here = [state.nodes[instance.primary_node].name]
            astray = self.running().get(instance.name) != here
            if (instance.admin_state is AdminState.UP and astray) or instance.name in held:
                self.submit(MigrateInstance(instance_name=instance.name, cleanup=True))
        self.finish_jobs()
        # The jobs above have changed it.
        state = self.master.config.state()
        for instance in state.instances.values():
            runs = instance.name in self.running()
            if instance.admin_state is AdminState.UP and not runs:
                self.submit(StartInstance(instance_name=instance.name))
            elif instance.admin_state is not AdminState.UP and runs:
                self.submit(ShutdownInstance(instance_name=instance.name, timeout=0))
        self.finish_jobs()

    def _half_made(self) -> list[str]:
        """Instances that were made or removed by halves, and that nothing has run of since.

        A master has died meanwhile, or the job says that it could not do all of it.
        """
        broken_off = {
            op.opcode.instance_name
            for job in self.master.queue.jobs()
            for op in job.ops
            if isinstance(op.opcode, CreateInstance | RemoveInstance)
            and any(words in str(op.result) for words in _broken_off(op.opcode))
        }
        there = {each.name for each in self.master.config.state().instances.values()}
        return sorted(broken_off & there - set(self.running()))

    def _half_renamed(self) -> list[RenameInstance]:
        """Renames that a master has not carried to their end, of instances with their old names."""
        there = {each.name for each in self.master.config.state().instances.values()}
        return [
            op.opcode
            for job in self.master.queue.jobs()
            for op in job.ops
            if isinstance(op.opcode, RenameInstance)
            and any(words in str(op.result) for words in _BROKEN_OFF)
            and op.opcode.instance_name in there
            and op.opcode.new_name not in there
        ]

    # --- what must be true

    def running(self) -> dict[str, list[str]]:
        """The hosts that each guest runs on, by its name."""
        found: dict[str, list[str]] = {}
        for host in self.hosts:
            for name in host.guests.running():
                found.setdefault(name, []).append(host.name)
        return found

    def problems(self) -> list[str]:
        """Everything that must not be after the cluster has settled."""
        state, queue = self.master.config.state(), self.master.queue
        found = list(verify(state))
        for job_id in self.acknowledged:
            try:
                job = queue.job(job_id)
            except JobLost:
                found.append(f"job {job_id} was acknowledged and is lost")
                continue
            if not job.is_final:
                found.append(f"job {job_id} is {job.status.value}")
            found += [f"job {job_id}: {op.result}" for op in job.ops if _is_a_bug(op.result)]
        found += [f"lock {row.name} is held" for row in self.master.locks.rows()]
        found += sorted(self.doubles)
        wanted = {
            instance.name: [state.nodes[instance.primary_node].name]
            for instance in state.instances.values()
            if instance.admin_state is AdminState.UP
        }
        if self.running() != wanted:
            found.append(f"wanted is {wanted}, and what runs is {self.running()}")
        return found

    def reopened(self) -> ClusterState:
        """The state that a master which is started now finds, after this one has stopped."""
        self.wait(self.process.stop())
        self.start_master(self.process.host)
        return self.master.config.state()


_BROKEN_OFF = ("the master daemon restarted", "by the shutdown of the master daemon")
"""What the result of an opcode says that a master has not carried to its end."""


def _first_certificate(name: str) -> bytes:
    """Return the certificate of the first authority for a node."""
    return certificate(content(FIRST_AUTHORITY.certificate.encode()).subject, name, 0).encode()


def _broken_off(opcode: Opcode) -> tuple[str, ...]:
    """Return what the result of an opcode may say if it was done by halves."""
    if isinstance(opcode, RemoveInstance):
        return (*_BROKEN_OFF, "could not be removed", "remove the instance again")
    return _BROKEN_OFF


def _fingerprint(host: SimulatedHost) -> str:
    return fingerprint(_first_certificate(host.name))


def _is_a_bug(result: object) -> bool:
    """Return whether the result of an opcode reports an unexpected exception."""
    return "internal error" in str(result) or "broke on the node" in str(result)


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
