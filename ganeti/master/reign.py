# SPDX-License-Identifier: BSD-2-Clause
"""Being the one master: a term that begins with the votes of more than half of the nodes.

Nodes that have voted for a term refuse what a master of an older one asks, so a master that was
replaced without its knowledge cannot act any more. It is over as soon as it hears of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import ClaimTerm, Vote

PAUSE = 1.0
"""Seconds between two attempts to gather votes."""


@dataclass(frozen=True)
class Election:
    """What nodes said when a term was claimed, or when they were asked whom they obey.

    ``members`` is how many were asked, ``granted`` how many have voted for us, ``ours`` how many
    obey us or nobody. ``rivals`` are other masters, with their term, by the node that obeys them.
    """

    members: int
    granted: int
    ours: int
    newest: int
    rivals: frozenset[tuple[str, str, int]]
    silent: frozenset[str]

    def most(self, count: int) -> bool:
        """Whether ``count`` are more than half of the nodes."""
        return count * 2 > self.members


class Reign:
    """This master's term: whether it has begun, and whether it is over."""

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        members: Callable[[], Sequence[Node]],
        clock: IReactorTime,
        over: Callable[[NotMaster], None],
    ) -> None:
        """``name`` is that of the master node; ``members`` are the nodes that may vote.

        ``over`` is called, once, when a newer master is heard of after the term has begun.
        """
        self._nodes = nodes
        self._name = name
        self._members = members
        self._clock = clock
        self._tell = over
        self._term = 0
        self._begun = False
        self._over = False
        self._turn = 0
        self._waiting: list[Deferred[None]] = []

    def term(self) -> int:
        """The term that this master asks nodes by."""
        return self._term

    @property
    def begun(self) -> bool:
        """Whether more than half of the nodes have voted for the term."""
        return self._begun

    @property
    def over(self) -> bool:
        """Whether a newer master was heard of."""
        return self._over

    async def begin(self, known: int, *, votes_needed: bool = True) -> None:
        """Claim a term newer than ``known`` until more than half of the nodes have granted it.

        Without ``votes_needed`` one attempt is made, whatever comes of it.

        :raises NotMaster: nodes have voted for another master.
        """
        self._term = known
        told = frozenset[str]()
        while True:
            # First a question, which promises nothing: one who cannot win, because it is cut off
            # from the others, must not drive the number on by which the true master works.
            asked = await self._ask(ClaimTerm(term=0, master=self._name))
            if not votes_needed or asked.most(asked.ours):
                term = max(known, asked.newest) + 1
                instead = () if votes_needed else None
                claim = ClaimTerm(term=term, master=self._name, instead=instead)
                asked = await self._ask(claim)
                if not votes_needed or asked.most(asked.granted):
                    break
            elif rivals := [rival for rival in sorted(asked.rivals) if rival[2] >= known]:
                raise _replaced(*rivals[0])
            if asked.silent != told:
                told = asked.silent
                self._log.warn(
                    "{ours} of {all} nodes vote for this master; no answer yet from {silent}",
                    ours=asked.ours,
                    all=asked.members,
                    silent=", ".join(sorted(told)) or "none",
                )
            await deferLater(self._clock, PAUSE)
        self._term, self._begun = term, True
        self._log.info("term {term} has begun", term=term)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def _ask(self, claim: ClaimTerm) -> Election:
        members = [node for node in self._members() if not node.offline]
        votes = await self._nodes.ask_all(members, claim)
        said = {node.name: votes[node.uuid] for node in members}
        answers = {name: vote for name, vote in said.items() if isinstance(vote, Vote)}
        ours = [vote for vote in answers.values() if vote.master in ("", self._name)]
        return Election(
            members=len(members),
            granted=sum(vote.granted for vote in answers.values()),
            ours=len(ours),
            newest=max((vote.term for vote in answers.values()), default=0),
            rivals=frozenset(
                (name, vote.master, vote.term)
                for name, vote in answers.items()
                if vote.master not in ("", self._name)
            ),
            silent=frozenset(name for name, vote in said.items() if isinstance(vote, Failed)),
        )

    async def wait(self) -> None:
        """Return when the term has begun; at once if it has."""
        if not self._begun:
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await waiting

    async def look_around(self) -> None:
        """Ask the next node, each in its turn, whom it obeys: nothing else may ask it for long."""
        members = [node for node in self._members() if not node.offline]
        node = members[self._turn % len(members)]
        self._turn += 1
        claim = ClaimTerm(term=0, master=self._name)
        vote = (await self._nodes.ask_all([node], claim))[node.uuid]
        if isinstance(vote, Vote) and vote.term > self._term:
            self.heard(_replaced(node.name, vote.master, vote.term))

    def heard(self, error: NotMaster) -> None:
        """Some node obeys a newer master."""
        # Before the term has begun, it is for the election to say what that means.
        if self._begun and not self._over:
            self._over = True
            self._tell(error)

    def heard_here(self, term: int, master: str) -> None:
        """This host's own node daemon obeys ``master`` since ``term``."""
        if term > self._term:
            self.heard(_replaced(self._name, master, term))


def _replaced(node: str, master: str, term: int) -> NotMaster:
    return NotMaster(
        f"{master} is the master by now: node {node} obeys it since term {term}. Use the tools"
        f" there; if {master} is not to be the master: gnt-cluster master-failover on the node"
        " that is"
    )
