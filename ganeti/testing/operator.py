# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator does on a simulated host, over its links: to make it the master, to join.

The steps are those of ``ganeti.bootstrap.failover`` and ``joining``, which ask over blocking
sockets.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from twisted.internet.defer import TimeoutError as TimedOut

from ganeti.bootstrap.journal_copy import read
from ganeti.errors import GanetiError, Refused
from ganeti.master.startup import TAKE_OVER_TIMEOUT, StartupMandate
from ganeti.pki.enrolment import (
    TOKEN_VALIDITY,
    Invitation,
    Membership,
    certificates,
    derive_secret,
    encode_token,
    fingerprint,
)
from ganeti.rpc.members import MemberFile, MemberRecords
from ganeti.rpc.node import StopMaster
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.quorum import Ballot, DescribeVote, ReplicaSet, newest
from ganeti.testing.clocks import ProcessClock
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.simulated_host import SimulatedHost
from ganeti.testing.wire import Wire

TAKE_OVER = StartupMandate(take_over=True)


async def fail_over(cluster: SimulatedCluster, host: SimulatedHost) -> MasterProcess:
    """Make a host the master's, and start the master daemon there.

    :raises GanetiError: it was refused, or it failed.
    """
    clock = ProcessClock(host.clock)
    copy = read(MemoryFiles(host.disk, clock), host.paths.data)
    members = [node for node in copy.state.nodes.values() if not node.offline]
    if not copy.state.node(host.name).master_candidate:
        raise Refused(f"{host.name} is no master candidate")
    term = [0]
    wire = Wire(cluster.switch, host.name, clock)
    nodes = NodeClient(wire, clock, term=lambda: term[0], master=host.name)
    answers = await nodes.ask_all(members, DescribeVote())
    ballots = {
        node.name: (node, ballot)
        for node in members
        if isinstance(ballot := answers[node.uuid], Ballot)
    }
    votes = {name: ballot for name, (_, ballot) in ballots.items()}
    found = newest(ballot.state.replica_set for ballot in votes.values())
    if not found.voters:
        found = ReplicaSet(voters=tuple(node.name for node in members))
    if host.has_master and _has_lease(host.name, found, votes):
        raise Refused(f"{host.name} is the master already")
    _require_mandate(host.name, found, votes)
    stopped = []
    for node, ballot in ballots.values():
        if ballot.serves:
            term[0] = ballot.state.term
            await nodes.ask(node, StopMaster())
            stopped.append(node.name)
    if host.has_master:
        raise Refused(f"a master daemon runs on {host.name} already")
    try:
        process, beginning = cluster.launch_master(host, TAKE_OVER)
        await beginning.addTimeout(TAKE_OVER_TIMEOUT, clock)
    except (GanetiError, TimedOut) as e:
        for other in cluster.hosts:
            if other.name in stopped and not other.has_master:
                # As its node daemon does when it is told that the failover was refused.
                cluster.launch_master(other)[1].addErrback(lambda f: f.trap(GanetiError) and None)
        if isinstance(e, TimedOut):
            raise Refused(f"{host.name} was not elected by a majority of the nodes") from None
        raise
    return process


def _has_lease(name: str, found: ReplicaSet, ballots: Mapping[str, Ballot]) -> bool:
    """Return whether a majority of the voting nodes has promised its vote to this node now."""
    promised = {
        voter for voter, ballot in ballots.items() if ballot.state.master == name and ballot.lease
    }
    return found.has_majority(promised)


def _require_mandate(name: str, found: ReplicaSet, ballots: Mapping[str, Ballot]) -> None:
    """Refuse what the new master would refuse, before the old one is stopped."""
    if name not in ballots:
        raise Refused("this node's own node daemon must run")
    if not found.has_majority(ballots):
        raise Refused("too few nodes answer")
    if found.in_sync and name not in found.in_sync:
        raise Refused(f"the copy on {name} was not in sync")


async def join(cluster: SimulatedCluster, host: SimulatedHost, process: MasterProcess) -> None:
    """Give a host a certificate by a token of a master, and start its node daemon with it.

    :raises GanetiError: the master does not spend the token.
    """
    master, paths = process.host, host.paths
    files = MemoryFiles(master.disk)
    authority, *others = (
        fingerprint(each.encode()) for each in certificates(files.read(paths.authority))
    )
    invitation = Invitation(
        cluster="cluster",
        node=host.name,
        names=(host.name, host.address),
        master=master.name,
        address=master.address,
        port=0,
        authority=authority,
        other_authorities=tuple(others),
        until=int(process.clock.now()) + TOKEN_VALIDITY,
        nonce=f"{next(cluster.serials):032x}",
    )
    secret = derive_secret(files.read(paths.authority_key), files.read(paths.domain_secret))
    answer = await process.master.enrolment.enrol(encode_token(invitation, secret), "request")
    granted = msgspec.convert(answer, Membership)
    members = msgspec.convert(granted.members, MemberRecords)
    kept = msgspec.json.encode(MemberFile(term=0, members=members))
    cluster.kill_node(host)
    host.disk.put(paths.authority, granted.authority.encode(), 0o644, 0.0)
    host.disk.put(paths.member_list, kept, 0o600, 0.0)
    host.disk.put(paths.node_certificate, granted.certificate.encode(), 0o600, 0.0)
    cluster.restart_node(host)
