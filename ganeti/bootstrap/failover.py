# SPDX-License-Identifier: BSD-2-Clause
"""Master failover: check, stop the old master, start the new one on this node.

The new master daemon makes the final decision when it has the votes (``ganeti.master.startup``).
The checks here precede the stop of the old master, so that a failover that would be refused changes
nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ganeti.bootstrap.blocking_files import local_files, read_ssconf, write_ssconf
from ganeti.bootstrap.daemons import MASTERD, RAPI, runs, start
from ganeti.bootstrap.node_client import NodeEndpoint, Peers
from ganeti.bootstrap.secret_renewal import renew_rapi_certificate
from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.paths import NODED_PORT, Paths
from ganeti.rpc.node import ResumeMaster, StopMaster
from ganeti.rpc.quorum import Ballot, DescribeVote, ReplicaSet, newest

Say = Callable[[str], None]
StartDaemon = Callable[..., None]
"""Starts a daemon: the paths of this node, the daemon, and its options."""


@dataclass(frozen=True)
class FailoverOptions:
    """The checks that an administrator overrides.

    Without ``voting``, nodes that do not answer are confirmed to be down; with ``accept_loss``,
    acknowledged changes may be lost.
    """

    voting: bool = True
    accept_loss: bool = False


WITHOUT_OVERRIDE = FailoverOptions()

RACE_RETRIES = 3
"""Maximum number of restarts of a master daemon that lost a race with another failover."""

RACE_TIMEOUT, RACE_INTERVAL = 20.0, 0.5
"""Seconds to wait for the other master of a race, and between two checks of it."""


def become_master(
    paths: Paths,
    name: str,
    options: FailoverOptions = WITHOUT_OVERRIDE,
    *,
    say: Say = lambda _: None,
    port: int = NODED_PORT,
    start: StartDaemon = start,
) -> None:
    """Make this node, ``name``, the master; its daemons are running when this returns.

    ``say`` is called with progress messages, and ``start`` starts a daemon of this node. An
    interrupted failover can be repeated; meanwhile the node whose master was stopped restarts it.

    :raises Refused: a check failed; the message says how to make the failover possible.
    :raises Failed: a step failed; the message says which one.
    """
    cluster = _observe_cluster(paths, name, port)
    if cluster.has_store and options != WITHOUT_OVERRIDE:
        raise Refused(
            "--no-voting and --accept-loss are for clusters whose state is in files; the state of"
            " this one is in etcd, which decides who is the master"
        )
    if problems := cluster.problems(options):
        raise Refused("; ".join(problems))
    say(f"{cluster.answering} of {cluster.size} nodes answer")
    try:
        cluster.stop_masters(say)
        _start_master(partial(start, paths, MASTERD), cluster, options, port, say)
    except GanetiError:
        cluster.resume_masters(say)
        raise
    say(f"{MASTERD} is running on {name}")
    _complete_role(paths, name, say, start)


def take_vacant_role(
    paths: Paths,
    name: str,
    *,
    say: Say = lambda _: None,
    port: int = NODED_PORT,
    start: StartDaemon = start,
) -> None:
    """Make this node, ``name``, the master of a cluster that has none, and whose state is in etcd.

    :raises Failed: a step failed, or another node has become the master.
    """
    ports = [] if port == NODED_PORT else [f"--node-port={port}"]
    start(paths, MASTERD, "--take-vacant-role", *ports)
    say(f"{MASTERD} is running on {name}")
    _complete_role(paths, name, say, start)


def _complete_role(paths: Paths, name: str, say: Say, start: StartDaemon) -> None:
    """Start what runs beside the master daemon of this node."""
    # The master daemon distributes this value soon, but the remote API reads it when it starts.
    write_ssconf(paths, {"master_node": name})
    try:
        renew_rapi_certificate(paths, only_own=True, needed=(name,))
    except (Refused, Failed) as e:
        # The old master has not copied everything here yet; the existing certificate works, too.
        say(f"the remote API keeps its certificate: {e}")
    if not runs(paths, RAPI):
        try:
            start(paths, RAPI)
        except Failed:
            # The node daemon starts it on new candidates, and may have been faster.
            if not runs(paths, RAPI):
                raise
        say(f"{RAPI} is running on {name}")


def _start_master(
    start: Callable[..., None],
    cluster: _ObservedCluster,
    options: FailoverOptions,
    port: int,
    say: Say,
) -> None:
    """Start the master daemon; retry if a concurrent failover kept both masters from the role.

    If two masters request votes at once, the elected one may meet a node that has voted for the
    other in a newer term, and end; the other one may not be able to become the master. With the
    state in etcd, a candidate may have become the master by itself; it is stopped like the old one,
    as an administrator has chosen this node.

    :raises Failed: the daemon does not start, and not because of such a race.
    """
    for last in (*[False] * RACE_RETRIES, True):
        try:
            start(*_daemon_options(options, port))
        except Failed as e:
            if last:
                raise
            if cluster.has_store and cluster.has_stopped_rivals(say):
                say("a candidate had become the master meanwhile, trying again")
            elif cluster.has_no_master(options):
                say(f"{e}; no other node has become the master, trying again")
            else:
                raise
        else:
            return


def list_failover_problems(paths: Paths, name: str, *, port: int = NODED_PORT) -> list[str]:
    """Return the reasons against making this node the master that options can override.

    :raises Refused: this node cannot be the master.
    """
    cluster = _observe_cluster(paths, name, port)
    return cluster.problems(FailoverOptions())


def _daemon_options(options: FailoverOptions, port: int) -> list[str]:
    flags = ["--take-over"]
    if not options.voting:
        flags.append("--no-voting")
    if options.accept_loss:
        flags.append("--accept-loss")
    return flags if port == NODED_PORT else [*flags, f"--node-port={port}"]


def _observe_cluster(paths: Paths, name: str, port: int) -> _ObservedCluster:
    """Return the state of the cluster as observed from this node.

    A local master daemon without a lease does not count: it waits for votes, and an administrator
    may override the checks until it has them.

    :raises Refused: this node cannot be the master, or a majority already follows it.
    """
    if not os.path.exists(paths.node_certificate):
        raise Refused("this node is not part of a cluster")
    candidates = read_ssconf(paths, "master_candidates").splitlines()
    if name not in candidates:
        raise Refused(
            f"{name} is not a master candidate and has no copy of the state; run this on one of"
            f" {', '.join(candidates)}"
        )
    cluster = _ObservedCluster(paths, name, port)
    cluster.look()
    if runs(paths, MASTERD) and cluster.is_master():
        raise Refused(
            f"{MASTERD} is running on this node, which is already the master", Code.EXISTS
        )
    return cluster


class _ObservedCluster:
    """The nodes as observed from this one: their votes, copies and master daemons."""

    def __init__(self, paths: Paths, name: str, port: int) -> None:
        offline = set(read_ssconf(paths, "offline_nodes").splitlines())
        known = dict(
            line.split(" ", 1) for line in read_ssconf(paths, "node_primary_ips").splitlines()
        )
        nodes = [NodeEndpoint(node, ip, port) for node, ip in known.items() if node not in offline]
        self._name = name
        self._master = read_ssconf(paths, "master_node")
        self.has_store = read_settings(local_files(), paths.state_store) is not None
        """Whether the state is in a store, so that nodes neither vote nor have copies."""
        self._stopped: list[str] = []
        self._peers = Peers(paths, nodes)
        self._ballots: Mapping[str, Ballot] = {}
        self._unanswered: Mapping[str, GanetiError] = {}

    def look(self) -> None:
        """Query vote and copy of every node; this has no effect on them.

        :raises Refused: the local node daemon does not answer.
        """
        try:
            mine = self._peers.ask(self._name, DescribeVote(), 0)
        except (GanetiError, KeyError) as e:
            why = "it is marked offline" if isinstance(e, KeyError) else e
            raise Refused(f"the node daemon of this node must be running: {why}") from None
        question = DescribeVote(at=mine.copy.position if mine.copy else None)
        answers = self._peers.ask_all(dict.fromkeys(self._peers.nodes, (question, 0)))
        self._ballots = {
            name: each for name, each in answers.items() if isinstance(each, Ballot)
        } | {self._name: mine}
        self._unanswered = {
            name: each
            for name, each in answers.items()
            if isinstance(each, GanetiError) and name != self._name
        }

    def is_master(self) -> bool:
        """Return whether this node is the master, as far as is known here."""
        return self._master == self._name if self.has_store else self.has_lease()

    def has_lease(self) -> bool:
        """Return whether a majority of the voting nodes currently grants this node the lease."""
        replica_set = newest(ballot.state.replica_set for ballot in self._ballots.values())
        promised = {
            name
            for name, ballot in self._ballots.items()
            if ballot.state.master == self._name and ballot.lease
        }
        return self._effective_voters(replica_set).has_majority(promised)

    def has_no_master(self, options: FailoverOptions) -> bool:
        """Return whether no other node is or becomes the master, while this node could.

        A running master daemon that no majority follows is waited for: it is elected soon, or ends.

        :raises Refused: the local node daemon does not answer.
        """
        until = time.monotonic() + RACE_TIMEOUT
        while True:
            self.look()
            rivals = {name for name, ballot in self._ballots.items() if ballot.serves}
            rivals.discard(self._name)
            if not rivals:
                return not self.problems(options)
            if time.monotonic() >= until or any(map(self._has_majority, rivals)):
                return False
            time.sleep(RACE_INTERVAL)

    def _has_majority(self, master: str) -> bool:
        """Return whether more than half of the answering nodes follow this master."""
        obey = [ballot.state.master == master for ballot in self._ballots.values()]
        return 2 * sum(obey) > len(obey)

    @property
    def answering(self) -> int:
        """The number of nodes that answered."""
        return len(self._ballots)

    @property
    def size(self) -> int:
        """The number of nodes that were queried."""
        return len(self._peers.nodes)

    def problems(self, options: FailoverOptions) -> list[str]:
        """Return the reasons against this node as the master that ``options`` do not override."""
        if self.has_store:
            return []
        found = []
        replica_set = newest(ballot.state.replica_set for ballot in self._ballots.values())
        if options.voting:
            found += self._check_votes(replica_set)
        if not options.accept_loss:
            found += self._check_commits(replica_set)
        return found

    def _check_votes(self, replica_set: ReplicaSet) -> list[str]:
        voters = self._effective_voters(replica_set)
        if voters.has_majority(self._ballots):
            return []
        count = len(frozenset().union(*voters.groups()))
        silent = "; ".join(map(str, self._unanswered.values()))
        reason = (
            f"only {len(self._ballots)} of {count} nodes answer, and more than half must agree"
            f" ({silent}). If it is certain that no master daemon is running on any other node,"
            " use --no-voting"
        )
        return [reason]

    def _effective_voters(self, replica_set: ReplicaSet) -> ReplicaSet:
        """Return the set with the voters; in a cluster without a replica set, all nodes vote."""
        return replica_set if replica_set.voters else ReplicaSet(voters=tuple(self._peers.nodes))

    def _check_commits(self, replica_set: ReplicaSet) -> list[str]:
        mine = self._ballots[self._name]
        # A cluster without a replica set has one complete copy for certain, that of its master.
        in_sync = replica_set.in_sync or (self._master,)
        better = [
            f"the copy on {name} has {ballot.copy.position - mine.copy.position} more commits,"
            " which do not follow the local copy"
            for name, ballot in self._ballots.items()
            if mine.copy is not None
            and ballot.copy is not None
            and name in in_sync
            and ballot.copy.position > mine.copy.position
            # The new master fetches commits that do follow, before it begins.
            and ballot.common != mine.copy
        ]
        if mine.copy is None:
            better = ["the local copy is damaged, or its files have different histories"]
        elif self._name not in in_sync:
            better = ["it was removed from the in-sync set"]
        if not better:
            return []
        others = ", ".join(name for name in in_sync if name != self._name)
        reason = (
            f"acknowledged changes may be missing from the copy of the state on {self._name}:"
            f" {'; '.join(better)}. Make {others or 'another node'} the master, or use"
            " --accept-loss to lose those changes"
        )
        return [reason]

    def stop_masters(self, say: Say) -> None:
        """Stop all master daemons on answering nodes.

        This includes the local one: a daemon that waits for votes must end before one can take
        over.

        :raises Failed: a daemon does not end.
        """
        masters = {self._master, *(ballot.state.master for ballot in self._ballots.values())}
        running = {name for name, ballot in self._ballots.items() if ballot.serves}
        # Also those that a node follows and that do not answer here: they may run all the same.
        for master in sorted((masters - {self._name, ""}) | running):
            if master not in self._ballots:
                say(f"{master} does not answer; continuing without it")
            # The node daemon waits up to 20 seconds for the end of the master daemon before it
            # kills it.
            elif self._peers.ask(master, StopMaster(), self._get_term(master), timeout=60.0):
                say(f"the master daemon on {master} was stopped")
                self._stopped.append(master)

    def has_stopped_rivals(self, say: Say) -> bool:
        """Stop the master daemons that have been started meanwhile; return whether there were any.

        :raises Refused: the local node daemon does not answer.
        :raises Failed: a daemon does not end.
        """
        before = len(self._stopped)
        self.look()
        self.stop_masters(say)
        return len(self._stopped) > before

    def resume_masters(self, say: Say) -> None:
        """Restart the master daemons that were stopped, the last one first: it is the newest."""
        for node in dict.fromkeys(reversed(self._stopped)):
            self._resume(node, say)

    def _resume(self, node: str, say: Say) -> None:
        try:
            if self._peers.ask(node, ResumeMaster(), self._get_term(node), timeout=60.0):
                say(f"the master daemon on {node} was restarted")
        except GanetiError as e:
            say(f"the master daemon on {node} could not be restarted: {e}")

    def _get_term(self, name: str) -> int:
        return self._ballots[name].state.term
