# SPDX-License-Identifier: BSD-2-Clause
"""A whole cluster in memory: the real master, queue, locks, journal, RPC encoding and node code,
over doubles of disks, guests and programs, on a clock, from a seed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

from ganeti.bootstrap.copy import Copy, read
from ganeti.config import access
from ganeti.config.changes.nodes import certify
from ganeti.config.formats import Checkpoint
from ganeti.config.founding import founded
from ganeti.config.state import ClusterState
from ganeti.config.verify import verify
from ganeti.errors import Failed, GanetiError, JobLost, NotMaster
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.journal.file import FileJournal
from ganeti.master.absent import end_calls_to_absent_nodes
from ganeti.master.master import Master, Surroundings
from ganeti.master.places import Places
from ganeti.master.startup import Mandate, Startup
from ganeti.model.disk import Template
from ganeti.model.instance import Wanted
from ganeti.model.node import Node
from ganeti.node.answers import answers_of
from ganeti.node.parts import Host, parts_of
from ganeti.node.voter import read_state
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.lifecycle import RemoveInstance, ShutdownInstance, StartInstance
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import SharedFile
from ganeti.paths import Paths
from ganeti.rpc.asking import Asker, Lost
from ganeti.rpc.liveness import ProbedWay
from ganeti.rpc.wire import Request
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.images import MemoryImages
from ganeti.testing.names import MemoryNames
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.processes import MemoryProcesses, Script
from ganeti.testing.streams import MemoryNetwork, MemoryStreams
from ganeti.testing.tools import SeededIdentifiers

T = TypeVar("T")

BEGINNING = 1_700_000_000
"""The time, in seconds since the epoch, at which every simulation begins."""

LONGEST = 24 * 3600.0
"""Seconds of simulated time after which a cluster that is not quiet counts as stuck."""

OS_FOLDER = "/usr/share/ganeti/os/noop"
_OS_SCRIPTS = ("create", "import", "export", "rename", "verify")


RESTART = Mandate()
"""What a master may do that is started again where it was."""


class Stuck(AssertionError):
    """The cluster does not come to rest."""


class SimulatedHost:
    """A node's machine: what survives a restart of its daemons, and the daemon that runs now."""

    def __init__(
        self, name: str, address: str, clock: Clock, random: Random, network: MemoryNetwork
    ) -> None:
        self.name = name
        self._network = network
        self.address = address
        self.paths = Paths()
        self.disk = MemoryDisk(random)
        self.images = MemoryImages()
        self.guests = MemoryHypervisor()
        self.has_master = False
        self._clock = clock
        self._random = random
        self._install()

    def _install(self) -> None:
        """The files that the operating system and the package bring."""
        for folder in ("/proc/sys/kernel/random", self.paths.queue, self.paths.log, OS_FOLDER):
            self.disk.add_folder(folder, 0o755)
        self.disk.put("/proc/meminfo", _MEMINFO, 0o444, 0.0)
        self.disk.put("/proc/cpuinfo", b"processor\t: 0\nprocessor\t: 1\n", 0o444, 0.0)
        self.disk.put("/proc/sys/kernel/random/boot_id", b"0d3f\n", 0o444, 0.0)
        self.disk.put(f"{OS_FOLDER}/ganeti_api_version", b"20\n", 0o444, 0.0)
        self.disk.put(f"{OS_FOLDER}/parameters.list", b"", 0o444, 0.0)
        for path in (self.paths.authority, self.paths.node_certificate):
            self.disk.put(path, b"", 0o600, 0.0)
        for script in _OS_SCRIPTS:
            self.disk.put(f"{OS_FOLDER}/{script}", b"#!/bin/sh\n", 0o755, 0.0)

    @property
    def files(self) -> MemoryFiles:
        return MemoryFiles(self.disk, self._clock, latency=0.0002)

    def daemon(self) -> Host:
        """What a node daemon that is started now finds."""
        takes = self._random.uniform(0.0, 2.0)
        programs = {f"{OS_FOLDER}/{script}": Script(takes=takes) for script in _OS_SCRIPTS}
        hypervisors: dict[str, IHypervisor] = {"fake": self.guests}
        return Host(
            name=self.name,
            paths=self.paths,
            files=self.files,
            images=self.images,
            processes=MemoryProcesses(self._clock, programs),
            names=MemoryNames(),
            streams=MemoryStreams(self.disk, self._clock, self._network),
            hypervisors=hypervisors,
            clock=self._clock,
            now=self._clock.seconds,
            reach=lambda host, port: _reached(),
            stop=lambda: None,
            is_master=lambda: self.has_master,
        )

    def recover(self) -> None:
        """The machine comes back after a power cut, with what its disk has kept."""
        self.disk = self.disk.after_crash()


