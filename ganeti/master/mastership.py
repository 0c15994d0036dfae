# SPDX-License-Identifier: BSD-2-Clause
"""Mastership: a term won by votes, a lease renewed with a majority, and the replica set.

Nodes that have granted a newer term refuse calls of older terms. A master without the lease
acknowledges nothing, and a master that observes a newer one ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Code, GanetiError, NotMaster, Refused
from ganeti.master.lease_waiting import answer_while_held, wait_until_ready
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.node_client import CALLS_PER_TURN
from ganeti.rpc.quorum import (
    LEASE_TIME,
    RENEWAL_INTERVAL,
    Ballot,
    DescribeVote,
    ReleaseLease,
    RenewLease,
    ReplicaSet,
    RequestVote,
    newest,
)
from ganeti.rpc.replicas import ReplicaEnd

PAUSE = 1.0
"""Seconds between two election attempts; a random addition of up to 100 % avoids split votes."""

STRAGGLER_TIMEOUT = 0.5
"""Seconds to wait for more ballots when a majority has granted its vote."""

SLOW = 2.0
"""Seconds to wait for more ballots when a majority has answered but some refused.

Covers a connection and a write to a slow disk.
"""

TURN_INTERVAL = 0.005
"""Seconds between the renewals with ten nodes and those with the next ten; with 1,000 nodes, half
of a renewal interval."""

STOPPING = "the master daemon is stopping"

Observer = Callable[[], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Election:
    """The result of a won election: the newest replica set, and the ballots of nodes that voted.

    ``refused`` are the nodes that answered and voted for another master or for none.
    """

    term: int
    replica_set: ReplicaSet
    ballots: Mapping[str, Ballot]
    refused: frozenset[str]


class MasterTerm:
    """The term, the lease and the replica set of the master on the node ``name``."""

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        members: Callable[[], Sequence[Node]],
        clock: IReactorTime,
        *,
        lost: Callable[[NotMaster], None],
        acknowledged: Callable[[], ReplicaEnd],
        own_term: Callable[[], int],
        process: int,
        random: Random,
    ) -> None:
        """``members`` returns the nodes in the current configuration.

        ``lost`` is called once if a newer master is observed after the election. ``acknowledged``
        returns the newest acknowledged commit, which is sent to nodes; ``own_term`` the term that
        the node daemon of this host has granted to this master, 0 if none. ``process`` identifies
        this master daemon to that node daemon.
        """
        self._nodes = nodes
        self._name = name
        self._members = members
        self._clock = clock
        self._lost_to = lost
        self._acknowledged = acknowledged
        self._own_term = own_term
        self._process = process
        self._random = random
        self._term = 0
        self._elected = self._begun = self._serves = self._stopped = False
        self._lost: NotMaster | None = None
        self._in_effect = ReplicaSet()
        self._proposed: list[ReplicaSet] = []
        self._confirmed_down: set[str] = set()
        self._last_answers: dict[str, float] = {}
        self._lease_basis: tuple[object, ...] = ()
        self._known_lease_end = 0.0
        self._stored_generations: dict[str, int] = {}
        self._unanswered: dict[str, str] = {}
        self._online: dict[str, Node] = {}
        self._renewing: dict[str, Deferred[None]] = {}
        self._waiting: list[Deferred[None]] = []
        self._observers: list[Observer] = []
        self._ticking: Deferred[None] | None = None

    # --- state

    def term(self) -> int:
        """Return the term that calls to nodes carry."""
        return self._term

    @property
    def elected(self) -> bool:
        """Whether a majority has granted the term."""
        return self._elected

    @property
    def begun(self) -> bool:
        """Whether the term has begun, which allows commits."""
        return self._begun

    @property
    def lost(self) -> bool:
        """Whether a newer master was observed."""
        return self._lost is not None

    @property
    def in_effect(self) -> ReplicaSet:
        """The newest replica set that a majority has on disk."""
        return self._in_effect

    def required(self) -> frozenset[str]:
        """Return the names of the nodes that must have a commit before it is acknowledged.

        A successor may find a proposed set, so that its members are required from the start; the
        members of the set in effect are required until a smaller set has taken effect.
        """
        sets = (self._in_effect, *self._proposed)
        return frozenset(name for each in sets for name in each.in_sync)

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` when a replica set takes effect, the lease returns, or all is lost."""
        self._observers.append(observer)

    def holds_lease(self) -> bool:
        """Return whether this master holds the lease now."""
        if not self._begun or self._lost is not None:
            return False
        now = self._clock.seconds()
        # Asked with each commit and call, so that all voters are not looked at each time: as long
        # as the voters are the same, later answers can only move the end of the lease forward.
        basis = (self._in_effect, *self._proposed, frozenset(self._confirmed_down))
        if basis != self._lease_basis or now >= self._known_lease_end:
            self._lease_basis, self._known_lease_end = basis, self._lease_end()
        return now < self._known_lease_end

    async def confirm_lease(self) -> None:
        """Return when this master holds the lease.

        :raises NotMaster: a newer master was observed, or this one is stopping.
        """
        await self._wait_until(self.holds_lease)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._lost is not None:
                raise self._lost
            if self._stopped:
                raise NotMaster(STOPPING)
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting

    def serve(self) -> None:
        """Let clients make changes, because the first commit of the term is acknowledged."""
        self._serves = True
        self._wake()

    def _forget_waiting(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    async def ready(self) -> None:
        """Return when changes can be made, after a wait of at most ``LEASE_WAIT_TIMEOUT`` seconds.

        :raises Refused: no majority answers; the message names the missing nodes and the remedy.
        :raises NotMaster: there is a newer master.
        """
        ready = self._wait_until(lambda: self._serves and self.holds_lease())
        await wait_until_ready(ready, self.explained, self._clock)

    async def bounded(self, answer: Awaitable[T]) -> T:
        """Return the result of ``answer``, or raise if the lease is lost for too long meanwhile.

        :raises Refused: the lease was lost for ``LEASE_WAIT_TIMEOUT`` seconds, so that the outcome
            is unknown.
        """
        return await answer_while_held(answer, self.holds_lease, self.explained, self._clock)

    def explained(self) -> str:
        """Return why changes are refused now, and how to make them possible."""
        missing = {name: self._unanswered.get(name, "no answer yet") for name in self.missing()}
        voters = frozenset().union(*self._latest_set().groups()) - self._confirmed_down
        listed = "; ".join(f"{name}: {why}" for name, why in missing.items()) or "none"
        return (
            f"changes are refused: {len(voters) - len(missing)} of {len(voters)} voting nodes"
            f" answer this master, and more than half are required (missing: {listed}). Bring them"
            " back; or, if it is certain that they are down and run no master daemon:"
            f" gnt-cluster confirm-down {' '.join(missing)}".rstrip()
        )

    def missing(self) -> list[str]:
        """Return the voting nodes that have not answered for the duration of a lease."""
        since = self._clock.seconds() - LEASE_TIME
        voters = frozenset().union(*self._latest_set().groups()) - self._confirmed_down
        return sorted(name for name in voters if self._last_answers.get(name, since) <= since)

    def _latest_set(self) -> ReplicaSet:
        return self._proposed[-1] if self._proposed else self._in_effect

    def _lease_end(self) -> float:
        """Return the time until which a majority of each group of voters keeps its promise."""
        # With the newest answers first, the one in the middle is the oldest that a majority needs.
        ends = [
            sorted((self._last_answers.get(name, 0.0) for name in group), reverse=True)[
                len(group) // 2
            ]
            for each in (self._in_effect, *self._proposed)
            for group in (voters - self._confirmed_down for voters in each.groups())
            if group
        ]
        return min(ends, default=0.0) + LEASE_TIME if ends else self._clock.seconds() + LEASE_TIME

    # --- election

    async def elect(
        self,
        known: int,
        *,
        take_over: bool = False,
        voting: bool = True,
        accept_loss: bool = False,
    ) -> Election:
        """Collect votes for a term newer than ``known`` until a majority has granted it.

        With ``take_over``, nodes that follow another master are asked too, once its lease has
        expired. Without ``voting``, an administrator has confirmed that the nodes that do not
        answer are down, and they are not counted; with ``accept_loss``, that commits missing from
        this copy may be lost.

        :raises NotMaster: a majority follows another master.
        :raises Refused: this copy is not in sync.
        """
        self._term = known
        before: frozenset[str] | None = None
        last_unanswered: frozenset[str] | None = None
        while True:
            # First a query without effect, like Raft's pre-vote: a candidate that cannot win,
            # because it is cut off, must not raise the term that the current master works with.
            asked = await self._collect_ballots(
                DescribeVote(),
                lambda ballot: (
                    take_over
                    or ballot.state.master in ("", self._name)
                    or ballot.state.term < known
                ),
            )
            self._check_single_process(asked.get(self._name))
            current = self._find_newest_set(asked.values())
            self._in_effect = current
            if not voting:
                self._confirmed_down |= frozenset().union(*current.groups()) - asked.keys()
            rivals = self._find_rivals(asked, known)
            # The masters to replace are those of the beginning: one that is elected meanwhile is
            # not.
            if before is None and take_over:
                before = frozenset(ballot.state.master for ballot in rivals.values())
            allowed = before or frozenset()
            unexpected = {n: b for n, b in rivals.items() if b.state.master not in allowed}
            if self._has_majority_rival(unexpected, current):
                raise _make_superseded_error(*_find_newest_rival(unexpected))
            # Votes may be split among several that take over at once; each asks all nodes.
            willing = asked.keys() if take_over else asked.keys() - unexpected.keys()
            if current.has_majority(willing, without=self._confirmed_down):
                election = await self._claim_term(
                    asked, current, known, take_over=take_over, accept_loss=accept_loss
                )
                if election is not None:
                    return election
            elif unexpected and not take_over:
                raise _make_superseded_error(*_find_newest_rival(unexpected))
            silent = frozenset(self._unanswered)
            if silent != last_unanswered:
                last_unanswered = silent
                self._log.warn(
                    "{n} nodes have answered this master; waiting for {silent}",
                    n=len(asked),
                    silent=", ".join(sorted(silent)) or "none",
                )
            await deferLater(self._clock, PAUSE * (1 + self._random.random()))

    async def _claim_term(
        self,
        asked: Mapping[str, Ballot],
        current: ReplicaSet,
        known: int,
        *,
        take_over: bool,
        accept_loss: bool,
    ) -> Election | None:
        """Request a term newer than all that the ``asked`` nodes know; return None without it.

        ``current`` is the newest replica set that they know.

        :raises Refused: this copy is not in sync.
        """
        if current.in_sync and not accept_loss:
            check_in_sync(current, self._name)
        term = max(known, *(ballot.state.term for ballot in asked.values())) + 1
        # Nodes that missed a change may follow a master that was replaced before this one.
        instead = {
            ballot.state.master
            for ballot in asked.values()
            if take_over or ballot.state.term < known
        }
        vote = RequestVote(
            term=term,
            master=self._name,
            instead=_sort_unique(instead - {"", self._name}),
            accept_loss=accept_loss,
            replica_set=current,
        )
        ballots = await self._collect_ballots(vote, lambda ballot: ballot.granted)
        granted = {name for name, ballot in ballots.items() if ballot.granted}
        # Again: the nodes may have stored a newer set since they were queried.
        current = self._find_newest_set(ballots[name] for name in granted)
        if not current.has_majority(granted, without=self._confirmed_down):
            await self._release_votes(term, known, granted)
            return None
        self._term, self._elected, self._in_effect = term, True, current
        self._log.info("a majority has granted term {term}", term=term)
        won = {name: ballots[name] for name in granted}
        return Election(term, current, won, frozenset(ballots.keys() - granted))

    async def resume(self, term: int) -> None:
        """Have a majority of the nodes grant ``term``, which this master has by a state store.

        Return when they have. ``begin_term`` then starts with a new replica set of all online
        nodes: a set of the time before the store does not matter any more.
        """
        self._term = term
        vote = RequestVote(term=term, master=self._name, elected=True, accept_loss=True)
        while True:
            ballots = await self._collect_ballots(vote, lambda ballot: ballot.granted)
            granted = [name for name, ballot in ballots.items() if ballot.granted]
            online = _sort_unique(node.name for node in self._members() if not node.offline)
            if 2 * len(granted) > len(online):
                last = newest(ballot.state.replica_set for ballot in ballots.values())
                self._elected = True
                self._in_effect = ReplicaSet(
                    term=last.term, generation=last.generation, voters=online
                )
                return
            await deferLater(self._clock, PAUSE)

    async def _release_votes(self, term: int, known: int, granted: Collection[str]) -> None:
        """Release the nodes that granted a term which was not won.

        Otherwise two masters that have split the votes would block each other forever.
        """
        nodes = [node for node in self._members() if node.name in granted]
        # The call has to carry the term that these nodes have granted.
        self._term = term
        try:
            await self._nodes.ask_all(nodes, ReleaseLease())
        except GanetiError as e:
            self._log.info("votes for term {term} were not released: {e}", term=term, e=e)
        finally:
            self._term = known

    async def _collect_ballots(
        self, call: DescribeVote | RequestVote, with_us: Callable[[Ballot], bool]
    ) -> dict[str, Ballot]:
        """Return the ballots of the nodes that answer, by name; record why others do not.

        Once a majority is ``with_us``, wait ``STRAGGLER_TIMEOUT`` seconds for the others; once a
        majority has answered at all, ``SLOW`` seconds. Refusals are often the fastest answers, and
        must not prevent a wait for the votes of slow nodes.
        """
        members = [node for node in self._members() if not node.offline]
        found: dict[str, Ballot] = {}
        asking = {
            node.name: Deferred.fromCoroutine(self._request_ballot(node, call, found))
            for node in members
        }
        pending: Deferred[None] = Deferred()
        timer: IDelayedCall | None = None

        def wait_at_most(seconds: float) -> None:
            nonlocal timer
            if timer is None:
                timer = self._clock.callLater(seconds, _fire, pending)
            elif timer.active() and timer.getTime() > self._clock.seconds() + seconds:
                timer.reset(seconds)

        def answered(_: None, name: str) -> None:
            asking.pop(name, None)
            if not asking:
                _fire(pending)
            elif 2 * sum(map(with_us, found.values())) > len(members):
                wait_at_most(STRAGGLER_TIMEOUT)
            elif 2 * len(found) > len(members):
                wait_at_most(SLOW)

        # A copy, as an answer that is there already removes its entry.
        for name, work in list(asking.items()):
            work.addCallback(answered, name)
        try:
            if asking:
                await pending
        finally:
            if timer is not None and timer.active():
                timer.cancel()
            for name, work in list(asking.items()):
                self._unanswered.setdefault(name, "no answer yet")
                work.addErrback(lambda _: None)  # the result no longer matters
                work.cancel()
        return found

    async def _request_ballot(
        self, node: Node, call: DescribeVote | RequestVote, found: dict[str, Ballot]
    ) -> None:
        asked_at = self._clock.seconds()
        try:
            ballot = await self._nodes.ask(node, call)
        except GanetiError as e:
            self._unanswered[node.name] = str(e)
        else:
            found[node.name] = ballot
            self._unanswered.pop(node.name, None)
            if ballot.granted:
                # Counted from the sending, which is before the node's promise begins.
                self._last_answers[node.name] = asked_at
            elif isinstance(call, RequestVote):
                self._unanswered[node.name] = "it has refused to vote for this master"

    def _find_newest_set(self, ballots: Iterable[Ballot]) -> ReplicaSet:
        """Return the newest replica set; in a cluster without one, all nodes are voters."""
        found = newest(ballot.state.replica_set for ballot in ballots)
        if found.voters:
            return found
        voters = tuple(sorted(node.name for node in self._members() if not node.offline))
        return ReplicaSet(voters=voters)

    def _find_rivals(self, asked: Mapping[str, Ballot], known: int) -> dict[str, Ballot]:
        """Return the nodes that follow another master whose term is not older than ``known``."""
        return {
            name: ballot
            for name, ballot in asked.items()
            if ballot.state.master not in ("", self._name) and ballot.state.term >= known
        }

    def _check_single_process(self, own: Ballot | None) -> None:
        """Refuse to start beside another master daemon with the name of this node.

        For example, one that was started from a copy of the node's data folder: nodes could not
        distinguish the two, and would not wait for the lease of the other.
        """
        if own is not None and own.serves not in (0, self._process):
            raise NotMaster(
                f"another master daemon of {self._name} is running (process {own.serves}); do not"
                " start a second one, for example from a copy of the node's data folder"
            )

    def _has_majority_rival(self, rivals: Mapping[str, Ballot], current: ReplicaSet) -> bool:
        by_master: dict[str, set[str]] = {}
        for name, ballot in rivals.items():
            by_master.setdefault(ballot.state.master, set()).add(name)
        return any(current.has_majority(followers) for followers in by_master.values())

    # --- the term

    async def begin_term(self, in_sync: Iterable[str]) -> None:
        """Begin the elected term: renew the lease, and propose ``in_sync`` as the first set.

        Return when that set is in effect.

        :raises NotMaster: a newer master was observed.
        """
        self._begun = True
        if self._confirmed_down:
            self._propose_set(
                in_sync, frozenset(self._in_effect.voters) - self._confirmed_down, forced=True
            )
        else:
            self._propose_set(in_sync)
        self._ticking = Deferred.fromCoroutine(self._renew_periodically())
        self._ticking.addErrback(self._on_renewal_stopped)
        while self._proposed:
            if self._lost is not None:
                raise self._lost
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting
        self._log.info("term {term} has begun", term=self._term)

    def propose_in_sync(self, in_sync: Iterable[str]) -> None:
        """Propose these nodes, by name, as the in-sync set; a majority must store it first."""
        if self._begun and _sort_unique(in_sync) != self._latest_set().in_sync:
            self._propose_set(in_sync)

    def on_members_changed(self) -> None:
        """Propose the voters that match the current nodes.

        Removed and offline nodes no longer vote; new nodes vote once they have answered this
        master.
        """
        if self._begun:
            self._adjust_voters()
            self._clock.callLater(0, self._renew_all)

    def _adjust_voters(self) -> None:
        there = {node.name for node in self._members() if not node.offline}
        since = self._clock.seconds() - LEASE_TIME
        answering = {name for name, at in self._last_answers.items() if at > since}
        current = self._latest_set()
        before = frozenset(current.voters)
        voters = frozenset((before | answering) & there)
        if voters and voters != before and not current.old_voters:
            self._propose_set(current.in_sync, voters)

    async def agreed(self) -> None:
        """Return when the voters match the members: all online nodes that answer, and no others.

        Before that, the vote of a leaving node may still be needed, so that it must keep its state.

        :raises NotMaster: a newer master was observed.
        """
        while not self._stopped and self._lost is None:
            there = {node.name for node in self._members() if not node.offline}
            voters = set(self._in_effect.voters)
            joining = there - voters - self._unanswered.keys()
            if not self._proposed and voters <= there and not joining:
                return
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting
        raise self._lost or NotMaster(STOPPING)

    def confirm_down(self, names: Collection[str]) -> None:
        """Exclude the votes of these nodes, which an administrator has confirmed to be down.

        :raises Refused: a node answers, or is not a voter.
        """
        for name in names:
            if name not in frozenset().union(*self._latest_set().groups()) or name == self._name:
                raise Refused(f"node {name} is not one of the other voting nodes", Code.UNKNOWN)
            if self._begun and name not in self.missing():
                raise Refused(f"node {name} answers this master; it is not down", Code.STATE)
        self._confirmed_down |= set(names)
        if self._begun:
            current = self._latest_set()
            voters = frozenset(current.voters) - self._confirmed_down
            self._propose_set(current.in_sync, voters, forced=True)

    def _propose_set(
        self,
        in_sync: Iterable[str],
        voters: frozenset[str] = frozenset(),
        *,
        forced: bool = False,
    ) -> None:
        """Propose a replica set, with other ``voters`` if given.

        A change of voters also needs a majority of the old voters (joint consensus), and only one
        can be in progress: ``on_members_changed`` is repeated after it. ``forced`` by an
        administrator's confirmation, a change needs no majority of the old voters.
        """
        if self._stopped or self._lost is not None:
            return
        last = self._latest_set()
        before, old = frozenset(last.voters), frozenset(last.old_voters)
        if forced:
            old = frozenset()
        elif old or not voters:
            voters = before
        elif voters != before:
            old = before
        made = ReplicaSet(
            term=self._term,
            generation=last.generation + 1 if last.term == self._term else 1,
            in_sync=_sort_unique(in_sync),
            voters=_sort_unique(voters),
            old_voters=_sort_unique(old),
        )
        self._proposed.append(made)
        self._log.info(
            "replica set {generation} of term {term}: in sync {in_sync}; voting {voters}",
            generation=made.generation,
            term=made.term,
            in_sync=", ".join(made.in_sync) or "none",
            voters=", ".join(made.voters),
        )
        if self._ticking is not None:
            # In a later turn: the caller has not finished the change that it reports.
            self._clock.callLater(0, self._renew_all)

    def _drop_old_voters(self) -> None:
        """Drop the old voters once a change of voters is in effect."""
        done = self._in_effect
        made = ReplicaSet(
            term=self._term,
            generation=done.generation + 1,
            in_sync=done.in_sync,
            voters=done.voters,
        )
        self._proposed.append(made)
        self._clock.callLater(0, self._renew_all)

    # --- lease renewal

    async def _renew_periodically(self) -> None:
        while not self._stopped and self._lost is None:
            self._renew_all()
            await deferLater(self._clock, RENEWAL_INTERVAL)

    def _on_renewal_stopped(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("internal error in lease renewal", failure)

    def _renew_all(self) -> None:
        if self._stopped or self._lost is not None:
            return
        if self._own_term() == self._term:
            # The node daemon of this host has granted the term, and grants no other while this
            # daemon runs. It therefore need not answer for a cluster of one node to work.
            self._last_answers[self._name] = self._clock.seconds()
            self._apply_accepted_sets()
        nodes = self._list_renewal_targets()
        self._renew_some(nodes[:CALLS_PER_TURN])
        # Not with all at once, which would delay other work each second.
        for first in range(CALLS_PER_TURN, len(nodes), CALLS_PER_TURN):
            pause = first / CALLS_PER_TURN * TURN_INTERVAL
            self._clock.callLater(pause, self._renew_some, nodes[first : first + CALLS_PER_TURN])

    def _renew_some(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if node.name not in self._renewing and not self._stopped:
                renewing = Deferred.fromCoroutine(self._renew(node))
                if not renewing.called:
                    self._renewing[node.name] = renewing
                renewing.addErrback(self._log_renewal_failure)
                renewing.addBoth(partial(self._on_renewed, node.name))

    def _list_renewal_targets(self) -> list[Node]:
        """Return the nodes to renew the lease with: the members, and other nodes that still vote.

        A removed or offline node keeps its vote until a majority, which may include it, has agreed
        that it has none.
        """
        members = {node.name: node for node in self._members() if not node.offline}
        self._online.update(members)
        sets = (self._in_effect, *self._proposed)
        voting = {
            name for each in sets for group in each.groups() for name in group
        } - self._confirmed_down
        former = [self._online[name] for name in voting - members.keys() if name in self._online]
        return [*members.values(), *former]

    def _on_renewed(self, name: str, _: None) -> None:
        self._renewing.pop(name, None)

    def _log_renewal_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("internal error in lease renewal with a node", failure)

    async def _renew(self, node: Node) -> None:
        """Renew the lease with a node; send it the newest replica set if it has an older one."""
        while not self._stopped:
            current = self._latest_set()
            lacks = self._stored_generations.get(node.name) != current.generation
            call = RenewLease(
                acknowledged=self._acknowledged(), replica_set=current if lacks else None
            )
            asked_at = self._clock.seconds()
            try:
                generation = await self._nodes.ask(node, call)
            except NotMaster:
                return  # the RPC client calls ``observe_newer_master``
            except GanetiError as e:
                self._unanswered[node.name] = str(e)
                # After an error, it is unknown what the node has on disk: it may come back with an
                # old one.
                self._stored_generations.pop(node.name, None)
                return
            self._unanswered.pop(node.name, None)
            self._confirmed_down.discard(node.name)
            self._last_answers[node.name] = max(asked_at, self._last_answers.get(node.name, 0.0))
            self._stored_generations[node.name] = generation
            self._apply_accepted_sets()
            if node.name not in self._latest_set().voters:
                self._adjust_voters()
            # At once if there is a newer set, without waiting for the next renewal.
            if current.generation == self._latest_set().generation:
                return

    def _apply_accepted_sets(self) -> None:
        """Put proposed sets into effect that majorities have stored; wake the waiters."""
        # The newest first: a majority that has it needs no older one.
        for made in reversed(self._proposed):
            accepting = {
                name
                for name, generation in self._stored_generations.items()
                if generation >= made.generation
            }
            if made.has_majority(accepting, without=self._confirmed_down):
                self._in_effect = made
                at = self._proposed.index(made)
                del self._proposed[: at + 1]
                if made.old_voters and not self._proposed:
                    self._drop_old_voters()
                elif not self._proposed:
                    self._adjust_voters()
                break
        if self.holds_lease() or self._lost is not None:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            # In a later turn: a waiter that runs now would see a partial change of this object.
            self._clock.callLater(0, _fire, each)
        for observer in self._observers:
            observer()

    # --- end of the term

    def observe_newer_master(self, error: NotMaster) -> None:
        """Handle the report that a node follows a newer master."""
        # Before that, the election decides what other masters mean.
        if self._elected and self._lost is None and not self._stopped:
            self._lost = error
            self._wake()
            self._lost_to(error)

    def observed(self, term: int, master: str) -> None:
        """Handle the report that the local node daemon follows ``master`` since ``term``."""
        if term > self._term:
            self.observe_newer_master(_make_superseded_error(self._name, master, term))

    def stop(self) -> None:
        """Stop renewing the lease; waiters get ``NotMaster``."""
        self._stopped = True
        for work in (self._ticking, *list(self._renewing.values())):
            if work is not None:
                work.cancel()
        self._wake()

    async def release_lease(self) -> None:
        """Release the lease on all reachable nodes, so that another master can begin at once."""
        if self._elected and self._lost is None:
            members = [node for node in self._members() if not node.offline]
            try:
                await self._nodes.ask_all(members, ReleaseLease())
            except GanetiError as e:
                self._log.info("the lease was not released on all nodes: {why}", why=str(e))


def check_in_sync(replica_set: ReplicaSet, name: str) -> None:
    """Refuse a node whose copy is not in the in-sync set.

    :raises Refused: the message names the nodes in the set.
    """
    if name not in replica_set.in_sync:
        others = ", ".join(replica_set.in_sync) or "none"
        raise Refused(
            f"the journal on {name} is not in sync, so that acknowledged changes may be missing"
            f" (in sync: {others}). Make one of those the master, or bring it back; to accept the"
            " loss of those changes: gnt-cluster master-failover --accept-loss"
        )


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _sort_unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _find_newest_rival(rivals: Mapping[str, Ballot]) -> tuple[str, str, int]:
    name, ballot = max(rivals.items(), key=lambda item: (item[1].state.term, item[0]))
    return name, ballot.state.master, ballot.state.term


def _make_superseded_error(node: str, master: str, term: int) -> NotMaster:
    return NotMaster(
        f"{master} is the master now: node {node} follows it since term {term}. Run the tools"
        f" there; to make another node the master: gnt-cluster master-failover on that node"
    )
