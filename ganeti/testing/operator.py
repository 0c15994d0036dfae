# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator does on a simulated host: ``gnt-cluster master-failover``, over its links.

The steps are those of ``ganeti.bootstrap.failover``, which asks over blocking sockets.
"""

from __future__ import annotations

from ganeti.bootstrap.copy import read, take_over
from ganeti.errors import Failed, GanetiError, Refused
from ganeti.rpc.asking import Asker
from ganeti.rpc.node import ClaimTerm, StopMaster, Vote
from ganeti.rpc.replicas import DescribeReplica, ReplicaEnd
from ganeti.testing.clocks import ProcessClock
from ganeti.testing.cluster import MasterProcess, SimulatedCluster, SimulatedHost
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.wire import Wire


async def fail_over(cluster: SimulatedCluster, host: SimulatedHost) -> MasterProcess:
    """Make a host the master's, and start the master daemon there.

    :raises GanetiError: it was refused, or it failed.
    """
    if host.has_master:
        raise Refused(f"a master daemon runs on {host.name} already")
    clock = ProcessClock(host.clock)
    files, data = MemoryFiles(host.disk, clock), host.paths.data
    copy = read(files, data)
    members = [node for node in copy.state.nodes.values() if not node.offline]
    if not copy.state.node(host.name).master_candidate:
        raise Refused(f"{host.name} is no master candidate")
    term = [0]
    wire = Wire(cluster.switch, host.name, clock)
    nodes = Asker(wire, clock, term=lambda: term[0], master=host.name)

    answers = await nodes.ask_all(members, ClaimTerm(term=0, master=host.name))
    said = [(node, answers[node.uuid]) for node in members]
    found = [(node, vote) for node, vote in said if isinstance(vote, Vote)]
    if len(found) * 2 <= len(members):
        raise Refused("too few nodes answer")
    if host.name not in {node.name for node, _ in found}:
        raise Refused("this node's own node daemon must run")

    masters = {copy.state.master.name, *(vote.master for _, vote in found)}
    for node, vote in found:
        if node.name in masters - {host.name}:
            term[0] = vote.term
            await nodes.ask(node, StopMaster())

    copy = read(files, data)
    if not copy.is_whole(host.name):
        raise Refused(f"the copy on {host.name} was not in sync")
    for node, vote in found:
        if node.name != host.name and node.master_candidate:
            term[0] = vote.term
            try:
                end = await nodes.ask(node, DescribeReplica())
            except GanetiError:
                continue
            if isinstance(end, ReplicaEnd) and end.position > copy.end:
                raise Refused(f"the copy on {node.name} has more commits")

    obeyed = tuple(sorted({vote.master for _, vote in found} - {"", host.name}))
    claim = ClaimTerm(
        term=max(vote.term for _, vote in found) + 1, master=host.name, instead=obeyed
    )
    claimed = await nodes.ask_all([node for node, _ in found], claim)
    granted = [vote for vote in claimed.values() if isinstance(vote, Vote) and vote.granted]
    if len(granted) * 2 <= len(members):
        raise Failed(f"only {len(granted)} of {len(members)} nodes have voted for {host.name}")
    if host.has_master:
        raise Refused(f"a master daemon runs on {host.name} already")
    await take_over(files, data, host.name, now=clock.now())
    process, beginning = cluster.launch_master(host)
    await beginning
    return process
