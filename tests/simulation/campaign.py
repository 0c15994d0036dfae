# SPDX-License-Identifier: BSD-2-Clause
"""Faults across machines: random work while links, clocks, disks and masters fail, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ganeti.config.changes.nodes import get_certificates
from ganeti.errors import GanetiError
from ganeti.opcodes.node import AddNode, ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.testing.cluster import SimulatedCluster, Stuck
from ganeti.testing.disk import MemoryDisk
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.operator import fail_over, join
from ganeti.testing.simulated_host import SimulatedHost
from tests.simulation.end_state import leftovers
from tests.simulation.oracle import Oracle
from tests.simulation.scenario import some_cancellation, some_job, some_work

STEPS = 25
PAUSES = (0.0, 0.01, 0.5, 3.0, 12.0)
"""How many seconds may pass between two steps."""


class Campaign:
    """A cluster of three to five hosts under a mode's faults, an administrator, and the oracle."""

    store = "file"
    guarded = False

    def __init__(
        self,
        seed: int,
        fault: Fault,
        *,
        skew: float = 0.0,
        failovers: float = 0.1,
        candidates: int = 5,
    ) -> None:
        """``failovers`` is the chance of one at each step while a master acts.

        At most so many nodes are ``candidates``.
        """
        self.random = Random(seed)
        nodes = self.random.choice((3, 4, 5, 5))
        candidates = min(candidates, self.random.randint(2, nodes))
        self.cluster = SimulatedCluster(
            seed,
            nodes,
            candidates=candidates,
            skew=skew,
            store=self.store,
            guarded=self.guarded,
        )
        self.candidates = self.hosts[:candidates]
        self.seed = seed
        self.oracle = Oracle(self.cluster)
        self.oracle.replication.distrusted = lambda: self.distrusted
        self.problems: list[str] = []
        self.log: list[str] = []
        self.old_disks: list[tuple[SimulatedHost, MemoryDisk]] = []
        self.distrusted: set[SimulatedHost] = set()
        self.isolated: set[SimulatedHost] = set()
        self.cluster.watchers.append(self._cut_power)
        self._fault = fault
        self._failovers = failovers
        self._working: set[Deferred[Any]] = set()
        # Until the candidates have what they need to be in sync.
        self.cluster.pass_time(5.0)

    @property
    def hosts(self) -> list[SimulatedHost]:
        return self.cluster.hosts

    def acting(self) -> list[MasterProcess]:
        """Return the masters that clients can have something changed by."""
        return [process for process in self.cluster.processes if process.acts]

    def note(self, what: str) -> None:
        """Note what was done to the cluster, for whoever replays the seed."""
        self.log.append(f"{self.cluster.clock.seconds() - self.cluster.began:9.3f} {what}")

    # --- what happens

    def play(self, steps: Iterable[int] = range(STEPS)) -> list[str]:
        """Play the scenario, or some of its steps; answers what is wrong."""
        for number in steps:
            # Each step has a chance of its own, so that it is the same one without those before.
            self.random = Random(f"{self.seed} {number}")
            self.step()
            if self.oracle.violations:
                return self.oracle.violations
        try:
            self.end()
        except Stuck as e:
            self.problems.append(str(e))
        return [*self.oracle.violations, *self.problems]

    def step(self) -> None:
        """Let something go wrong or get better, and some work be submitted."""
        if self.random.random() < 0.35:
            self._fault(self)
        for process in self.acting():
            if self.random.random() < 0.7:
                job = some_job(self.random, self.cluster.acknowledged, self.work)
                self.cluster.submit(*job, to=process)
            some_cancellation(self.random, self.cluster, process)
        if self.random.random() < (self._failovers if self.acting() else 0.5):
            self.start_failover()
        self.cluster.pass_time(self.random.choice(PAUSES))

    def work(self, random: Random) -> Opcode:
        """Return something that anybody might want to be done."""
        return some_work(random)

    def later(self, seconds: float, what: str, work: Callable[[], object]) -> None:
        """Do something at a later time, even if no step is taken then."""

        def do() -> None:
            self.note(what)
            work()

        self.cluster.clock.callLater(seconds, do)

    def start_failover(self, among: Sequence[SimulatedHost] = ()) -> None:
        """Let an administrator make some host the master, and go on meanwhile."""
        host = self.random.choice(among or self.candidates)
        self.note(f"failover to {host.name}")
        self.begin(fail_over(self.cluster, host), f"failover to {host.name}")

    def begin(self, work: Coroutine[Deferred[Any], Any, Any], name: str) -> None:
        """Let an administrator's work go on in the background; it may be refused."""
        working = Deferred.fromCoroutine(work)
        self._working.add(working)

        def failed(failure: Failure) -> None:
            self.note(f"{name}: {failure.getErrorMessage()}")
            if not failure.check(GanetiError, OSError):
                self.problems.append(f"{name} broke: {failure.getTraceback()}")

        working.addErrback(failed)
        working.addBoth(lambda _: self._working.discard(working))

    async def join(self, host: SimulatedHost, process: MasterProcess, addition: AddNode) -> None:
        """Let a host join, and have it added."""
        await join(self.cluster, host, process)
        self.cluster.submit(addition, to=process)

    # --- the end

    def heal(self) -> None:
        """Mend all that was broken."""
        self.cluster.links.heal_all()
        for host in self.hosts:
            host.disk.heal()
            host.daemon_clock.resume()
            self.cluster.network.behave(host.name)
            self.start_daemon(host)
        for process in self.cluster.processes:
            process.clock.resume()

    def power_off(self, host: SimulatedHost, seconds: float) -> None:
        """Cut the power of a host for some seconds; init starts its daemons when it boots."""
        had_master = host.has_master
        self.note(f"{host.name} loses its power for {seconds} s")
        self.cluster.power_off(host)

        def boot() -> None:
            self.start_daemon(host)
            if had_master:
                self.start_master(host)

        self.later(seconds, f"{host.name} boots", boot)

    def bring_back(self, host: SimulatedHost, old: MemoryDisk) -> None:
        """Bring an old disk of a host back, or its data folder, and start its daemons again."""
        everything = self.random.random() < 0.5
        self.note(f"an old disk of {host.name} is back{'' if everything else ' (data)'}")
        had_master = host.has_master
        self.cluster.restore(host, old, "/" if everything else host.paths.data)
        self.distrusted.add(host)
        self.cluster.restart_node(host)
        if had_master and self.random.random() < 0.5:
            self.start_master(host)

    def _cut_power(self) -> None:
        """Cut the power of hosts whose disk has reached the write at which it was to go."""
        for host in self.hosts:
            if host.disk.crashed:
                self.power_off(host, 5.0)

    def start_daemon(self, host: SimulatedHost) -> None:
        """Start the node daemon of a host, as init does when it boots or the daemon has died."""
        if host.daemon_clock.dead:
            self.cluster.restart_node(host)

    def start_master(self, host: SimulatedHost) -> None:
        """Start the master daemon of a host where one has been killed."""
        if not host.has_master and not host.disk.crashed:
            _, beginning = self.cluster.launch_master(host)
            beginning.addErrback(
                lambda failure: self.note(f"{host.name}: {failure.getErrorMessage()}")
            )

    def end(self) -> None:
        """Mend everything, see that there is one master, and let all work end."""
        self.note("heal")
        self.heal()
        self.cluster.pass_time(200.0)
        self._working.clear()
        self.find_master()
        acting = self.acting()
        if len(acting) != 1:
            self.problems.append(f"masters in the end: {[each.host.name for each in acting]}")
        if not acting or self.oracle.violations:
            return
        self.take_back_offline_nodes()
        self.cluster.finish_jobs()
        self.cluster.reconcile()
        # Until what a job's end was followed by has reached all candidates.
        self.cluster.pass_time(100.0)
        self.problems += self.cluster.problems()
        self.problems += leftovers(self.cluster)
        self.prove_that_it_works()

    def prove_that_it_works(self) -> None:
        """Have something changed, which needs a majority of all nodes."""
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("healed",)))
        self.cluster.finish_jobs()
        if "healed" not in self.cluster.master.config.state().cluster.tags:
            self.problems.append("a change is not made although nothing fails any more")

    def take_back_offline_nodes(self) -> None:
        """Mark nodes that are offline as in use again, now that their daemons run."""
        for node in self.cluster.master.config.state().nodes.values():
            if node.offline and get_certificates(self.cluster.master.config.state(), node):
                self.cluster.submit(ModifyNode(node_name=node.name, offline=False))
            elif node.offline:
                # The authority was replaced meanwhile.
                host, again = self.cluster.host(node.name), AddNode(node_name=node.name, readd=True)
                self.cluster.wait(self.join(host, self.cluster.process, again))

    def find_master(self) -> None:
        """Have the administrator start a master if there is none."""
        for attempt in range(3):
            for host in self.candidates:
                if self.acting():
                    break
                if attempt:
                    self.try_to(fail_over(self.cluster, host), f"failover to {host.name}")
                elif not host.has_master:
                    _, beginning = self.cluster.launch_master(host)
                    self.try_to(beginning, f"start on {host.name}")
        if acting := self.acting():
            self.cluster.process = max(acting, key=lambda process: process.term)

    def try_to(self, work: Coroutine[Deferred[Any], Any, Any] | Deferred[Any], name: str) -> None:
        """Let an administrator do something, for at most some minutes."""
        working = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        working.addErrback(lambda failure: self.note(f"{name}: {failure.getErrorMessage()}"))
        for _ in range(20):
            if not working.called or working.paused:
                self.cluster.pass_time(5.0)


Fault: TypeAlias = Callable[[Campaign], None]
"""Lets something go wrong in a campaign, or get better."""
