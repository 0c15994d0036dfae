# SPDX-License-Identifier: BSD-2-Clause
"""Nodes that are lost with guests which are to fail over, while links, clocks and masters fail.

No guest may run on two hosts at any instant, whatever the administrator is told, and how long
ever a node is cut off. Hosts have a watchdog with a device, which resets them, or without one.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from ganeti.model.failover import FailoverPolicy
from ganeti.node.guest_lease import LEASE_NOTE, LeaseNote, read_note
from ganeti.opcodes.failover import (
    ConfirmNodeOff,
    ModifyFailover,
    SetFailoverPolicy,
    SetNodeMaintenance,
)
from ganeti.opcodes.instance.lifecycle import RemoveInstance, ShutdownInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.testing.simulated_host import SimulatedHost
from tests.simulation.campaign import Campaign, Fault
from tests.simulation.etcd_store import EtcdCampaign
from tests.simulation.guests import DISKLESS, some_work, with_instances

OUTAGES = (2.0, 8.0, 20.0, 60.0, 200.0)
"""Seconds that something may last: less than detection takes, and more than all of it."""

FOR_GOOD = 1000.0
"""Seconds that a host is off which an administrator says is off: longer than the job waits."""


class FencingCampaign(Campaign):
    """A campaign on a cluster with guests that are to fail over; ``fenced`` counts the fences."""

    guarded = True

    def __init__(self, seed: int, fault: Fault, **how: Any) -> None:
        super().__init__(seed, fault, **how)
        with_instances(self.cluster)
        many = ModifyFailover(max_nodes=self.random.choice((1, 1, 2, 5)), window=60)
        policies = [
            SetFailoverPolicy(instance_name=name, policy=FailoverPolicy.FAILOVER, rank=rank)
            for rank, name in enumerate(DISKLESS)
        ]
        self.cluster.submit(*policies, many)
        self.cluster.finish_jobs()
        self.cluster.watchers.append(self._look_at_guests)
        self.cluster.watchers.append(self._boot)
        self.fenced: set[tuple[str, float]] = set()
        self.cluster.pass_time(5.0)

    def _look_at_guests(self) -> None:
        """See that no guest runs on two hosts, at this instant."""
        for double in sorted(self.cluster.doubles):
            self.oracle.violations.append(double)
        for process in self.acting():
            for fence in process.master.config.state().node_fences.values():
                self.fenced.add((fence.uuid, fence.since))

    def _boot(self) -> None:
        """Boot the hosts that their watchdog has reset."""
        resets, self.cluster.reset = self.cluster.reset, []
        for host in resets:
            self.note(f"the watchdog has reset {host.name}")
            seconds = self.random.choice((5.0, 20.0, 90.0))
            self.later(seconds, f"{host.name} boots", partial(self.start_host, host))

    def start_host(self, host: SimulatedHost) -> None:
        """Boot a host: its daemons start."""
        self.start_daemon(host)
        if host.name in {each.name for each in self.candidates}:
            self.start_master(host)

    def start_daemon(self, host: SimulatedHost) -> None:
        super().start_daemon(host)
        if host.watchdog is None:
            self.cluster.start_watchdog(host)

    def work(self, random: Random) -> Opcode:
        """Return something to be done, mostly with guests that are to fail over."""
        if random.random() < 0.2:
            policy = random.choice((*[FailoverPolicy.FAILOVER] * 4, FailoverPolicy.OFF))
            return SetFailoverPolicy(instance_name=random.choice(DISKLESS), policy=policy)
        opcode = some_work(random)
        while isinstance(opcode, RemoveInstance | ShutdownInstance) and random.random() < 0.7:
            opcode = some_work(random)
        return opcode

    def step(self) -> None:
        """Let more time pass than in other modes: detection and fencing take half a minute."""
        super().step()
        self.cluster.pass_time(self.random.choice((0.0, 1.0, 10.0, 40.0)))

    def heal(self) -> None:
        super().heal()
        for host in self.hosts:
            if host.watchdog is not None:
                host.watchdog.clock.resume()

    def end(self) -> None:
        self.maintain(False)
        super().end()

    def maintain(self, maintenance: bool, host: SimulatedHost | None = None) -> None:
        """Let an administrator begin or end the maintenance of a host or of all."""
        for process in self.acting():
            if host is None:
                self.cluster.submit(ModifyFailover(maintenance=maintenance), to=process)
            for each in self.hosts if host is None and not maintenance else [host]:
                if each is not None:
                    opcode = SetNodeMaintenance(node_name=each.name, maintenance=maintenance)
                    self.cluster.submit(opcode, to=process)


class EtcdFencingCampaign(FencingCampaign, EtcdCampaign):
    """The same on a cluster whose state is in etcd, where lost masters are replaced."""

    def start_host(self, host: SimulatedHost) -> None:
        """Boot a host; candidates start a master by themselves if there is none."""
        self.start_daemon(host)


def _cut_off(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Cut a host off from some others, or from all of them, in one direction or both."""
    others = [each.name for each in campaign.hosts if each is not host]
    size = random.choice((1, len(others), len(others)))
    side, links = random.sample(others, size), campaign.cluster.links
    one_way = random.random() < 0.3
    seconds = random.choice(OUTAGES)
    campaign.note(f"{host.name} -/- {side}{' (one way)' if one_way else ''} for {seconds} s")
    if one_way and random.random() < 0.5:
        links.cut_between(side, [host.name], one_way=True)
    else:
        links.cut_between([host.name], side, one_way=one_way)
    campaign.later(seconds, "links heal", links.heal_all)


