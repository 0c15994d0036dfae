# SPDX-License-Identifier: BSD-2-Clause
"""Start of a master: election, adoption of commits, replica set, first commit.

The steps are the same for a restarted daemon and for one that takes over the role.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from twisted.logger import Logger

from ganeti.errors import Failed, GanetiError, NotMaster, Refused
from ganeti.journal.file_journal import FileJournal
from ganeti.master.adoption import adopt
from ganeti.master.current_store import CurrentTerm
from ganeti.master.follower import to_wire
from ganeti.master.master import Dependencies, Master
from ganeti.master.mastership import Election, MasterTerm
from ganeti.rpc.quorum import ReplicaSet, VoterState
from ganeti.rpc.replicas import ReplicaEnd

NOTHING = ReplicaEnd(position=0, digest="")

TAKE_OVER_TIMEOUT = 30.0
"""Seconds within which a take-over must be elected: a lease and several attempts."""


@dataclass(frozen=True)
class StartupMandate:
    """What an administrator has permitted the starting master to do.

    ``take_over`` replaces another master. Without ``voting``, nodes that do not answer are
    confirmed to be down; with ``accept_loss``, commits that this copy lacks may be lost.
    """

    take_over: bool = False
    voting: bool = True
    accept_loss: bool = False


class Startup:
    """The start of a master, from its journal to its first commit.

    ``master`` exists from the beginning, so that queries are answered meanwhile. If the journal
    grows before the term begins, it is built again and passed to ``replaced``.
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
        on_elected: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``voter`` reads the vote of the local node daemon; ``process`` is the own process id.

        ``on_elected`` is awaited before this master acts, and may raise ``NotMaster``.

        :raises Failed: a file of the checkpoint is missing or damaged.
        :raises JournalDamaged: the journal does not verify.
        """
        self._dependencies = around
        self._journal = journal
        self._voter = voter
        self._replaced = replaced
        self._on_elected = on_elected
        self._reported = NOTHING
        self._votes = MasterTerm(
            around.nodes,
            around.name,
            lambda: list(self.master.config.state().nodes.values()),
            around.clock,
            lost=lost,
            acknowledged=self._reported_end,
            own_term=self._read_own_term,
            process=process,
            random=random,
        )
        self.quorum = CurrentTerm(self._votes, around.clock)
        self.master = Master(around, journal, self.quorum)
        self._first: int | None = None

    def _reported_end(self) -> ReplicaEnd:
        """Return the commit to report as acknowledged; before the first commit, the last known
        one."""
        mark = self._journal.acknowledged()
        if self._first is not None and mark.position >= self._first:
            self._reported = to_wire(mark)
        return self._reported

    def _read_own_term(self) -> int:
        try:
            state = self._voter()
        except (OSError, Failed):
            return 0  # the local vote does not count while its file cannot be read
        return state.term if state.master == self._dependencies.name else 0

    def check_mandate(self, mandate: StartupMandate) -> None:
        """Refuse to run on a node that is not the master, except to take over.

        The vote of the node daemon takes precedence over the configuration, which may be older.

        :raises NotMaster: the message names the master.
        """
        state, name = self.master.config.state(), self._dependencies.name
        master = self._voter().master or state.master.name
        if master != name and not mandate.take_over:
            raise NotMaster(
                f"{master} is the master, and this node is {name}; to make this node the master:"
                " gnt-cluster master-failover",
            )
        if not state.node(name).master_candidate:
            raise Refused(f"node {name} is not a master candidate and has no copy of the state")

    async def start_master(self, mandate: StartupMandate) -> None:
        """Get elected, adopt missing commits, and run jobs once the first commit is acknowledged.

        :raises NotMaster: another node is the master.
        :raises Refused: another copy must be used; the message names its node.
        """
        known = self._voter().term
        election = await self._votes.elect(
            known,
            take_over=mandate.take_over,
            voting=mandate.voting,
            accept_loss=mandate.accept_loss,
        )
        try:
            if self._on_elected is not None:
                await self._on_elected()
            in_sync = await self._adopt_commits(election, mandate)
        except GanetiError:
            self.quorum.stop()
            await self.quorum.release_lease()
            raise
        self._reported = max(
            (ballot.state.acknowledged for ballot in election.ballots.values()),
            key=lambda mark: mark.position,
        )
        # Commits that are given up must not be reported as acknowledged.
        if mandate.accept_loss:
            self._reported = NOTHING
        self._first = self._journal.last_commit() + 1
        await self._votes.begin_term(in_sync)
        await self.master.start()
        self.quorum.serve()

    async def _adopt_commits(self, election: Election, mandate: StartupMandate) -> frozenset[str]:
        """Complete the journal from other copies; return the nodes whose copies are trusted.

        These are the nodes that voted, and in-sync nodes that compete for the role: the election by
        a majority makes them follow this master.
        """
        name, state = self._dependencies.name, self.master.config.state()
        found = election.replica_set
        if not found.in_sync and state.master.name == name:
            # A cluster that never had a replica set: only the master's copy counts.
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
            self._dependencies.nodes,
            others,
            found,
            acknowledged,
            name,
            self._dependencies.clock,
            accept_loss=mandate.accept_loss,
        )
        if grown:
            self.master.discard()
            self.master = Master(self._dependencies, self._journal, self.quorum)
            self._replaced(self.master)
        # A node that has not voted would delay every commit until it is removed from the set.
        whole = frozenset(found.in_sync) if name in found.in_sync else frozenset[str]()
        return whole & election.ballots.keys() | {name}
