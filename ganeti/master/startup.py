# SPDX-License-Identifier: BSD-2-Clause
"""How a master begins: votes, what other copies have more, a replica set, a first commit.

The same steps for a daemon that is started again and for one that takes the role over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from twisted.logger import Logger

from ganeti.errors import Failed, GanetiError, NotMaster, Refused
from ganeti.journal.file import FileJournal
from ganeti.master.adoption import adopt
from ganeti.master.follower import to_wire
from ganeti.master.master import Dependencies, Master
from ganeti.master.mastership import Election, Quorum
from ganeti.rpc.quorum import ReplicaSet, VoterState
from ganeti.rpc.replicas import ReplicaEnd

NOTHING = ReplicaEnd(position=0, digest="")

TAKE_OVER_TIMEOUT = 30.0
"""Seconds in which a master that takes over must have been elected: a lease, and a few attempts."""


@dataclass(frozen=True)
class StartupMandate:
    """What a master may do to begin.

    With ``take_over`` it comes instead of another one. Without ``voting`` a person answers for the
    nodes that do not; with ``accept_loss`` a person gives up what is missing from this copy.
    """

    take_over: bool = False
    voting: bool = True
    accept_loss: bool = False


class Startup:
    """A master from its journal to its first commit.

    ``master`` is made at once, so that questions can be answered meanwhile. It is made again, and
    ``replaced`` called with it, if the journal has grown before the term begins.
    """

    _log = Logger()

    def __init__(
        self,
        around: Dependencies,
        journal: FileJournal,
        voter: Callable[[], VoterState],
        random: Random,
        *,
        process: int,
        lost: Callable[[NotMaster], None],
        replaced: Callable[[Master], None] = lambda _: None,
    ) -> None:
        """``voter`` reads what this host's own node daemon has granted; ``process`` is this one's.

        :raises Failed: a file of the checkpoint is missing or damaged.
        :raises Damaged: the journal does not verify.
        """
        self._around = around
        self._journal = journal
        self._voter = voter
        self._replaced = replaced
        self._reported = NOTHING
        self.quorum = Quorum(
            around.nodes,
            around.name,
            lambda: list(self.master.config.state().nodes.values()),
            around.clock,
            lost=lost,
            acknowledged=self._acknowledged,
            own_term=self._own_term,
            process=process,
            random=random,
        )
        self.master = Master(around, journal, self.quorum)
        self._first: int | None = None

    def _acknowledged(self) -> ReplicaEnd:
        """What nodes are told: what is in this journal counts only after the first commit."""
        mark = self._journal.acknowledged()
        if self._first is not None and mark.position >= self._first:
            self._reported = to_wire(mark)
        return self._reported

    def _own_term(self) -> int:
        try:
            state = self._voter()
        except (OSError, Failed):
            return 0  # this host's own vote does not count while its file cannot be read
        return state.term if state.master == self._around.name else 0

    def require_mandate(self, mandate: StartupMandate) -> None:
        """Refuse to run on a node that is not the master's, unless it is to take over.

        What the node daemon has granted counts more than the configuration, which may be older.

        :raises NotMaster: says which node is the master.
        """
        state, name = self.master.config.state(), self._around.name
        master = self._voter().master or state.master.name
        if master != name and not mandate.take_over:
            raise NotMaster(
                f"{master} is the master, and this is {name}; to make this node the master:"
                " gnt-cluster master-failover"
            )
        if not state.node(name).master_candidate:
            raise Refused(f"node {name} is no master candidate, so it has no copy to go on from")

    async def begin(self, mandate: StartupMandate) -> None:
        """Be elected, adopt what is missing here, and run jobs when the first commit is kept.

        :raises NotMaster: another node is the master.
        :raises Refused: this copy is not the one to go on from; says which is.
        """
        known = self._voter().term
        election = await self.quorum.elect(
            known,
            take_over=mandate.take_over,
            voting=mandate.voting,
            accept_loss=mandate.accept_loss,
        )
        try:
            in_sync = await self._adopt(election, mandate)
        except GanetiError:
            self.quorum.stop()
            await self.quorum.release()
            raise
        self._reported = max(
            (ballot.state.acknowledged for ballot in election.ballots.values()),
            key=lambda mark: mark.position,
        )
        if mandate.accept_loss:
            self._reported = NOTHING
        self._first = self._journal.end() + 1
        await self.quorum.begin(in_sync)
        await self.master.start()
        self.quorum.serve()

    async def _adopt(self, election: Election, mandate: StartupMandate) -> frozenset[str]:
        """Complete the journal from the copies that are there; answers which are trusted.

        They are those of the nodes that voted, and those in sync of nodes that want the role as
        well: that a majority has elected this one makes them follow it.
        """
        name, state = self._around.name, self.master.config.state()
        found = election.replica_set
        if not found.in_sync and state.master.name == name:
            # A cluster that never had a replica set: only its master's copy counts.
            found = ReplicaSet(in_sync=(name,), voters=found.voters)
        there = election.ballots.keys() | (election.refused & frozenset(found.in_sync))
        others = [
            node
            for node in state.nodes.values()
            if node.name != name and node.name in there and node.master_candidate
        ]
        acknowledged = {
            voter: ballot.state.acknowledged for voter, ballot in election.ballots.items()
        }
        grown = await adopt(
            self._journal,
            self._around.nodes,
            others,
            found,
            acknowledged,
            name,
            self._around.clock,
            accept_loss=mandate.accept_loss,
        )
        if grown:
            self.master.discard()
            self.master = Master(self._around, self._journal, self.quorum)
            self._replaced(self.master)
        # One that has not voted would keep every commit waiting until it is put out of the set.
        whole = frozenset(found.in_sync) if name in found.in_sync else frozenset[str]()
        return whole & election.ballots.keys() | {name}
