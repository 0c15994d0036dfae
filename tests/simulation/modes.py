# SPDX-License-Identifier: BSD-2-Clause
"""The modes of the simulation across machines: which faults strike, and how often."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ganeti.opcodes.node import AddNode, ModifyNode, RemoveNode
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.simulated_host import SimulatedHost
from tests.simulation.campaign import Campaign, Fault
from tests.simulation.etcd_store import EtcdCampaign, etcd_fault
from tests.simulation.fencing import (
    EtcdFencingCampaign,
    FencingCampaign,
    fencing_fault,
)
from tests.simulation.old_disks import old_disk, takeover

DURATIONS = (0.5, 3.0, 8.0, 20.0, 60.0)
"""How many seconds a pause or an outage may last."""


# --- links


def _part(campaign: Campaign, *, one_way: bool) -> None:
    random, links = campaign.random, campaign.cluster.links
    if random.random() < 0.7:
        campaign.note("links heal")
        links.heal_all()
        if random.random() < 0.5:
            return
    hosts = list(campaign.hosts)
    random.shuffle(hosts)
    size = random.randint(1, len(hosts) - 1)
    if (acting := campaign.acting()) and random.random() < 0.5:
        # What is most dangerous: a master in the minority, and a failover among the others.
        hosts.sort(key=lambda host: host != acting[-1].host)
        size = random.randint(1, 2)
        pause = random.choice((0.1, 5.0, 15.0, 40.0))
        campaign.later(pause, "the others", lambda: campaign.start_failover(hosts[size:]))
    side, others = [host.name for host in hosts[:size]], [host.name for host in hosts[size:]]
    campaign.note(f"{side} {'-/->' if one_way else '-/-'} {others}")
    links.cut_between(side, others, one_way=one_way)


def partition(campaign: Campaign) -> None:
    """Part the hosts into two groups, or heal all links."""
    _part(campaign, one_way=False)


def isolation(campaign: Campaign) -> None:
    """Cut the copies in sync off from all that only vote, or heal all links."""
    acting, links = campaign.acting(), campaign.cluster.links
    campaign.note("links heal")
    links.heal_all()
    if not acting or campaign.random.random() < 0.4:
        return
    in_sync = acting[-1].master.quorum.in_effect.in_sync
    copies = [host.name for host in campaign.hosts if host.name in in_sync]
    others = [host.name for host in campaign.hosts if host.name not in in_sync]
    campaign.note(f"{copies} -/- {others}")
    links.cut_between(copies, others)


def one_way(campaign: Campaign) -> None:
    """Let one group of hosts not reach another one, which reaches it, or heal all links."""
    _part(campaign, one_way=True)


def flapping(campaign: Campaign) -> None:
    """Let the link between two hosts come and go."""
    random, links = campaign.random, campaign.cluster.links
    if random.random() < 0.2:
        campaign.note("links heal")
        links.heal_all()
        return
    one, other = random.sample(campaign.hosts, 2)
    up, down = random.choice((0.5, 5.0, 20.0)), random.choice((0.5, 5.0, 20.0))
    campaign.note(f"{one.name} flaps to {other.name}: {up} s up, {down} s down")
    links.flap(one.name, other.name, up, down)


def delays(campaign: Campaign) -> None:
    """Let messages in one direction be late, and some connections be reset."""
    random = campaign.random
    source, destination = random.sample(campaign.hosts, 2)
    delay, loss = random.choice((0.1, 2.0, 8.0, 20.0)), random.choice((0.0, 0.05, 0.3))
    campaign.note(f"{source.name} to {destination.name}: up to {delay} s, loss {loss}")
    campaign.cluster.links.disturb(source.name, destination.name, delay=delay, loss=loss)


# --- time


def pauses(campaign: Campaign) -> None:
    """Pause a master daemon, a node daemon, or a whole host."""
    random = campaign.random
    host, seconds = random.choice(campaign.hosts), random.choice(DURATIONS)
    masters = [process.clock for process in campaign.acting()]
    which = random.choice(("master", "daemon", "host"))
    clocks = [host.daemon_clock]
    if which == "master" and masters:
        clocks = [random.choice(masters)]
    elif which == "host" and host.process is not None:
        clocks.append(host.process.clock)
    campaign.note(f"{which} on {host.name} is paused for {seconds} s")
    for clock in clocks:
        clock.pause()
        campaign.later(seconds, f"{which} of {host.name} goes on", clock.resume)


def skew(campaign: Campaign) -> None:
    """Let the wall clock of a host jump; and pause something now and then."""
    random = campaign.random
    if random.random() < 0.4:
        pauses(campaign)
        return
    host = random.choice(campaign.hosts)
    jump = random.choice((-86400.0, -30.0, -1.0, 1.0, 30.0, 86400.0))
    campaign.note(f"the clock of {host.name} jumps by {jump} s")
    host.clock.jump(jump)


# --- processes and disks


def crashes(campaign: Campaign) -> None:
    """Kill a master or a node daemon, or cut the power of a host; init starts them again."""
    random, cluster = campaign.random, campaign.cluster
    host = random.choice(campaign.hosts)
    pause = random.choice(DURATIONS)
    match random.randrange(3):
        case 0 if acting := campaign.acting():
            process = random.choice(acting)
            campaign.note(f"the master on {process.host.name} is killed")
            process.die()
            campaign.later(pause, "the master starts", lambda: campaign.start_master(process.host))
        case 1:
            campaign.note(f"the node daemon of {host.name} is killed")
            cluster.kill_node(host)
            campaign.later(pause, "the node daemon starts", lambda: campaign.start_daemon(host))
        case _:
            campaign.power_off(host, pause)


def disks(campaign: Campaign) -> None:
    """Let the disk of a host fail, be full, be slow, or lose its power in the midst of a write."""
    random = campaign.random
    host = random.choice(campaign.hosts)
    disk, at = host.disk, host.disk.writes + random.randint(1, 30)
    match random.randrange(4):
        case 0:
            campaign.note(f"the power of {host.name} goes at one of the next writes")
            disk.crash(at=at)
        case 1:
            error = random.choice((errno.ENOSPC, errno.EIO))
            campaign.note(f"one of the next writes of {host.name} fails: {errno.errorcode[error]}")
            disk.fail(at, error)
        case 2:
            campaign.note(f"the disk of {host.name} is full for a while")
            disk.break_down()
            campaign.later(random.choice(DURATIONS), "there is room", disk.heal)
        case _:
            disk.stall = random.choice((0.1, 2.0, 7.0, 30.0))
            campaign.note(f"each write of {host.name} takes {disk.stall} s")
            campaign.later(random.choice(DURATIONS), "the disk is quick again", disk.heal)


# --- people


def succession(campaign: Campaign) -> None:
    """Move the master role: planned, after a crash of the master, or twice at once."""
    random = campaign.random
    match random.randrange(3):
        case 0 if acting := campaign.acting():
            process = random.choice(acting)
            campaign.note(f"the master on {process.host.name} is killed")
            process.die()
        case 1:
            campaign.start_failover()
    campaign.start_failover()


def membership(campaign: Campaign) -> None:
    """Demote, promote, drain, mark offline, remove or add a node."""
    random, cluster = campaign.random, campaign.cluster
    acting = campaign.acting()
    if not acting:
        return
    process, host = acting[-1], random.choice(campaign.hosts)
    name = host.name
    if not _is_member(process, host) or host.daemon_clock.dead:
        _come(campaign, process, host)
        return
    match random.randrange(6):
        case 0:
            campaign.note(f"{name} is demoted")
            demotion = ModifyNode(node_name=name, master_candidate=False, force=True)
            cluster.submit(demotion, to=process)
        case 1 | 2:
            campaign.note(f"{name} is promoted")
            cluster.submit(ModifyNode(node_name=name, master_candidate=True), to=process)
        case 3:
            campaign.note(f"{name} is drained, or not")
            drained = random.random() < 0.5
            cluster.submit(ModifyNode(node_name=name, drained=drained, force=True), to=process)
        case 4 if not host.has_master:
            campaign.note(f"{name} loses its power and is marked offline")
            cluster.power_off(host)
            cluster.submit(ModifyNode(node_name=name, offline=True, force=True), to=process)
        case 5:
            campaign.note(f"{name} is removed")
            cluster.submit(RemoveNode(node_name=name), to=process)


def _is_member(process: MasterProcess, host: SimulatedHost) -> bool:
    """Whether a host is a node of the cluster, as a master knows it."""
    return any(n.name == host.name for n in process.master.config.state().nodes.values())


def _come(campaign: Campaign, process: MasterProcess, host: SimulatedHost) -> None:
    """Let a host join, or boot and be added again.

    An administrator boots it only after it was marked offline: that is his word that no guest runs
    there, and the job that records it may still wait for locks.
    """
    name = host.name
    if _is_member(process, host) and not _is_offline(process, name):
        return
    if _is_member(process, host):
        campaign.note(f"{name} boots and is added again")
        addition = AddNode(node_name=name, readd=True)
        campaign.begin(campaign.join(host, process, addition), f"{name} joins again")
    elif not _is_leaving(process, name):
        campaign.note(f"{name} joins")
        addition = AddNode(node_name=name, primary_ip=host.address)
        campaign.begin(campaign.join(host, process, addition), f"{name} joins")


def _is_offline(process: MasterProcess, name: str) -> bool:
    nodes = process.master.config.state().nodes.values()
    return any(node.name == name and node.offline for node in nodes)


def _is_leaving(process: MasterProcess, name: str) -> bool:
    """Whether a node is being removed, which an administrator waits for."""
    return any(
        isinstance(op.opcode, RemoveNode) and op.opcode.node_name == name
        for job in process.master.queue.jobs()
        if not job.is_final
        for op in job.ops
    )


def rivals(campaign: Campaign) -> None:
    """Let two hosts want the role at once, and voters be started again meanwhile."""
    random = campaign.random
    if random.random() < 0.3:
        delays(campaign)
        return
    for process in campaign.acting():
        campaign.note(f"the master on {process.host.name} is killed")
        process.die()
    campaign.cluster.pass_time(random.choice((0.0, 4.9, 5.5)))
    for host in random.sample(campaign.candidates, 2):
        start = partial(campaign.start_failover, [host])
        campaign.later(random.choice((0.0, 0.001, 0.3)), f"{host.name} wants the role", start)
    for host in random.sample(campaign.hosts, random.randint(0, 2)):
        again = partial(campaign.cluster.restart_node, host)
        campaign.later(random.uniform(0.0, 2.0), f"the daemon of {host.name} starts again", again)


def departures(campaign: Campaign) -> None:
    """Let nodes go and come, several at a time, while others are cut off."""
    random, cluster, acting = campaign.random, campaign.cluster, campaign.acting()
    if not acting:
        campaign.note("links heal")
        cluster.links.heal_all()
        return
    process = acting[-1]
    others = [host for host in campaign.hosts if not host.has_master]
    away = [host for host in others if host.daemon_clock.dead or not _is_member(process, host)]
    match random.randrange(6):
        case 0 | 1 if away:
            for host in away:
                _come(campaign, process, host)
        case 0 | 1 if len(others) > 1:
            # One is left that is late; in a succession, two hosts may have a master.
            some = random.sample(others, min((len(campaign.hosts) - 1) // 2, len(others) - 1))
            late = random.choice([host for host in others if host not in some])
            campaign.note(f"the daemon of {late.name} is paused for a second")
            late.daemon_clock.pause()
            campaign.later(1.0, f"the daemon of {late.name} goes on", late.daemon_clock.resume)
            for host in some:
                campaign.note(f"{host.name} loses its power and is marked offline")
                cluster.power_off(host)
                gone = ModifyNode(node_name=host.name, offline=True, force=True)
                cluster.submit(gone, to=process)
        case 2:
            campaign.note("links heal")
            cluster.links.heal_all()
        case 3 | 4 if not away and len(others) > 1:
            cut, removed = random.sample(others, 2)
            if random.random() < 0.7:
                campaign.note(f"{cut.name} is cut off")
                rest = [host.name for host in campaign.hosts if host is not cut]
                cluster.links.cut_between([cut.name], rest)
                cluster.pass_time(random.choice((0.0, 8.0, 20.0)))
            campaign.note(f"{removed.name} is removed")
            cluster.submit(RemoveNode(node_name=removed.name), to=process)
        case _:
            _part(campaign, one_way=False)


# --- all of them


def chaos(campaign: Campaign) -> None:
    """Let any of the faults strike."""
    faults = (partition, one_way, flapping, delays, pauses, skew, crashes, disks, succession)
    campaign.random.choice(faults)(campaign)


@dataclass(frozen=True)
class Mode:
    """A kind of campaign: its fault, how wrong clocks run, how often the master role moves.

    At most so many nodes are ``candidates``.
    """

    fault: Fault
    skew: float = 0.0
    failovers: float = 0.1
    candidates: int = 5
    kind: type[Campaign] = Campaign

    def campaign(self, seed: int) -> Campaign:
        """Return the campaign of a seed, which has not been played yet."""
        return self.kind(
            seed,
            self.fault,
            skew=self.skew,
            failovers=self.failovers,
            candidates=self.candidates,
        )


MODES: Mapping[str, Mode] = {
    "partition": Mode(partition, failovers=0.25),
    "isolation": Mode(isolation, candidates=2),
    "one-way": Mode(one_way, failovers=0.25),
    "flapping": Mode(flapping, failovers=0.25),
    "delays": Mode(delays),
    "pauses": Mode(pauses),
    "skew": Mode(skew, skew=0.05),
    "crashes": Mode(crashes),
    "disks": Mode(disks),
    "old-disk": Mode(old_disk),
    "succession": Mode(succession, failovers=0.0),
    "membership": Mode(membership, failovers=0.05),
    "takeover": Mode(takeover, failovers=0.0, candidates=2),
    "rivals": Mode(rivals, failovers=0.0),
    "departures": Mode(departures, failovers=0.1),
    "chaos": Mode(chaos, skew=0.05),
    "etcd": Mode(etcd_fault, skew=0.05, kind=EtcdCampaign),
    "fencing": Mode(fencing_fault, skew=0.1, failovers=0.05, kind=FencingCampaign),
    "fencing-etcd": Mode(fencing_fault, skew=0.1, failovers=0.05, kind=EtcdFencingCampaign),
}
