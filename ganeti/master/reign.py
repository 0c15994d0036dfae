# SPDX-License-Identifier: BSD-2-Clause
"""Becoming the one master: a new term, with the votes of more than half of the nodes.

Nodes that have voted for a term refuse what a master of an older one asks, so a master that was
replaced without its knowledge cannot act any more.
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
    """How the nodes voted: how many for us, for which newer term or other master, or not at all."""

    granted: int
    newest: int
    rivals: frozenset[str]
    silent: frozenset[str]


class Reign:
    """This master's term, and whether it has begun."""

    _log = Logger()

    def __init__(
        self, nodes: Nodes, name: str, members: Callable[[], Sequence[Node]], clock: IReactorTime
    ) -> None:
        """``name`` is that of the master node; ``members`` are the nodes that may vote."""
        self._nodes = nodes
        self._name = name
        self._members = members
        self._clock = clock
        self._term = 1
        self._begun = False
        self._waiting: list[Deferred[None]] = []

    def term(self) -> int:
        """The term that this master asks nodes by."""
        return self._term

    @property
    def begun(self) -> bool:
        """Whether more than half of the nodes have voted for the term."""
        return self._begun

    async def begin(self, known: int, *, votes_needed: bool = True) -> None:
        """Claim a term newer than ``known`` until more than half of the nodes have granted it.

        Without ``votes_needed`` one attempt is made, whatever comes of it.

        :raises NotMaster: nodes have voted for another master.
        """
        self._term = known + 1
        told = frozenset[str]()
        while True:
            members = [node for node in self._members() if not node.offline]
            election = await self._elect(members)
            if election.rivals:
                raise NotMaster(
                    f"{', '.join(sorted(election.rivals))} is the master by now; this node is not"
                )
            if election.granted * 2 > len(members) or not votes_needed:
                break
            if election.silent != told:
                told = election.silent
                self._log.warn(
                    "{granted} of {all} nodes have voted; no answer yet from {silent}",
                    granted=election.granted,
                    all=len(members),
                    silent=", ".join(sorted(told)),
                )
            self._term = max(self._term, election.newest) + 1
            await deferLater(self._clock, PAUSE)
        self._log.info("term {term} has begun", term=self._term)
        self._begun = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def _elect(self, members: Sequence[Node]) -> Election:
        claim = ClaimTerm(term=self._term, master=self._name)
        votes = await self._nodes.ask_all(members, claim)
        said = {node.name: votes[node.uuid] for node in members}
        answers = [vote for vote in said.values() if isinstance(vote, Vote)]
        return Election(
            granted=sum(vote.granted for vote in answers),
            newest=max((vote.term for vote in answers), default=0),
            rivals=frozenset(
                vote.master
                for vote in answers
                if not vote.granted and vote.master not in ("", self._name)
            ),
            silent=frozenset(name for name, vote in said.items() if isinstance(vote, Failed)),
        )

    async def wait(self) -> None:
        """Return when the term has begun; at once if it has."""
        if not self._begun:
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await waiting
