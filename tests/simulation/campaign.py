# SPDX-License-Identifier: BSD-2-Clause
"""Faults across machines: random work while links, clocks, disks and masters fail, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ganeti.errors import GanetiError
from ganeti.testing.cluster import MasterProcess, SimulatedCluster, SimulatedHost, Stuck
from ganeti.testing.operator import fail_over
from tests.simulation.oracle import Oracle
from tests.simulation.scenario import some_work

NODES, CANDIDATES, STEPS = 5, 4, 25
PAUSES = (0.0, 0.01, 0.5, 3.0, 12.0)
"""How many seconds may pass between two steps."""


class Campaign:
    """A cluster of five hosts under a mode's faults, an administrator, and the oracle."""

    def __init__(self, seed: int, mode: str, *, skew: float = 0.0) -> None:
        self.cluster = SimulatedCluster(seed, NODES, candidates=CANDIDATES, skew=skew)
        self.random = self.cluster.random
        self.oracle = Oracle(self.cluster)
        self.problems: list[str] = []
        self.log: list[str] = []
        self._fault = MODES[mode]
        self._working: set[Deferred[Any]] = set()
        # Until the candidates have what they need to be in sync.
        self.cluster.pass_time(5.0)

    @property
    def hosts(self) -> list[SimulatedHost]:
        return self.cluster.hosts

    @property
    def candidates(self) -> list[SimulatedHost]:
        return self.hosts[:CANDIDATES]

    def acting(self) -> list[MasterProcess]:
        """Return the masters that clients can have something changed by."""
        return [process for process in self.cluster.processes if process.acts]

    def note(self, what: str) -> None:
        """Note what was done to the cluster, for whoever replays the seed."""
        self.log.append(f"{self.cluster.clock.seconds() - self.cluster.began:9.3f} {what}")

    # --- what happens

    def play(self) -> list[str]:
        """Play the whole scenario; answers what is wrong."""
        for _ in range(STEPS):
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
                self.cluster.submit(some_work(self.random), to=process)
        if self.random.random() < (0.1 if self.acting() else 0.5):
            self.start_failover()
        self.cluster.pass_time(self.random.choice(PAUSES))

    def start_failover(self) -> None:
        """Let an administrator make some candidate the master, and go on meanwhile."""
        host = self.random.choice(self.candidates)
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

    # --- the end

    def heal(self) -> None:
        """Mend all that was broken."""
        self.cluster.links.heal_all()
        for host in self.hosts:
            host.disk.heal()
            host.daemon_clock.resume()
            self.cluster.network.behave(host.name)
            if host.daemon_clock.dead:
                self.cluster.restart_node(host)
        for process in self.cluster.processes:
            process.clock.resume()

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
        self.cluster.settle()
        self.cluster.reconcile()
        self.problems += self.cluster.problems()

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


def _sides(campaign: Campaign) -> tuple[list[str], list[str]]:
    names = [host.name for host in campaign.hosts]
    campaign.random.shuffle(names)
    size = campaign.random.randint(1, len(names) - 1)
    return names[:size], names[size:]


def partition(campaign: Campaign) -> None:
    """Part the hosts into two groups, or heal all links."""
    _part(campaign, one_way=False)


def one_way(campaign: Campaign) -> None:
    """Let one group of hosts not reach another one, which reaches it, or heal all links."""
    _part(campaign, one_way=True)


def _part(campaign: Campaign, *, one_way: bool) -> None:
    links = campaign.cluster.links
    if campaign.random.random() < 0.4:
        campaign.note("links heal")
        links.heal_all()
    else:
        side, others = _sides(campaign)
        campaign.note(f"{side} {'-/->' if one_way else '-/-'} {others}")
        links.part(side, others, one_way=one_way)


def flapping(campaign: Campaign) -> None:
    """Let the link between two hosts come and go."""
    random, links = campaign.random, campaign.cluster.links
    if random.random() < 0.2:
        campaign.note("links heal")
        links.heal_all()
    else:
        one, other = random.sample(campaign.hosts, 2)
        up, down = random.choice((0.5, 5.0, 20.0)), random.choice((0.5, 5.0, 20.0))
        campaign.note(f"{one.name} flaps to {other.name}: {up} s up, {down} s down")
        links.flap(one.name, other.name, up, down)


MODES: Mapping[str, Fault] = {
    "partition": partition,
    "one-way": one_way,
    "flapping": flapping,
}


def play(mode: str, seed: int) -> list[str]:
    """Return what is wrong after a seed of a mode; nothing should be."""
    return Campaign(seed, mode).play()
