# SPDX-License-Identifier: BSD-2-Clause
"""Votes, leases and the replica set: what nodes keep so that there is one master at a time.

A master holds a *term*, granted by a majority of the voting nodes, and a *lease*, renewed with a
majority every second. Every voting node keeps the newest *replica set* that it was sent: which
copies of the journal hold every acknowledged commit, and which nodes vote. A set takes effect when
a majority has it on disk, so whoever wins a vote knows the newest set in effect.

The rules resemble those of PacificA and Raft's joint consensus, with all nodes as the configuration
service of the master candidates' copies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

from msgspec import Meta

from ganeti.rpc.call import Call
from ganeti.rpc.callers import ELECTORATE, MEMBERS, Caller, Forbidden
from ganeti.rpc.replicas import ReplicaEnd
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line

LEASE = 4.0
"""Seconds for which a master may acknowledge after a majority has heard from it."""

PROMISE = 5.0
"""Seconds for which a node that has heard from its master grants no other one a term.

Longer than ``LEASE``, so that clocks whose rates differ by less than a fifth cannot let a new
master begin while the old one still acknowledges. The node counts from when it received the
renewal, the master from when it sent it.
"""

RENEW = 1.0
"""Seconds between two renewals."""

MAX_TERM = 2**53 - 1
"""JSON numbers are exact in every client up to here."""

MAX_TERM_STEP = 1_000_000
"""How far a node lets one vote move its term: nobody can use up the numbers."""

Seconds = Annotated[float, Meta(ge=0, le=3600)]

Term = Annotated[int, Meta(ge=0, le=MAX_TERM)]


class ReplicaSet(Record):
    """Which copies hold every acknowledged commit, and who votes, as the master of ``term`` says.

    Nodes are named. ``generation`` orders the sets of one term. ``in_sync`` includes the master.
    While ``old_voters`` is not empty, a majority of both groups is needed (joint consensus).
    """

    term: Term = 0
    generation: Term = 0
    in_sync: tuple[Line, ...] = ()
    voters: tuple[Line, ...] = ()
    old_voters: tuple[Line, ...] = ()

    @property
    def order(self) -> tuple[int, int]:
        """Newer sets compare greater."""
        return self.term, self.generation

    def groups(self) -> tuple[frozenset[str], ...]:
        """The groups of voters of which a majority each is needed."""
        return tuple(frozenset(group) for group in (self.voters, self.old_voters) if group)

    def has_majority(self, names: Collection[str], *, without: Collection[str] = ()) -> bool:
        """Return whether ``names`` include a majority of every group of voters.

        Nodes in ``without`` do not count as voters: a person has said that they are down.
        """
        return all(
            2 * len(group & set(names)) > len(group)
            for group in (each - set(without) for each in self.groups())
            if group
        )


def newest(sets: Iterable[ReplicaSet]) -> ReplicaSet:
    """Return the newest of several replica sets; an empty one if there is none."""
    return max(sets, key=lambda each: each.order, default=ReplicaSet())


class VoterState(Record):
    """What a voting node keeps: the newest term it has granted, to whom, and what it was sent.

    ``acknowledged`` is the newest commit that a master has reported as acknowledged.
    """

    term: Term = 0
    master: Line = ""
    replica_set: ReplicaSet = ReplicaSet()
    acknowledged: ReplicaEnd = ReplicaEnd(position=0, digest="")


class Ballot(Record):
    """A node's answer to a candidate for the master role.

    ``lease`` is for how many more seconds the node grants no other master a term. ``copy`` is the
    end of the node's own copy of the journal, ``common`` its mark at the position that was asked
    for; None without a usable copy. ``serves`` is the process of the master daemon there, 0 if none
    runs.
    """

    granted: bool
    state: VoterState
    lease: Seconds = 0.0
    copy: ReplicaEnd | None = None
    common: ReplicaEnd | None = None
    serves: Count = 0


class DescribeVote(Call[Ballot]):
    """Return what the node has granted; nothing changes. ``at`` asks for a mark of its copy."""

    wire = "vote_info"
    call_timeout = 5
    callers = MEMBERS

    at: Term | None = None


class RequestVote(Call[Ballot]):
    """Ask the node to accept ``master`` for ``term``.

    Granted if the term is newer than the node's own, no lease of another master is in force, and
    the master that the node has accepted is this one or one of those ``instead`` of which it comes.
    With ``elected`` a majority has granted the term already, which overrides both. A node whose
    copy is not in sync gets no vote, unless a person has said to ``accept_loss``: what counts is
    the newest ``replica_set`` that it or the asked node has been sent, as either may have missed
    one.
    """

    wire = "vote_request"
    call_timeout = 5
    callers = ELECTORATE

    term: Term
    master: Line
    instead: tuple[Line, ...] = ()
    elected: bool = False
    accept_loss: bool = False
    replica_set: ReplicaSet = ReplicaSet()

    def require(self, caller: Caller) -> None:
        """Let a candidate ask for votes for itself only."""
        if caller.name != self.master:
            raise Forbidden(f"{caller.name} cannot ask for votes for {self.master}")


class RenewLease(Call[Term]):
    """Tell the node that its master is there; the answer is the generation of the set it has.

    ``replica_set`` is sent to nodes that lack it, and is on disk when this is answered.
    """

    wire = "lease_renew"
    call_timeout = 3

    acknowledged: ReplicaEnd
    replica_set: ReplicaSet | None = None


class ReleaseLease(Call[None]):
    """Tell the node that its master has ended: another one need not wait."""

    wire = "lease_release"
    call_timeout = 2
