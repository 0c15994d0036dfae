# SPDX-License-Identifier: BSD-2-Clause
"""Votes, leases and replica sets, which ensure that there is at most one master at a time.

A master has a *term*, granted by a majority of the voting nodes, and a *lease*, renewed with a
majority every second. Every voting node stores the newest *replica set* that it received: the
copies of the journal that have every acknowledged commit, and the voting nodes. A set takes effect
when a majority has it on disk, so the winner of a vote knows the newest set in effect.

The rules resemble those of PacificA and of joint consensus in Raft, with all nodes as the
configuration service for the copies of the master candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

from msgspec import Meta

from ganeti.rpc.call import Call
from ganeti.rpc.callers import CANDIDATES, MEMBERS, Forbidden, RpcCaller
from ganeti.rpc.replicas import ReplicaEnd
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line

LEASE_TIME = 4.0
"""Seconds for which a master may acknowledge commits after a majority has answered a renewal."""

VOTER_LEASE_TIME = 5.0
"""Seconds for which a node grants no term to another master after a renewal.

This is longer than ``LEASE_TIME``, so that no new master can start while the old one still
acknowledges commits, provided that clock rates differ by less than a fifth. The node counts from
the receipt of the renewal, the master from its sending.
"""

RENEWAL_INTERVAL = 1.0
"""Seconds between two renewals."""

MAX_TERM = 2**53 - 1
"""The largest integer that JSON implementations represent exactly, see RFC 8259 section 6."""

MAX_TERM_STEP = 1_000_000
"""The maximum increase of a node's term by one vote, so that terms cannot be exhausted."""

Seconds = Annotated[float, Meta(ge=0, le=3600)]

Term = Annotated[int, Meta(ge=0, le=MAX_TERM)]


class ReplicaSet(Record):
    """The nodes whose copies have every acknowledged commit, and the voting nodes, by name.

    It is set by the master of ``term``; ``generation`` orders the sets of one term. ``in_sync``
    includes the master. While ``old_voters`` is not empty, a majority of both groups of voters is
    required (joint consensus).
    """

    term: Term = 0
    generation: Term = 0
    in_sync: tuple[Line, ...] = ()
    voters: tuple[Line, ...] = ()
    old_voters: tuple[Line, ...] = ()

    @property
    def order(self) -> tuple[int, int]:
        """The sort key; that of a newer set is greater."""
        return self.term, self.generation

    def groups(self) -> tuple[frozenset[str], ...]:
        """Return the groups of voters, of each of which a majority is required."""
        return tuple(frozenset(group) for group in (self.voters, self.old_voters) if group)

    def has_majority(self, names: Collection[str], *, without: Collection[str] = ()) -> bool:
        """Return whether ``names`` include a majority of every group of voters.

        Nodes in ``without`` do not count as voters: an administrator has declared that they are
        down.
        """
        return all(
            2 * len(group & set(names)) > len(group)
            for group in (each - set(without) for each in self.groups())
            if group
        )


def newest(sets: Iterable[ReplicaSet]) -> ReplicaSet:
    """Return the newest of several replica sets, or an empty one."""
    return max(sets, key=lambda each: each.order, default=ReplicaSet())


class VoterState(Record):
    """The persistent state of a voting node: the newest term that it has granted, and its master.

    ``replica_set`` is the newest that it received; ``acknowledged`` is the newest commit that a
    master has reported as acknowledged.
    """

    term: Term = 0
    master: Line = ""
    replica_set: ReplicaSet = ReplicaSet()
    acknowledged: ReplicaEnd = ReplicaEnd(position=0, digest="")


class Ballot(Record):
    """A node's answer to a candidate for the master role.

    ``lease`` are the remaining seconds in which the node grants no term to another master. ``copy``
    is the end of the node's copy of the journal, ``common`` its mark at the requested position;
    both are None without a usable copy. ``serves`` is the process id of a master daemon on the
    node, or 0.
    """

    granted: bool
    state: VoterState
    lease: Seconds = 0.0
    copy: ReplicaEnd | None = None
    common: ReplicaEnd | None = None
    serves: Count = 0


class DescribeVote(Call[Ballot]):
    """Return the vote that the node has granted; ``at`` requests a mark of its copy."""

    wire = "vote_info"
    call_timeout = 5
    callers = MEMBERS

    at: Term | None = None


class RequestVote(Call[Ballot]):
    """Request the node's vote for ``master`` in ``term``.

    The vote is granted if the term is newer than the node's own, no lease of another master is
    valid, and the master that the node has accepted is the same or listed in ``instead``.
    ``elected`` states that a majority has already granted the term, which overrides the last two
    conditions. A node whose copy is not in sync gets no vote, unless an administrator has set
    ``accept_loss``; this is decided by the newest ``replica_set`` that the candidate or the voter
    has received, as either may have missed one.
    """

    wire = "vote_request"
    call_timeout = 5
    callers = CANDIDATES

    term: Term
    master: Line
    instead: tuple[Line, ...] = ()
    elected: bool = False
    accept_loss: bool = False
    replica_set: ReplicaSet = ReplicaSet()

    def require(self, caller: RpcCaller) -> None:
        """Check that a candidate requests votes for itself only."""
        if caller.name != self.master:
            raise Forbidden(f"node {caller.name} cannot request votes for node {self.master}")


class RenewLease(Call[Term]):
    """Renew the lease of the node's master; return the generation of the node's replica set.

    ``replica_set`` is sent to nodes that do not have it, and is on disk when this returns.
    """

    wire = "lease_renew"
    call_timeout = 3

    acknowledged: ReplicaEnd
    replica_set: ReplicaSet | None = None


class ReleaseLease(Call[None]):
    """Release the lease of a master that has stopped, so that a new one need not wait."""

    wire = "lease_release"
    call_timeout = 2
