# SPDX-License-Identifier: BSD-2-Clause
"""Faults of a cluster whose state is in etcd, and whose candidates fail over by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ganeti.daemon.node_services.standby import INTERVAL, Standby
from ganeti.errors import GanetiError, Refused
from ganeti.journal.etcd.leadership import LEASE_SECONDS
from ganeti.journal.etcd.vacancy import VacancyFinder
from ganeti.journal.marker import StoredLogPosition
from ganeti.testing.clocks import ProcessClock
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.operator import TAKE_OVER
from ganeti.testing.simulated_host import SimulatedHost
from tests.simulation.campaign import Campaign, Fault

PREFIX = "/s/"
"""The prefix of the keys of a simulated cluster."""


@dataclass
class _Starter:
    """The start of a master daemon on a host by its node daemon."""

    campaign: EtcdCampaign
    host: SimulatedHost

    async def prepare(self) -> None:
        """Do nothing: simulated processes start at once."""

    async def start(self) -> None:
        self.campaign.note(f"{self.host.name} takes the vacant role")
        _, beginning = self.campaign.cluster.launch_master(self.host, vacant=True)
        await beginning

    def discard(self) -> None:
        """Do nothing: nothing was prepared."""


class Candidate:
    """What the node daemon of a host does to replace a lost master."""

    def __init__(self, campaign: EtcdCampaign, host: SimulatedHost) -> None:
        cluster = campaign.cluster
        self._campaign = campaign
        self._host = host
        self._looking: Deferred[None] | None = None
        self._clock = ProcessClock(host.clock)
        self.etcd = cluster.etcd_client(host, self._clock)
        finder = VacancyFinder(
            self.etcd,
            PREFIX,
            self._clock,
            name=host.name,
            has_ended=lambda holder: holder.process in cluster.ended,
        )
        self._standby = Standby(
            finder,
            lambda: [each.name for each in campaign.candidates],
            lambda: host.has_master,
            _Starter(campaign, host),
            self._clock,
            name=host.name,
        )
        self._look()

    def _look(self) -> None:
        self._clock.callLater(INTERVAL, self._look)
        daemon = self._host.daemon_clock
        if self._looking is None and not (daemon.dead or daemon.paused or self._host.disk.crashed):
            self._looking = Deferred.fromCoroutine(self._standby.look())
            self._looking.addErrback(self._failed)
            self._looking.addBoth(self._on_looked)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(GanetiError, OSError):
            self._campaign.problems.append(f"a candidate broke: {failure.getTraceback()}")

    def _on_looked(self, _: object) -> None:
        self._looking = None


class EtcdCampaign(Campaign):
    """A campaign on a cluster whose state is in etcd; ``Candidate`` replaces lost masters."""

    store = "etcd"

    def __init__(self, seed: int, fault: Fault, **how: Any) -> None:
        super().__init__(seed, fault, **how)
        self._candidates = {host.name: Candidate(self, host) for host in self.candidates}
        self.cluster.watchers.append(self._look_at_etcd)
        self._head = 0

    def _look_at_etcd(self) -> None:
        """See that at most one master holds the lease, and that etcd has what is acknowledged."""
        holders = [each for each in self.acting() if each.master.quorum.holds_lease()]
        if len(holders) > 1 and not any(each.clock.paused for each in holders):
            names = ", ".join(each.host.name for each in holders)
            self.oracle.violations.append(f"{names} hold the lease of the master at once")
        promised = max(self.oracle.promised.digests, default=0)
        if promised > self._head:
            self._head = read_head(self.cluster)
            if promised > self._head:
                self.oracle.violations.append(
                    f"commit {promised} was acknowledged, and etcd has {self._head} only"
                )

    def lose(self, host: SimulatedHost, what: str) -> None:
        """Let requests of a host to etcd be lost, or their answers, or with "" none of them."""
        self.cluster.etcd_lost[host.name] = what
        if (candidate := self._candidates.get(host.name)) is not None:
            candidate.etcd.lost = what
        for process in self.cluster.processes:
            if process.host is host:
                process.etcd.lost = what

    def start_failover(self, among: Sequence[SimulatedHost] = ()) -> None:
        host = self.random.choice(among or self.candidates)
        if host.has_master or host.disk.crashed or host.daemon_clock.dead:
            return
        self.note(f"failover to {host.name}")
        self.begin(self._fail_over(host), f"failover to {host.name}")

    async def _fail_over(self, host: SimulatedHost) -> None:
        for process in self.acting():
            await process.stop()
        if host.has_master:
            raise Refused(f"a master daemon runs on {host.name} already")
        _, beginning = self.cluster.launch_master(host, TAKE_OVER)
        await beginning

    def heal(self) -> None:
        super().heal()
        self.cluster.etcd_slow = 0.02
        self.cluster.etcd.full = False
        for host in self.hosts:
            self.lose(host, "")

    def find_master(self) -> None:
        """Wait: candidates have made one of them the master."""
        if acting := self.acting():
            self.cluster.process = max(acting, key=lambda process: process.term)


def read_head(cluster: SimulatedCluster) -> int:
    """Return the position of the last commit that etcd has."""
    entry = cluster.etcd.entries.get(f"{PREFIX}head")
    if entry is None:
        return 0
    return msgspec.json.decode(entry.value, type=StoredLogPosition).position


def _end_lease(campaign: EtcdCampaign, random: Random) -> None:
    campaign.note("etcd ends all leases")
    for lease in list(campaign.cluster.etcd.leases):
        campaign.cluster.etcd.end_lease(lease)


def _extend_leases(campaign: EtcdCampaign, random: Random) -> None:
    campaign.note("etcd elects a leader, and extends all leases")
    now = campaign.cluster.clock.seconds()
    for lease in campaign.cluster.etcd.leases.values():
        lease.ends = now + LEASE_SECONDS + random.uniform(0.0, 9.0)


def _lose(campaign: EtcdCampaign, random: Random) -> None:
    acting = [process.host for process in campaign.acting()]
    host = random.choice([*acting, random.choice(campaign.hosts)])
    what, seconds = random.choice(("requests", "answers")), random.choice((0.5, 2.0, 5.0, 20.0))
    campaign.note(f"{what} of {host.name} to etcd are lost for {seconds} s")
    campaign.lose(host, what)
    campaign.later(seconds, f"{host.name} reaches etcd", lambda: campaign.lose(host, ""))


def _slow(campaign: EtcdCampaign, random: Random) -> None:
    campaign.cluster.etcd_slow = slow = random.choice((0.02, 0.02, 0.3, 1.5))
    campaign.note(f"messages to etcd take up to {slow} s")


def _compact(campaign: EtcdCampaign, random: Random) -> None:
    campaign.note("etcd is compacted")
    campaign.cluster.etcd.compact()


def _fill(campaign: EtcdCampaign, random: Random) -> None:
    campaign.note("etcd has no space left")
    campaign.cluster.etcd.full = True


def _kill(campaign: EtcdCampaign, random: Random) -> None:
    for process in campaign.acting():
        seconds = random.choice((0.5, 20.0))
        campaign.power_off(process.host, seconds)


ETCD_FAULTS = (_end_lease, _extend_leases, _lose, _lose, _slow, _compact, _fill, _kill)


def etcd_fault(campaign: Campaign) -> None:
    """Let etcd fail in one of its ways, or the host of the master."""
    assert isinstance(campaign, EtcdCampaign)
    campaign.random.choice(ETCD_FAULTS)(campaign, campaign.random)
