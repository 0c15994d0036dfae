# SPDX-License-Identifier: BSD-2-Clause
"""A whole cluster in memory: the real master, queue, locks, journal, RPC encoding and node code,
over doubles of disks, guests and programs, on a clock, from a seed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Coroutine
from itertools import count
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ganeti.bootstrap.journal_copy import JournalCopy, read
from ganeti.config import access_file
from ganeti.config.changes.nodes import set_certificates
from ganeti.config.formats import ConfigDataEncoder
from ganeti.config.initial_state import initial_state
from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import GanetiError, JobLost
from ganeti.journal.etcd.store_settings import (
    StateStore,
    encode_settings,
)
from ganeti.master.master import Master
from ganeti.master.startup import StartupMandate
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.node.answers import register_handlers
from ganeti.node.assembly import assemble_node
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
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.guest_lease import RENEWAL_INTERVAL
from ganeti.schema.records import replace
from ganeti.testing.clocks import HostClock, ProcessClock, SimulatedTime
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from ganeti.testing.links import Links
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.senders import MemorySenders
from ganeti.testing.simulated_host import (
    FIRST_AUTHORITY,
    SimulatedHost,
    SimulatedWatchdog,
    every,
    first_certificate,
)
from ganeti.testing.streams import MemoryNetwork
from ganeti.testing.tools import SeededIdentifiers
from ganeti.testing.wire import Switch

T = TypeVar("T")

BEGINNING = 1_700_000_000
"""The time, in seconds since the epoch, at which every simulation begins."""


MAX_LENGTH = 24 * 3600.0
"""Seconds of simulated time after which a cluster that is not quiet counts as stuck."""


RESTART = StartupMandate()
"""What a master may do that is started again where it was."""


class Stuck(AssertionError):
    """The cluster does not come to rest."""


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
                HostClock(self.clock, rate=self._choose_rate(skew)),
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

    def _choose_rate(self, skew: float) -> float:
        """Return how fast the clock of a host runs.

        Where leases of guests are at stake, it is often as wrong as it may be.
        """
        if self.guarded and self.random.random() < 0.6:
            return 1.0 + self.random.choice((-skew, skew))
        return 1.0 + self.random.uniform(-skew, skew)

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
            first_certificate("rapi"),
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
        """Renames that a master has not carried to their end, of instances with their old names.

        The new name may be that of another instance by now.
        """
        there = {each.name for each in self.master.config.state().instances.values()}
        return [
            op.opcode
            if op.opcode.new_name not in there
            else replace(op.opcode, new_name=f"{op.opcode.instance_name}-again")
            for job in self.master.queue.jobs()
            for op in job.ops
            if isinstance(op.opcode, RenameInstance)
            and any(words in str(op.result) for words in _BROKEN_OFF)
            and op.opcode.instance_name in there
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


def _broken_off(opcode: Opcode) -> tuple[str, ...]:
    """Return what the result of an opcode may say if it was done by halves."""
    if isinstance(opcode, RemoveInstance):
        return (*_BROKEN_OFF, "could not be removed", "remove the instance again")
    return _BROKEN_OFF


def _fingerprint(host: SimulatedHost) -> str:
    return fingerprint(first_certificate(host.name))


def _is_a_bug(result: object) -> bool:
    """Return whether the result of an opcode reports an unexpected exception."""
    return "internal error" in str(result) or "broke on the node" in str(result)
