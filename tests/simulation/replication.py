# SPDX-License-Identifier: BSD-2-Clause
"""What must hold of replica sets and copies at every step, so that no later master lacks anything.

A promise may be broken here and the loss be seen only when the wrong two hosts are lost next. So
this looks at what nodes have on disk and at what they answer, not at what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from ganeti.errors import GanetiError
from ganeti.rpc.node import LeaveCluster
from ganeti.rpc.quorum import ReplicaSet, VoterState, newest
from ganeti.rpc.replicas import AppendFrames, ReplicaEnd, ResetReplica
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.simulated_host import SimulatedHost

_CHANGES_A_COPY = frozenset((AppendFrames.wire, ResetReplica.wire))


class Replication:
    """Watches the replica set in effect, the votes on disk, and how far copies say they reach.

    ``promised`` is the newest acknowledged commit; ``distrusted`` are the hosts that have come back
    with an old disk and have not caught up, of which a cluster can bear a few.
    """

    def __init__(
        self,
        cluster: SimulatedCluster,
        violated: Callable[[str], None],
        promised: Callable[[], int],
    ) -> None:
        self.distrusted: Callable[[], Collection[SimulatedHost]] = tuple
        self.in_effect = ReplicaSet()
        self._of_older_term = ReplicaSet()
        self._cluster = cluster
        self._violated = violated
        self._promised = promised
        self._votes: dict[SimulatedHost, tuple[bytearray | None, VoterState]] = {}
        self._votes_changed = False
        self._proposals: set[ReplicaSet] = set()
        self._reaches: dict[str, int] = {}

    def look(self) -> None:
        """See which replica set is in effect, and what the nodes know of it."""
        before = self.in_effect
        candidates: set[str] = set()
        for process in self._cluster.processes:
            if not process.dead and hasattr(process, "master"):
                quorum = process.master.quorum
                # Until its term has begun, it only believes what it was told.
                if quorum.begun and quorum.in_effect.term == quorum.term():
                    self.in_effect = newest((self.in_effect, quorum.in_effect))
                    nodes = process.master.config.state().nodes.values()
                    candidates = {node.name for node in nodes if node.master_candidate}
        if self.in_effect.term != before.term:
            self._of_older_term = before
        for host in self._cluster.hosts:
            self._read_vote(host)
        if self._votes_changed or self.in_effect != before:
            self._votes_changed = False
            self._require_known()
        if self.in_effect != before and self.in_effect.term == before.term:
            # One that was demoted meanwhile is on its way out again.
            for name in sorted((set(self.in_effect.in_sync) - set(before.in_sync)) & candidates):
                self._require_whole(name)

    def before(self, term: int) -> ReplicaSet:
        """Return the newest replica set that was in effect in an older term."""
        return self.in_effect if self.in_effect.term < term else self._of_older_term

    def may_vote(self, name: str, term: int) -> bool:
        """Whether a node has a vote, by the set in effect before ``term`` or by a newer proposal.

        A proposal that has reached some nodes only may come into effect in the next term.
        """
        known = self.before(term)
        newer = [each for each in self._proposals if known.order < each.order and each.term < term]
        return not known.voters or any(name in each.voters for each in (known, *newer))

    # --- votes

    def vote(self, name: str) -> VoterState:
        """Return what the disk of a node says of its vote, whatever its daemon believes."""
        host = self._host(name)
        self._read_vote(host)
        return self._votes[host][1]

    def _read_vote(self, host: SimulatedHost) -> None:
        content = _content(host)
        if host in self._votes and self._votes[host][0] is content:
            return
        _, before = self._votes.get(host, (None, VoterState()))
        state = _state(content)
        self._votes[host], self._votes_changed = (content, state), True
        self._proposals.add(state.replica_set)
        if content is None or host in self.distrusted():
            return  # one that has left the cluster has no vote any more
        if state.term < before.term or state.replica_set.order < before.replica_set.order:
            self._violated(f"the vote of {host.name} was {before}, and has gone back to {state}")

    def _require_known(self) -> None:
        """See that all who could elect a master include one that knows the set in effect."""
        voters = {name for group in self.in_effect.groups() for name in group}
        unaware = {
            host.name: state.replica_set
            for host, (_, state) in self._votes.items()
            # One that has left, or is being added, does not know the other members.
            if (host.name in voters or state.replica_set.order > ReplicaSet().order)
            and state.replica_set.order < self.in_effect.order
            and host not in self.distrusted()
        }
        known = newest(unaware.values())
        if known.voters and known.has_majority(unaware):
            self._violated(
                f"{', '.join(sorted(unaware))} could elect a master, and do not know the replica"
                f" set {self.in_effect.order} that is in effect"
            )

    # --- copies

    def answered(self, name: str, call: str, answer: bytes) -> None:
        """Note how far a node says that its copy reaches, durably, or that it has left."""
        if call == LeaveCluster.wire and any(name in group for group in self.in_effect.groups()):
            self._violated(f"{name} has left, and the others cannot do without its vote yet")
        if call in _CHANGES_A_COPY:
            _, end = msgspec.json.decode(answer, type=tuple[bool, ReplicaEnd])
            self._reaches[name] = end.position
            promised, distrusted = self._promised(), {host.name for host in self.distrusted()}
            counts = name in self.in_effect.in_sync and name not in distrusted
            if counts and end.position < promised:
                self._violated(
                    f"{name} counts as in sync, and has cut off commits after {end.position},"
                    f" although {promised} was acknowledged"
                )

    def acknowledged(self, process: MasterProcess, position: int) -> None:
        """See that what a master acknowledges is with all copies that count as in sync.

        And that it has the lease: as many nodes as it takes to elect another master are bound.
        """
        distrusted = {host.name for host in self.distrusted()}
        names = self._cluster.switch.voters.keys() - distrusted
        free = sorted(name for name in names if not self._bound(name, process))
        if self.in_effect.voters and self.in_effect.has_majority(free):
            self._violated(
                f"{process.host.name} acknowledges commit {position}, although {', '.join(free)}"
                " are free to elect another master"
            )
        for name in process.master.quorum.in_effect.in_sync:
            if name != process.host.name and self._reaches.get(name, -1) < position:
                self._violated(
                    f"{process.host.name} acknowledges commit {position}, which {name} lacks,"
                    " although its copy is in sync"
                )

    def _bound(self, name: str, process: MasterProcess) -> bool:
        """Whether a node grants no other master a term now; one that does not run cannot."""
        voter, clock = self._cluster.switch.voters[name], self._cluster.switch.daemons[name]
        if clock.dead or clock.paused:
            return True
        # That of the master's own host grants nothing to others while the master daemon runs.
        return voter.state.term == process.term and (voter.bound or name == process.host.name)

    def _require_whole(self, name: str) -> None:
        host, promised = self._host(name), self._promised()
        if host in self.distrusted() or host.disk.crashed:
            return
        try:
            end = self._cluster.copy_of(host).end
        except GanetiError as e:
            self._violated(f"{name} counts as in sync, and its copy cannot be read: {e}")
            return
        if end < promised:
            self._violated(
                f"{name} counts as in sync with commits up to {end}, although {promised} was"
                " acknowledged"
            )

    def _host(self, name: str) -> SimulatedHost:
        return next(host for host in self._cluster.hosts if host.name == name)


def _content(host: SimulatedHost) -> bytearray | None:
    """Return what is in the file of a host's vote: another object after each change of it."""
    try:
        return host.disk.file(host.paths.term_file).content
    except OSError:
        return None


def _state(content: bytearray | None) -> VoterState:
    return VoterState() if content is None else msgspec.json.decode(content, type=VoterState)