async def _reached() -> None:
    return None


_MEMINFO = b"MemTotal: 16777216 kB\nMemFree: 8388608 kB\nBuffers: 0 kB\nCached: 0 kB\n"


@implementer(IReactorTime)
class MortalClock:
    """The clock of a process: when the process dies, nothing that it waits for happens any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[IDelayedCall] = []

    def seconds(self) -> float:
        return self._clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002  # the name that the interface gives it
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        made = self._clock.callLater(delay, callable, *args, **kwargs)
        self._calls = [each for each in self._calls if each.active()]
        self._calls.append(made)
        return made

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return [each for each in self._calls if each.active()]

    def die(self) -> None:
        """End the process."""
        for call in self.getDelayedCalls():
            call.cancel()
        # What the dead leave to their garbage collection happens on a clock that stands still.
        self._clock = Clock()


class Wire:
    """A process's way to the nodes; what a dead one has sent arrives, and it hears no answers.

    ``closed`` are the nodes, by name, that it cannot reach.
    """

    def __init__(self, network: MemoryNodes) -> None:
        self._network = network
        self.cut = False
        self.closed: frozenset[str] = frozenset()

    async def exchange(self, node: Node, request: Request) -> bytes:
        if node.name in self.closed:
            raise Lost("no route to host")
        if not self.cut:
            answer = await self._network.exchange(node, request)
            if not self.cut:
                return answer
        return await Deferred()


class MasterProcess:
    """A master daemon on one of the hosts; ``ended`` says why it has ended by itself."""

    master: Master

    def __init__(self, cluster: SimulatedCluster, host: SimulatedHost) -> None:
        self.host = host
        self.clock = MortalClock(cluster.clock)
        self.wire = Wire(cluster.network)
        self.ended: NotMaster | None = None
        self._ids = cluster.ids
        self._random = cluster.random
        host.has_master = True

    async def begin(self, mandate: Mandate) -> None:
        """Recover, be elected, and run jobs.

        :raises NotMaster: another one is the master.
        :raises Refused: this host's copy is not the one to go on from.
        """
        host, files = self.host, MemoryFiles(self.host.disk, self.clock)
        places = Places(host.paths.data)
        journal = await FileJournal.open(files, places.journal, self.clock)
        self._way = ProbedWay(self.wire, self.clock)
        nodes = Asker(
            self._way,
            self.clock,
            term=lambda: self._startup.quorum.term(),
            master=host.name,
            elected=lambda: self._startup.quorum.elected,
            deposed=lambda error: self._startup.quorum.heard(error),
        )
        around = Surroundings(
            files=files,
            places=places,
            nodes=nodes,
            clock=self.clock,
            now=self.clock.seconds,
            ids=self._ids,
            allocate=_no_allocator,
            shared=_NothingShared(),
            machine="x86_64",
            issue=_no_authority,
            name=host.name,
        )
        self._startup = Startup(
            around,
            journal,
            lambda: read_state(files, host.paths.term_file),
            self._random,
            lost=self._over,
            replaced=self._use,
        )
        self._use(self._startup.master)
        self._startup.require_mandate(mandate)
        await self._startup.begin(mandate)

    def _use(self, master: Master) -> None:
        self.master = master
        master.config.observe(end_calls_to_absent_nodes(self._way.give_up))

    def _over(self, error: NotMaster) -> None:
        self.ended = error
        ending = Deferred.fromCoroutine(self.master.stop(replaced=True))
        ending.addBoth(lambda _: self.die())

    async def stop(self) -> None:
        """End the process in good order."""
        await self.master.stop()
        await self._startup.quorum.release()
        self.die()

    def die(self) -> None:
        """End the process where it is."""
        self.clock.die()
        self.wire.cut = True
        self.host.has_master = False


class SimulatedCluster:
    """A master and its nodes, from a seed; the same seed is the same history.

    The first host is the first master's. ``acknowledged`` are the jobs whose submission was
    answered.
    """

    def __init__(self, seed: int, nodes: int = 3) -> None:
        self.random = Random(seed)
        self.clock = Clock()
        self.clock.advance(BEGINNING)
        self.ids = SeededIdentifiers(self.random)
        self.acknowledged: list[int] = []
        self.doubles: set[str] = set()
        self._submitting: set[Deferred[int]] = set()
        self.network = MemoryNodes(
            clock=self.clock, delay=lambda: self.random.uniform(0.0002, 0.02)
        )
        network = MemoryNetwork()
        self.hosts = [
            SimulatedHost(f"node{n}", f"192.0.2.{n}", self.clock, self.random, network)
            for n in range(1, nodes + 1)
        ]
        for host in self.hosts:
            self.restart_node(host)
        self._found()
        self.start_master()

    def _found(self) -> None:
        """Write the first state of the cluster, with all its nodes, to the master's disk."""
        first, *others = self.hosts
        state = founded(
            name="cluster",
            address="192.0.2.100",
            master=first.name,
            master_address=first.address,
            hypervisors=("fake",),
            templates=(Template.FILE, Template.DISKLESS),
            ids=self.ids.uuid,
            random=self.random,
            now=self.clock.seconds(),
            certificate=first.name,
        )
        for host in others:
            member = replace(
                state.master, uuid=self.ids.uuid(), name=host.name, primary_ip=host.address
            )
            state = state.put(member)
            state = certify(member, host.name)(state)
        first.disk.put(first.paths.access_file, access.text(state), 0o640, 0.0)
        first.disk.put(first.paths.config_file, Checkpoint().text(state), 0o640, 0.0)

    # --- daemons

    def restart_node(self, host: SimulatedHost) -> None:
        """Start the node's daemon anew; its guests and disks are as they were."""
        self.network.add(host.name, answers_of(parts_of(host.daemon())))
        self.network.behave(host.name)

    def start_master(self, host: SimulatedHost | None = None, mandate: Mandate = RESTART) -> None:
        """Start a master daemon on a host, the first one by default, from what is on its disk.

        :raises NotMaster: another host has the master.
        :raises Refused: the host's copy is not the one to go on from.
        """
        self.process = MasterProcess(self, host or self.hosts[0])
        try:
            self.wait(self.process.begin(mandate))
        except GanetiError:
            self.process.die()
            raise

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
        if self.alive and not old.wire.closed:
            self.wait(old.stop())
        self.start_master(host, Mandate(take_over=True))
        return old

    def copy_of(self, host: SimulatedHost) -> Copy:
        """What a host has of the journal and its checkpoint."""
        return read(MemoryFiles(host.disk, self.clock), host.paths.data)

    def kill_master(self) -> None:
        """Let the master's process end where it is, and its disk lose what was not synced."""
        self.process.die()
        self._submitting.clear()
        self.process.host.recover()
        self.restart_node(self.process.host)

    @property
    def alive(self) -> bool:
        """Whether a master's process is there."""
        return not self.process.wire.cut

    @property
    def crashed(self) -> bool:
        """Whether the master's disk has reached the write at which it was told to crash."""
        return self.process.host.disk.crashed

    # --- work

    def submit(self, *opcodes: Opcode) -> None:
        """Submit a job; its number is noted when it is answered."""
        submitting = Deferred.fromCoroutine(self.master.queue.submit(opcodes))
        self._submitting.add(submitting)
        submitting.addCallback(self.acknowledged.append)
        submitting.addErrback(lambda failure: failure.trap(GanetiError, OSError))
        submitting.addBoth(lambda _: self._submitting.discard(submitting))

    def pass_time(self, seconds: float) -> None:
        """Let everything happen that happens within some seconds."""
        until = self.clock.seconds() + seconds
        while not self.crashed and (next_call := self._next()) is not None and next_call <= until:
            self._move_on(next_call)
        if self.clock.seconds() < until and not self.crashed:
            self._move_on(until)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns, after as much time as it takes.

        :raises Stuck: nothing happens any more, and it has not returned.
        """
        results: list[T] = []
        running = Deferred.fromCoroutine(work)
        running.addCallback(results.append)
        until = self.clock.seconds() + LONGEST
        while not running.called or running.paused:
            next_call = self._next()
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
        self.doubles.update(
            f"{name} ran on {' and '.join(hosts)} at once"
            for name, hosts in self.running().items()
            if len(hosts) > 1
        )

    def _next(self) -> float | None:
        return min((call.getTime() for call in self.clock.getDelayedCalls()), default=None)

    def settle(self) -> None:
        """Let every job end.

        :raises Stuck: some do not.
        """
        until = self.clock.seconds() + LONGEST
        while self._submitting or any(not job.is_final for job in self.master.queue.jobs()):
            next_call = self._next()
            if next_call is None or next_call > until:
                waiting = [job.id for job in self.master.queue.jobs() if not job.is_final]
                raise Stuck(f"jobs do not end: {waiting}")
            self._move_on(next_call)
        # The last commit is there; what follows it in the same turn is not yet.
        self.pass_time(1.0)

    def reconcile(self) -> None:
        """Do what the watcher does: make what runs what is wanted, and settle what broke off.

        What a dying master was about to make is removed, as an administrator would.
        """
        for name in self._half_made():
            self.submit(RemoveInstance(instance_name=name, ignore_failures=True))
        self.settle()
        for instance in self.master.config.state().instances.values():
            if instance.admin_state is Wanted.UP and instance.name not in self.running():
                self.submit(MigrateInstance(instance_name=instance.name, cleanup=True))
        self.settle()
        state = self.master.config.state()
        for instance in state.instances.values():
            runs = instance.name in self.running()
            if instance.admin_state is Wanted.UP and not runs:
                self.submit(StartInstance(instance_name=instance.name))
            elif instance.admin_state is not Wanted.UP and runs:
                self.submit(ShutdownInstance(instance_name=instance.name, timeout=0))
        self.settle()

    def _half_made(self) -> list[str]:
        """Instances that a master was making when it died, and that nothing has run of since."""
        broken_off = {
            op.opcode.instance_name
            for job in self.master.queue.jobs()
            for op in job.ops
            if "the master daemon has restarted" in str(op.result)
            and isinstance(op.opcode, CreateInstance)
        }
        there = {each.name for each in self.master.config.state().instances.values()}
        return sorted(broken_off & there - set(self.running()))

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
            if instance.admin_state is Wanted.UP
        }
        if self.running() != wanted:
            found.append(f"wanted is {wanted}, and what runs is {self.running()}")
        return found

    def reopened(self) -> ClusterState:
        """The state that a master which is started now finds, after this one has stopped."""
        self.wait(self.process.stop())
        self.start_master(self.process.host)
        return self.master.config.state()


def _is_a_bug(result: Any) -> bool:
    """Whether the result of an opcode tells of an exception that nobody expected."""
    return "internal error" in str(result) or "broke on the node" in str(result)


class _NothingShared:
    async def read(self) -> Sequence[SharedFile]:
        return ()


async def _no_authority(request: bytes, names: Sequence[str]) -> bytes:
    raise Failed("there is no authority")


async def _no_allocator(
    name: str, request: Callable[[], Awaitable[str]], options: Sequence[str] = ()
) -> str:
    raise Failed(f"there is no allocator named {name}")
