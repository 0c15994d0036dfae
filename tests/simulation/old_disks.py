# SPDX-License-Identifier: BSD-2-Clause
"""Old disks that come back, within what a cluster can bear.

An old disk is a failure of its host. At any time less than half of the hosts have an old disk, are
cut off or have no power, and some copy that is in sync is on none of them.
"""

from __future__ import annotations

from ganeti.errors import GanetiError
from ganeti.model.node import Node
from ganeti.node.voter import read_voter_state
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.rpc.quorum import ReplicaSet
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.simulated_host import SimulatedHost
from tests.simulation.campaign import Campaign

OUTAGES = (5.0, 20.0, 60.0)
"""How many seconds a host besides may be cut off or have no power."""
QUIET = 40.0
"""Seconds after which an old disk has been noticed although nothing is written."""
KEPT = 3
"""How many old disks are there at most."""


def old_disk(campaign: Campaign) -> None:
    """Keep a copy of a host's disk, bring one back, or let another host fail besides."""
    random = campaign.random
    master = max(campaign.acting(), key=lambda process: process.term, default=None)
    if master is None:
        return
    campaign.distrusted = {
        host for host in campaign.distrusted if not _has_caught_up(campaign, master, host)
    }
    if campaign.old_disks and random.random() < 0.5:
        host, old = random.choice(campaign.old_disks)
        if _may_fail(campaign, master, host):
            campaign.old_disks.remove((host, old))
            campaign.bring_back(host, old)
            if random.random() < 0.3:
                _see_that_it_is_noticed(campaign, master, host)
    elif campaign.distrusted and random.random() < 0.5:
        host = random.choice(campaign.hosts)
        if _may_fail(campaign, master, host):
            _fail(campaign, host)
    elif len(campaign.old_disks) < KEPT:
        host = random.choice(campaign.hosts)
        campaign.note(f"a copy of the disk of {host.name} is made")
        campaign.old_disks.append((host, host.disk.snapshot()))


def _see_that_it_is_noticed(campaign: Campaign, master: MasterProcess, host: SimulatedHost) -> None:
    """Do nothing for a while; the copy on an old disk must not count as in sync after that."""
    campaign.cluster.pass_time(QUIET)
    quorum = master.master.quorum
    if master.dead or not quorum.holds_lease() or host is master.host:
        return
    if host.name in quorum.in_effect.in_sync and not _has_caught_up(campaign, master, host):
        campaign.problems.append(f"nobody has noticed the old disk of {host.name}")


def takeover(campaign: Campaign) -> None:
    """Let a host with an old disk become the master, while others are as they should be.

    Either at once, when nobody but the copies knows of the newest commits; or when all other copies
    are away, and the nodes that vote have been told that there is more than the old disk has.
    """
    random, cluster = campaign.random, campaign.cluster
    master = max(campaign.acting(), key=lambda process: process.term, default=None)
    if master is None or not master.master.quorum.holds_lease():
        return
    in_sync = master.master.quorum.in_effect.in_sync
    copies = [host for host in campaign.hosts if host.name in in_sync]
    host, others = random.choice(copies), len(copies) - 1
    campaign.distrusted = {
        each for each in campaign.distrusted if not _has_caught_up(campaign, master, each)
    }
    if not others or campaign.distrusted or not _is_sound(campaign, master):
        return
    old = host.disk.snapshot()
    tag = f"{len(campaign.log)}"
    cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=(tag,)), to=master)
    at_once = random.random() < 0.6 or 2 * len(copies) >= len(campaign.hosts)
    cluster.pass_time(random.choice((0.05, 0.2, 0.8)) if at_once else 10.0)
    campaign.note(f"the master on {master.host.name} is killed")
    master.die()
    campaign.bring_back(host, old)
    if not at_once:
        for copy in copies:
            if copy is not host:
                campaign.power_off(copy, 20.0)
    campaign.start_failover([host])


def _is_sound(campaign: Campaign, master: MasterProcess) -> bool:
    """Whether all daemons run, and all copies in sync have everything."""
    if any(host.daemon_clock.dead for host in campaign.hosts):
        return False
    return all(_has_caught_up(campaign, master, host) for host in campaign.hosts)


def _fail(campaign: Campaign, host: SimulatedHost) -> None:
    """Let a host besides those with old disks be cut off, or lose its power."""
    seconds = campaign.random.choice(OUTAGES)
    if campaign.random.random() < 0.5:
        campaign.power_off(host, seconds)
        return
    campaign.note(f"{host.name} is cut off for {seconds} s")
    others = [each.name for each in campaign.hosts if each is not host]
    campaign.cluster.links.cut_between([host.name], others)
    campaign.isolated.add(host)

    def heal() -> None:
        campaign.isolated.discard(host)
        for name in others:
            campaign.cluster.links.heal(host.name, name)
            campaign.cluster.links.heal(name, host.name)

    campaign.later(seconds, f"{host.name} is connected again", heal)


def _may_fail(campaign: Campaign, master: MasterProcess, host: SimulatedHost) -> bool:
    """Whether the cluster can bear that one more host fails."""
    off = {each for each in campaign.hosts if each.daemon_clock.dead}
    failed = campaign.distrusted | campaign.isolated | off
    names = {each.name for each in failed | {host}}
    intact = all(set(each.in_sync) - names for each in _replica_sets(campaign, master))
    return host not in failed and 2 * len(names) < len(campaign.hosts) and intact


def _replica_sets(campaign: Campaign, master: MasterProcess) -> list[ReplicaSet]:
    """Return the replica set in effect, and those that may be in effect next."""
    current = master.master.quorum.in_effect
    kept = [
        read_voter_state(MemoryFiles(host.disk), host.paths.term_file).replica_set
        for host in campaign.hosts
    ]
    return [current, *(each for each in kept if each.order > current.order)]


def _has_caught_up(campaign: Campaign, master: MasterProcess, host: SimulatedHost) -> bool:
    """Whether a host knows the newest replica set again, and has all commits if it is in it."""
    files = MemoryFiles(host.disk)
    quorum = master.master.quorum
    voter = read_voter_state(files, host.paths.term_file)
    if (voter.term, voter.replica_set) != (master.term, quorum.in_effect):
        return False
    node = _node(master, host)
    if node is None or not node.master_candidate:
        return True
    if host.name not in quorum.in_effect.in_sync:
        return False
    try:
        copy = campaign.cluster.copy_of(host)
    except GanetiError:
        return False
    return copy.end >= master.master.journal.last_commit()


def _node(master: MasterProcess, host: SimulatedHost) -> Node | None:
    nodes = master.master.config.state().nodes.values()
    return next((each for each in nodes if each.name == host.name), None)