def _freeze(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Freeze the node daemon of a host, or the whole host but for its watchdog device."""
    seconds, clocks = random.choice(OUTAGES), [host.daemon_clock]
    everything = host.has_device and random.random() < 0.5
    if everything and host.watchdog is not None:
        clocks.append(host.watchdog.clock)
        if host.process is not None:
            clocks.append(host.process.clock)
    campaign.note(f"{'all of' if everything else 'the daemon of'} {host.name} freezes")
    for clock in clocks:
        clock.pause()
        campaign.later(seconds, f"{host.name} goes on", clock.resume)


def _lose_by_steps(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Cut a host off, and before its lease has ended let it freeze, or its daemon start again.

    All of a host with a device freezes. Just before the end of its lease, its guests run for as
    long as they ever can: until the device resets it.
    """
    others = [each.name for each in campaign.hosts if each is not host]
    seconds, outage = random.uniform(3.0, 9.9), random.choice((20.0, 60.0, 200.0))
    note = read_note(host.lease_notes, LEASE_NOTE, LeaseNote)
    if note is not None and random.random() < 0.7:
        left = (note.end - host.clock.seconds()) / host.clock.rate
        seconds = max(0.0, left - random.uniform(0.0, 0.6))
    campaign.note(f"{host.name} -/- {others} for {outage} s")
    campaign.cluster.links.cut_between([host.name], others)
    campaign.later(outage, "links heal", campaign.cluster.links.heal_all)
    restarts = random.random() < 0.3

    def go_on() -> None:
        if host.daemon_clock.dead:
            return
        if restarts:
            campaign.cluster.restart_node(host)
        else:
            _pause(campaign, host, outage + random.choice((-10.0, 5.0)))

    campaign.later(seconds, f"{host.name} {'starts again' if restarts else 'freezes'}", go_on)


def _pause(campaign: FencingCampaign, host: SimulatedHost, seconds: float) -> None:
    """Let all of a host with a device freeze, or the node daemon of another one."""
    clocks = [host.daemon_clock]
    if host.has_device:
        clocks += [each.clock for each in (host.watchdog, host.process) if each is not None]
    for clock in clocks:
        clock.pause()
        campaign.later(seconds, f"{host.name} goes on", clock.resume)


def _cut_off_with_others(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Cut a host off from the master, together with some others, which may extend its lease."""
    masters = [each.host for each in campaign.acting()]
    others = [each for each in campaign.hosts if each is not host and each not in masters]
    with_it = random.sample(others, random.randint(len(others) // 2, len(others)))
    side = [host.name, *(each.name for each in with_it)]
    rest = [each.name for each in campaign.hosts if each.name not in side]
    seconds = random.choice((8.0, 60.0, 200.0))
    campaign.note(f"{side} -/- {rest} for {seconds} s")
    campaign.cluster.links.cut_between(side, rest)
    campaign.later(seconds, "links heal", campaign.cluster.links.heal_all)


def _answer_nothing(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Let nothing leave a host, while what a master has sent to it arrives late."""
    links = campaign.cluster.links
    others = [each.name for each in campaign.hosts if each is not host]
    seconds = random.choice((20.0, 60.0))
    campaign.note(f"{host.name} -/-> {others} for {seconds} s, and hears the master late")
    links.cut_between([host.name], others, one_way=True)
    for process in campaign.acting():
        if process.host is not host:
            links.disturb(process.host.name, host.name, delay=25.0, loss=0.0)
    campaign.later(seconds, "links heal", links.heal_all)


def _return_to_others(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Cut a host off; before its lease has ended, it reaches others again, but no master.

    The node daemons of some of them start again meanwhile.
    """
    links, restarts = campaign.cluster.links, random.random() < 0.8
    others = [each for each in campaign.hosts if each is not host]
    campaign.note(f"{host.name} -/- {[each.name for each in others]}")
    links.cut_between([host.name], [each.name for each in others])

    def go_on() -> None:
        for other in others:
            if other.has_master:
                continue
            if restarts and not other.daemon_clock.dead:
                campaign.cluster.restart_node(other)
            links.heal(host.name, other.name)
            links.heal(other.name, host.name)

    what = f"{host.name} reaches all but the master{', which start again' if restarts else ''}"
    campaign.later(random.uniform(6.0, 8.5), what, go_on)
    campaign.later(random.choice((60.0, 200.0)), "links heal", links.heal_all)


def _lose_after_maintenance(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    """Cut a host off in a maintenance, which then ends.

    Or before it, but in one direction only: the host still hears that its guests need no lease.
    """
    others = [each.name for each in campaign.hosts if each is not host]
    which = host if random.random() < 0.3 else None
    links, one_way = campaign.cluster.links, random.random() < 0.6
    begins = 0.1 if one_way else 0.0
    cut = 0.0 if one_way else random.choice((1.0, 5.0))
    ends = max(begins, cut) + random.choice((4.0, 8.0, 20.0))
    campaign.note(f"{host.name} is cut off{', one way,' if one_way else ''} about a maintenance")
    campaign.later(begins, "maintenance begins", partial(campaign.maintain, True, which))
    lose = partial(links.cut_between, [host.name], others, one_way=one_way)
    campaign.later(cut, f"{host.name} is cut off", lose)
    campaign.later(ends, "maintenance ends", partial(campaign.maintain, False, which))
    campaign.later(ends + 60.0, "links heal", links.heal_all)


def _lose_power(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    seconds = random.choice((*OUTAGES, FOR_GOOD))
    campaign.power_off(host, seconds)
    if seconds == FOR_GOOD:
        for process in campaign.acting():
            campaign.note(f"an administrator confirms that {host.name} is off")
            campaign.cluster.submit(ConfirmNodeOff(node_name=host.name), to=process)


def _kill_daemon(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    seconds = random.choice(OUTAGES)
    campaign.note(f"the node daemon of {host.name} is killed")
    campaign.cluster.kill_node(host)
    campaign.later(seconds, f"{host.name} starts", lambda: campaign.start_daemon(host))


def _disturb(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    others = [each for each in campaign.hosts if each is not host]
    # Renewals that are late are where a wrong count of the lease shows.
    masters = [each.host for each in campaign.acting() if each.host is not host]
    other = random.choice(masters if masters and random.random() < 0.5 else others)
    delay = random.choice((2.0, 8.0, 20.0))
    campaign.note(f"messages from {host.name} to {other.name} are up to {delay} s late")
    ends = [host.name, other.name]
    random.shuffle(ends)
    campaign.cluster.links.disturb(*ends, delay=delay, loss=random.choice((0.0, 0.2)))
    campaign.later(random.choice(OUTAGES), "links heal", campaign.cluster.links.heal_all)


def _kill_master(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    for process in campaign.acting():
        campaign.note(f"the master on {process.host.name} is killed")
        process.die()
        campaign.later(
            random.choice((1.0, 20.0)),
            "the master starts",
            partial(campaign.start_master, process.host),
        )


def _maintain(campaign: FencingCampaign, random: Random, host: SimulatedHost) -> None:
    begins = random.random() < 0.5
    which = host if random.random() < 0.5 else None
    campaign.note(f"maintenance {'begins' if begins else 'ends'}: {which.name if which else 'all'}")
    campaign.maintain(begins, which)


FENCING_FAULTS = (
    *(_cut_off, _cut_off, _cut_off, _freeze, _freeze, _lose_power, _lose_power),
    *(_kill_daemon, _disturb, _kill_master, _maintain),
    *(_lose_by_steps, _lose_by_steps, _lose_by_steps, _cut_off_with_others, _answer_nothing),
    *(_return_to_others, _lose_after_maintenance),
)


def fencing_fault(campaign: Campaign) -> None:
    """Let a node be lost in one of many ways, or the master."""
    assert isinstance(campaign, FencingCampaign)
    with_guests = [host for host in campaign.hosts if set(DISKLESS) & host.guests.running().keys()]
    hosts = with_guests if with_guests and campaign.random.random() < 0.7 else campaign.hosts
    host = campaign.random.choice(hosts)
    if host.disk.crashed:
        return
    campaign.random.choice(FENCING_FAULTS)(campaign, campaign.random, host)
