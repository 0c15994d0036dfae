# SPDX-License-Identifier: BSD-2-Clause
"""Making this node the master instead of another one: check, stop the old one, take over.

What decides is done by the new master daemon, once it has the votes (``ganeti.master.startup``).
The checks here come before the old master is stopped, so that a failover that would be refused
leaves everything as it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ganeti.bootstrap.blocking_files import ssconf_of, write_ssconf
from ganeti.bootstrap.daemons import MASTERD, RAPI, runs, start
from ganeti.bootstrap.node_client import NodeEndpoint, Peers
from ganeti.bootstrap.secret_renewal import renew_rapi_certificate
from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.paths import NODED_PORT, Paths
from ganeti.rpc.node import ResumeMaster, StopMaster
from ganeti.rpc.quorum import Ballot, DescribeVote, ReplicaSet, newest

Say = Callable[[str], None]
StartDaemon = Callable[..., None]
"""Starts a daemon: the paths of this node, the daemon, and its options."""


@dataclass(frozen=True)
class FailoverOptions:
    """What a person answers for.

    Without ``voting``, nodes that do not answer are down and run no master; with ``accept_loss``,
    acknowledged changes may be lost.
    """

    voting: bool = True
    accept_loss: bool = False


WITHOUT_OVERRIDE = FailoverOptions()

RACE_RETRIES = 3
"""How often a master daemon is started again that has lost its votes in a race with another one."""

RACE_TIMEOUT, RACE_INTERVAL = 20.0, 0.5
"""Seconds for which the other one is waited for, and between two looks at it."""


def become_master(
    paths: Paths,
    name: str,
    options: FailoverOptions = WITHOUT_OVERRIDE,
    *,
    say: Say = lambda _: None,
    port: int = NODED_PORT,
    start: StartDaemon = start,
) -> None:
    """Make this node, ``name``, the master; its daemons run when this returns.

    ``say`` is told what is done, and ``start`` starts a daemon of this node. Interrupted, it can be
    done again; meanwhile the node whose master was stopped starts it again by itself.

    :raises Refused: says what speaks against it, and what would make it possible.
    :raises Failed: something did not work; says what, and how far it came.
    """
    cluster = _observe(paths, name, port)
    if problems := cluster.problems(options):
        raise Refused("; ".join(problems))
    say(f"{cluster.answering} of {cluster.size} nodes answer")
    stopped = cluster.stop_masters(say)
    try:
        _start_master(partial(start, paths, MASTERD), cluster, options, port, say)
    except GanetiError:
        for node in stopped:
            cluster.resume(node, say)
        raise
    say(f"{MASTERD} runs on {name}")
    # The master daemon is about to tell all nodes; the remote API looks here when it starts.
    write_ssconf(paths, {"master_node": name})
    try:
        renew_rapi_certificate(paths, only_own=True)
    except (Refused, Failed) as e:
        # The old master had not brought everything here yet; this one works without.
        say(f"the remote API keeps its certificate: {e}")
    if not runs(paths, RAPI):
        start(paths, RAPI)
        say(f"{RAPI} runs on {name}")


def _start_master(
    start: Callable[..., None], cluster: _Cluster, options: FailoverOptions, port: int, say: Say
) -> None:
    """Start the master daemon, again if another failover at the same time kept both from the role.

    Of two that ask for votes at once, the one that a majority elects can meet a node that has voted
    for the other one in a newer term, and ends; the other one may not be fit to be the master.

    :raises Failed: it does not start, and not because of such a race.
    """
    for last in (*[False] * RACE_RETRIES, True):
        try:
            start(*_daemon_options(options, port))
        except Failed as e:
            if last or not cluster.has_no_master(options):
                raise
            say(f"{e}; but no other node has become the master: trying again")
        else:
            return


def possible_loss(paths: Paths, name: str, *, port: int = NODED_PORT) -> list[str]:
    """Return what speaks against making this node the master, as an administrator would weigh it.

    :raises Refused: this node can be no master at all.
    """
    cluster = _observe(paths, name, port)
    return cluster.problems(FailoverOptions())


def _daemon_options(options: FailoverOptions, port: int) -> list[str]:
    chosen = ["--take-over"]
    if not options.voting:
        chosen.append("--no-voting")
    if options.accept_loss:
        chosen.append("--accept-loss")
    return chosen if port == NODED_PORT else [*chosen, f"--node-port={port}"]


def _observe(paths: Paths, name: str, port: int) -> _Cluster:
    """Return the cluster as this node sees it.

    A master daemon that runs here and has no lease does not count: it waits for votes, and it may
    take a person's word until it gets them.

    :raises Refused: this node can be no master, or is the one that a majority obeys.
    """
    if not os.path.exists(paths.node_certificate):
        raise Refused("this node is part of no cluster")
    candidates = ssconf_of(paths, "master_candidates").splitlines()
    if name not in candidates:
        raise Refused(
            f"{name} is no master candidate, so it has no copy to go on from; run this on one of"
            f" {', '.join(candidates)}"
        )
    cluster = _Cluster(paths, name, port)
    cluster.look()
    if runs(paths, MASTERD) and cluster.has_lease():
        raise Refused(f"{MASTERD} runs on this node: it is the master already", Code.EXISTS)
    return cluster


class _Cluster:
    """The nodes as this one sees them: their votes, their copies, and where a master runs."""

    def __init__(self, paths: Paths, name: str, port: int) -> None:
        offline = set(ssconf_of(paths, "offline_nodes").splitlines())
        known = dict(
            line.split(" ", 1) for line in ssconf_of(paths, "node_primary_ips").splitlines()
        )
        nodes = [NodeEndpoint(node, ip, port) for node, ip in known.items() if node not in offline]
        self._name = name
        self._master = ssconf_of(paths, "master_node")
        self._peers = Peers(paths, nodes)
        self._ballots: Mapping[str, Ballot] = {}
        self._silent: Mapping[str, GanetiError] = {}

    def look(self) -> None:
        """Ask every node for its vote and its copy, which promises nothing.

        :raises Refused: this node's own daemon does not answer.
        """
        try:
            mine = self._peers.ask(self._name, DescribeVote(), 0)
        except (GanetiError, KeyError) as e:
            why = "it is marked offline" if isinstance(e, KeyError) else e
            raise Refused(f"this node's own node daemon must run: {why}") from None
        question = DescribeVote(at=mine.copy.position if mine.copy else None)
        answers = self._peers.ask_all(dict.fromkeys(self._peers.nodes, (question, 0)))
        self._ballots = {
            name: each for name, each in answers.items() if isinstance(each, Ballot)
        } | {self._name: mine}
        self._silent = {
            name: each
            for name, each in answers.items()
            if isinstance(each, GanetiError) and name != self._name
        }

    def has_lease(self) -> bool:
        """Return whether a majority of the voting nodes has promised its vote to this node now."""
        replica_set = newest(ballot.state.replica_set for ballot in self._ballots.values())
        promised = {
            name
            for name, ballot in self._ballots.items()
            if ballot.state.master == self._name and ballot.lease
        }
        return self._voters(replica_set).has_majority(promised)

    def has_no_master(self, options: FailoverOptions) -> bool:
        """Return whether no other node's master daemon runs or is elected, and this node is fit.

        One that runs and that no majority obeys is waited for: it is elected soon, or ends.

        :raises Refused: this node's own daemon does not answer.
        """
        until = time.monotonic() + RACE_TIMEOUT
        while True:
            self.look()
            rivals = {name for name, ballot in self._ballots.items() if ballot.serves}
            rivals.discard(self._name)
            if not rivals:
                return not self.problems(options)
            if time.monotonic() >= until or any(map(self._is_obeyed, rivals)):
                return False
            time.sleep(RACE_INTERVAL)

    def _is_obeyed(self, master: str) -> bool:
        """Return whether more than half of the nodes that answer obey this master."""
        obey = [ballot.state.master == master for ballot in self._ballots.values()]
        return 2 * sum(obey) > len(obey)

    @property
    def answering(self) -> int:
        """How many nodes answer."""
        return len(self._ballots)

    @property
    def size(self) -> int:
        """How many nodes were asked."""
        return len(self._peers.nodes)

    def problems(self, options: FailoverOptions) -> list[str]:
        """Return what speaks against this node as the master, unless a person answers for it."""
        found = []
        replica_set = newest(ballot.state.replica_set for ballot in self._ballots.values())
        if options.voting:
            found += self._missing_votes(replica_set)
        if not options.accept_loss:
            found += self._missing_commits(replica_set)
        return found

    def _missing_votes(self, replica_set: ReplicaSet) -> list[str]:
        voters = self._voters(replica_set)
        if voters.has_majority(self._ballots):
            return []
        count = len(frozenset().union(*voters.groups()))
        silent = "; ".join(map(str, self._silent.values()))
        told = (
            f"only {len(self._ballots)} of {count} nodes answer, and more than half must agree"
            f" ({silent}). If it is certain that no master daemon runs on any other node:"
            " --no-voting"
        )
        return [told]

    def _voters(self, replica_set: ReplicaSet) -> ReplicaSet:
        """Return the set that says who votes: all nodes, in a cluster that never had one."""
        return replica_set if replica_set.voters else ReplicaSet(voters=tuple(self._peers.nodes))

    def _missing_commits(self, replica_set: ReplicaSet) -> list[str]:
        mine = self._ballots[self._name]
        in_sync = replica_set.in_sync or (self._master,)
        better = [
            f"the copy on {name} has {ballot.copy.position - mine.copy.position} more commits,"
            " which do not follow those here"
            for name, ballot in self._ballots.items()
            if mine.copy is not None
            and ballot.copy is not None
            and name in in_sync
            and ballot.copy.position > mine.copy.position
            and ballot.common != mine.copy
        ]
        if mine.copy is None:
            better = ["the copy here is damaged, or its files are not of one history"]
        elif self._name not in in_sync:
            better = ["it was put out of the in-sync set"]
        if not better:
            return []
        others = ", ".join(name for name in in_sync if name != self._name)
        told = (
            f"acknowledged changes may be missing from the copy of the state on {self._name}:"
            f" {'; '.join(better)}. Make {others or 'another node'} the master; to go on and lose"
            " those changes: --accept-loss"
        )
        return [told]

    def stop_masters(self, say: Say) -> list[str]:
        """Stop all master daemons, as far as their nodes answer; returns where one ran.

        On this node, too: one that waits for votes makes room for one that takes the role over.

        :raises Failed: one does not end.
        """
        stopped = []
        masters = {self._master, *(ballot.state.master for ballot in self._ballots.values())}
        running = {name for name, ballot in self._ballots.items() if ballot.serves}
        for master in sorted((masters - {self._name, ""}) | running):
            if master not in self._ballots:
                say(f"{master} does not answer; going on without it")
            elif self._peers.ask(master, StopMaster(), self._term(master), timeout=60.0):
                say(f"the master daemon of {master} has ended")
                stopped.append(master)
        return stopped

    def resume(self, node: str, say: Say) -> None:
        """Let a node start its master daemon again."""
        try:
            if self._peers.ask(node, ResumeMaster(), self._term(node), timeout=60.0):
                say(f"the master daemon of {node} has been started again")
        except GanetiError as e:
            say(f"{node} does not start its master daemon again: {e}")

    def _term(self, name: str) -> int:
        return self._ballots[name].state.term
