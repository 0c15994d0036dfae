# SPDX-License-Identifier: BSD-2-Clause
"""The master's hold on its role: a term won by votes, a lease renewed with a majority of the nodes,
and the replica set that a majority has on disk.

Nodes that have granted a newer term refuse what the master of an older one asks. A master without
the lease acknowledges nothing, and one that hears of a newer master ends.
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
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.quorum import (
    LEASE,
    RENEW,
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
"""Seconds between two attempts to gather votes; up to as much again by chance, against ties."""

STRAGGLERS = 0.5
"""Seconds for which the other nodes are waited for in an election when a majority is with us."""

SLOW = 2.0
"""Seconds for which they are waited for when a majority has answered, and some of it refused: time
for a connection and a write to a slow disk."""

READY_TIMEOUT = 6.0
"""Seconds for which a request waits for the lease before it is refused: longer than a lease, so
that a short loss of contact is not seen by clients."""

Observer = Callable[[], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Election:
    """What nodes answered when a term was won: the newest replica set, and the ballots.

    ``refused`` are the nodes that answered and gave their vote to another one, or to none.
    """

    term: int
    replica_set: ReplicaSet
    ballots: Mapping[str, Ballot]
    refused: frozenset[str]


class Quorum:
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
        """``members`` are the cluster's nodes as the configuration knows them now.

        ``lost`` is called, once, when a newer master is heard of after the term has begun.
        ``acknowledged`` is the newest acknowledged commit, which nodes are told; ``own_term`` the
        term that this host's own node daemon has granted to this master, 0 if none. ``process``
        identifies this master daemon to it.
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
        self._down: set[str] = set()
        self._heard: dict[str, float] = {}
        self._kept: dict[str, int] = {}
        self._silent: dict[str, str] = {}
        self._online: dict[str, Node] = {}
        self._renewing: dict[str, Deferred[None]] = {}
        self._waiting: list[Deferred[None]] = []
        self._observers: list[Observer] = []
        self._ticking: Deferred[None] | None = None

    # --- what is seen of it

    def term(self) -> int:
        """Return the term by which this master asks nodes."""
        return self._term

    @property
    def elected(self) -> bool:
        """Whether a majority has granted the term."""
        return self._elected

    @property
    def begun(self) -> bool:
        """Whether changes may be made: the term has begun."""
        return self._begun

    @property
    def lost(self) -> bool:
        """Whether a newer master was heard of."""
        return self._lost is not None

    @property
    def in_effect(self) -> ReplicaSet:
        """The newest replica set that a majority has on disk."""
        return self._in_effect

    def required(self) -> frozenset[str]:
        """Return the nodes that must have a commit before it is acknowledged, by name.

        A set that is proposed may be what a successor finds, so its members count from the start,
        and those of the set in effect until the smaller one has taken its place.
        """
        sets = (self._in_effect, *self._proposed)
        return frozenset(name for each in sets for name in each.in_sync)

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` when a replica set takes effect, the lease is back or all is lost."""
        self._observers.append(observer)

    def holds(self) -> bool:
        """Return whether the lease is in force now."""
        return self._begun and self._lost is None and self._clock.seconds() < self._lease_end()

    async def confirm(self) -> None:
        """Return when the lease is in force.

        :raises NotMaster: a newer master was heard of, or this one is stopping.
        """
        await self._until(self.holds)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._lost is not None:
                raise self._lost
            if self._stopped:
                raise NotMaster("the master daemon is stopping")
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting

    def serve(self) -> None:
        """Let clients make changes: the first commit of the term is kept."""
        self._serves = True
        self._wake()

    def _forget_waiting(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    async def ready(self) -> None:
        """Return when changes can be made; wait a little for that.

        :raises Refused: no majority answers; says which nodes are missing, and what to do.
        :raises NotMaster: there is a newer master.
        """
        confirming = Deferred.fromCoroutine(self._until(lambda: self._serves and self.holds()))
        timer = self._clock.callLater(READY_TIMEOUT, confirming.cancel)
        try:
            await confirming
        except CancelledError:
            if timer.active():
                raise
            raise Refused(self.explained(), Code.TEMPORARY) from None
        finally:
            if timer.active():
                timer.cancel()

    async def bounded(self, answer: Awaitable[T]) -> T:
        """Return what is awaited, which goes on if the lease is lost for too long meanwhile.

        :raises Refused: it was, so that nobody can say whether what was asked for will be done.
        """

        async def result() -> T:
            return await answer

        work = Deferred.fromCoroutine(result())
        waiting: Deferred[T] = Deferred(lambda _: work.cancel())
        without = [0]

        def look() -> None:
            without[0] = 0 if self.holds() else without[0] + 1
            if without[0] < READY_TIMEOUT:
                timers[:] = [self._clock.callLater(1.0, look)]
                return
            why = f"{self.explained()}. It is not known whether this request will be carried out"
            waiting.errback(Refused(why, Code.TEMPORARY))

        def done(result: T | Failure) -> None:
            if timers[-1].active():
                timers[-1].cancel()
            if not waiting.called:
                waiting.callback(result)

        timers = [self._clock.callLater(1.0, look)]
        work.addBoth(done)
        return await waiting

    def explained(self) -> str:
        """Return why no change can be made now, and what makes it possible."""
        missing = {name: self._silent.get(name, "no answer yet") for name in self.missing()}
        voters = frozenset().union(*self._current().groups()) - self._down
        told = "; ".join(f"{name}: {why}" for name, why in missing.items()) or "none"
        return (
            f"changes are refused: {len(voters) - len(missing)} of {len(voters)} voting nodes"
            f" answer this master, and it takes more than half (missing: {told}). Bring them back;"
            " or, if it is certain that they are down and run no master daemon:"
            f" gnt-cluster confirm-down {' '.join(missing)}".rstrip()
        )

    def missing(self) -> list[str]:
        """Return the voting nodes that have not answered within the time of a lease."""
        since = self._clock.seconds() - LEASE
        voters = frozenset().union(*self._current().groups()) - self._down
        return sorted(name for name in voters if self._heard.get(name, since) <= since)

    def _current(self) -> ReplicaSet:
        return self._proposed[-1] if self._proposed else self._in_effect

    def _lease_end(self) -> float:
        """The time until which a majority of each group of voters keeps its promise."""
        ends = [
            sorted((self._heard.get(name, 0.0) for name in group), reverse=True)[len(group) // 2]
            for each in (self._in_effect, *self._proposed)
            for group in (voters - self._down for voters in each.groups())
            if group
        ]
        return min(ends, default=0.0) + LEASE if ends else self._clock.seconds() + LEASE

    # --- the election

    async def elect(
        self,
        known: int,
        *,
        take_over: bool = False,
        voting: bool = True,
        accept_loss: bool = False,
    ) -> Election:
        """Gather votes for a term newer than ``known`` until a majority has granted it.

        Only with ``take_over`` another master's nodes are asked to follow this one, when its lease
        has ended. Without ``voting`` a person answers for the nodes that do not: they do not vote;
        with ``accept_loss``, for what may be missing from the copy here.

        :raises NotMaster: a majority obeys another master.
        :raises Refused: the copy here is not in sync.
        """
        self._term = known
        before: frozenset[str] | None = None
        told: frozenset[str] | None = None
        while True:
            # First a question, which promises nothing: one that cannot win, because it is cut off
            # from the others, must not drive the number on by which the true master works.
            asked = await self._ask(
                DescribeVote(),
                lambda ballot: (
                    take_over
                    or ballot.state.master in ("", self._name)
                    or ballot.state.term < known
                ),
            )
            self._require_only(asked.get(self._name))
            current = self._known_set(asked.values())
            self._in_effect = current
            if not voting:
                self._down |= frozenset().union(*current.groups()) - asked.keys()
            rivals = self._rivals(asked, known)
            if before is None and take_over:
                before = frozenset(ballot.state.master for ballot in rivals.values())
            allowed = before or frozenset()
            strange = {n: b for n, b in rivals.items() if b.state.master not in allowed}
            if self._followed_by_majority(strange, current):
                raise _replaced(*_newest_rival(strange))
            # Votes may be split among several that take over at once; one asks for all of them.
            willing = asked.keys() if take_over else asked.keys() - strange.keys()
            if current.has_majority(willing, without=self._down):
                if current.in_sync and not accept_loss:
                    require_in_sync(current, self._name)
                term = max(known, *(ballot.state.term for ballot in asked.values())) + 1
                # Nodes that missed a change obey a master that was replaced before our time.
                instead = {
                    ballot.state.master
                    for ballot in asked.values()
                    if take_over or ballot.state.term < known
                }
                vote = RequestVote(
                    term=term,
                    master=self._name,
                    instead=_ordered(instead - {"", self._name}),
                    accept_loss=accept_loss,
                    replica_set=current,
                )
                ballots = await self._ask(vote, lambda ballot: ballot.granted)
                granted = {name for name, ballot in ballots.items() if ballot.granted}
                current = self._known_set(ballots[name] for name in granted)
                if current.has_majority(granted, without=self._down):
                    self._term, self._elected, self._in_effect = term, True, current
                    self._log.info("a majority has granted term {term}", term=term)
                    won = {name: ballots[name] for name in granted}
                    return Election(term, current, won, frozenset(ballots.keys() - granted))
                await self._give_back(term, known, granted)
            elif strange and not take_over:
                raise _replaced(*_newest_rival(strange))
            silent = frozenset(self._silent)
            if silent != told:
                told = silent
                self._log.warn(
                    "{n} nodes answer this master; no answer yet from {silent}",
                    n=len(asked),
                    silent=", ".join(sorted(silent)) or "none",
                )
            await deferLater(self._clock, PAUSE * (1 + self._random.random()))

    async def _give_back(self, term: int, known: int, granted: Collection[str]) -> None:
        """Free the nodes that have granted a term which was not won.

        Else each of two that have split the votes would keep its half from the other for ever.
        """
        nodes = [node for node in self._members() if node.name in granted]
        self._term = term
        try:
            await self._nodes.ask_all(nodes, ReleaseLease())
        except GanetiError as e:
            self._log.info("votes for term {term} were not given back: {e}", term=term, e=e)
        finally:
            self._term = known

    async def _ask(
        self, call: DescribeVote | RequestVote, with_us: Callable[[Ballot], bool]
    ) -> dict[str, Ballot]:
        """The ballots of the nodes that answer, by name; why others do not is remembered.

        Once a majority is ``with_us``, the others are given ``STRAGGLERS`` seconds; once a majority
        has answered at all, ``SLOW``. Those that refuse are often the quickest, and must not keep
        this from waiting for the votes of slow nodes.
        """
        members = [node for node in self._members() if not node.offline]
        found: dict[str, Ballot] = {}
        asking = {
            node.name: Deferred.fromCoroutine(self._ballot(node, call, found)) for node in members
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
                wait_at_most(STRAGGLERS)
            elif 2 * len(found) > len(members):
                wait_at_most(SLOW)

        for name, work in list(asking.items()):
            work.addCallback(answered, name)
        try:
            if asking:
                await pending
        finally:
            if timer is not None and timer.active():
                timer.cancel()
            for name, work in list(asking.items()):
                self._silent.setdefault(name, "no answer yet")
                work.addErrback(lambda _: None)  # of no interest any more
                work.cancel()
        return found

    async def _ballot(
        self, node: Node, call: DescribeVote | RequestVote, found: dict[str, Ballot]
    ) -> None:
        asked_at = self._clock.seconds()
        try:
            ballot = await self._nodes.ask(node, call)
        except GanetiError as e:
            self._silent[node.name] = str(e)
        else:
            found[node.name] = ballot
            self._silent.pop(node.name, None)
            if ballot.granted:
                self._heard[node.name] = asked_at
            elif isinstance(call, RequestVote):
                self._silent[node.name] = "it has refused this master its vote"

    def _known_set(self, ballots: Iterable[Ballot]) -> ReplicaSet:
        """The newest replica set; for a cluster that never had one, all nodes vote."""
        found = newest(ballot.state.replica_set for ballot in ballots)
        if found.voters:
            return found
        voters = tuple(sorted(node.name for node in self._members() if not node.offline))
        return ReplicaSet(voters=voters)

    def _rivals(self, asked: Mapping[str, Ballot], known: int) -> dict[str, Ballot]:
        """The nodes that obey another master of a term that is no older than the one known here."""
        return {
            name: ballot
            for name, ballot in asked.items()
            if ballot.state.master not in ("", self._name) and ballot.state.term >= known
        }

    def _require_only(self, own: Ballot | None) -> None:
        """Refuse to begin beside another master daemon in the name of this node.

        Such as one that was started from a copy of this node's folder: nodes would take the one for
        the other, and need not wait for its lease.
        """
        if own is not None and own.serves not in (0, self._process):
            raise NotMaster(
                f"another master daemon of {self._name} runs already (process {own.serves}); this"
                " one, if it was started from a copy of the node's folder, must not"
            )

    def _followed_by_majority(self, rivals: Mapping[str, Ballot], current: ReplicaSet) -> bool:
        by_master: dict[str, set[str]] = {}
        for name, ballot in rivals.items():
            by_master.setdefault(ballot.state.master, set()).add(name)
        return any(current.has_majority(followers) for followers in by_master.values())

    # --- the term

    async def begin(self, in_sync: Iterable[str]) -> None:
        """Begin the elected term: renew the lease, with ``in_sync`` as the first replica set.

        Returns when that set is in effect.

        :raises NotMaster: a newer master was heard of.
        """
        self._begun = True
        if self._down:
            self._propose(in_sync, frozenset(self._in_effect.voters) - self._down, forced=True)
        else:
            self._propose(in_sync)
        self._ticking = Deferred.fromCoroutine(self._tick())
        self._ticking.addErrback(self._stopped_ticking)
        while self._proposed:
            if self._lost is not None:
                raise self._lost
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting
        self._log.info("term {term} has begun", term=self._term)

    def propose(self, in_sync: Iterable[str]) -> None:
        """Make these, by name, the in-sync set as soon as a majority has it on disk."""
        if self._begun and _ordered(in_sync) != self._current().in_sync:
            self._propose(in_sync)

    def members_changed(self) -> None:
        """Adjust who votes to the nodes that there are now, as soon as a majority agrees.

        Nodes that are gone or offline vote no more; others do once they have answered this master.
        """
        if self._begun:
            self._adjust_voters()
            self._clock.callLater(0, self._renew_all)

    def _adjust_voters(self) -> None:
        there = {node.name for node in self._members() if not node.offline}
        since = self._clock.seconds() - LEASE
        answering = {name for name, at in self._heard.items() if at > since}
        current = self._current()
        before = frozenset(current.voters)
        voters = frozenset((before | answering) & there)
        if voters and voters != before and not current.old_voters:
            self._propose(current.in_sync, voters)

    async def agreed(self) -> None:
        """Return when a majority has agreed on who votes: no node that is gone or offline, and
        every other one that answers.

        Before that, the vote of one that goes may still be needed: it must not forget it.

        :raises NotMaster: a newer master was heard of.
        """
        while not self._stopped and self._lost is None:
            there = {node.name for node in self._members() if not node.offline}
            voters = set(self._in_effect.voters)
            joining = there - voters - self._silent.keys()
            if not self._proposed and voters <= there and not joining:
                return
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting
        raise self._lost or NotMaster("the master daemon is stopping")

    def confirm_down(self, names: Collection[str]) -> None:
        """Do not count on these nodes' votes: a person says that they are down.

        :raises Refused: one answers, or does not vote.
        """
        for name in names:
            if name not in frozenset().union(*self._current().groups()) or name == self._name:
                raise Refused(f"node {name} is not one of the other voting nodes", Code.UNKNOWN)
            if self._begun and name not in self.missing():
                raise Refused(f"node {name} answers this master, so it is not down", Code.STATE)
        self._down |= set(names)
        if self._begun:
            current = self._current()
            voters = frozenset(current.voters) - self._down
            self._propose(current.in_sync, voters, forced=True)

    def _propose(
        self,
        in_sync: Iterable[str],
        voters: frozenset[str] = frozenset(),
        *,
        forced: bool = False,
    ) -> None:
        """Send out a replica set, with other ``voters`` if they are given.

        A change of voters needs a majority of the old ones as well, and there is one at a time:
        ``members_changed`` comes back to it. Only a person's word is ``forced`` without the old.
        """
        if self._stopped or self._lost is not None:
            return
        last = self._current()
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
            in_sync=_ordered(in_sync),
            voters=_ordered(voters),
            old_voters=_ordered(old),
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
            # In a later turn: the caller is not done with the change that brought it here.
            self._clock.callLater(0, self._renew_all)

    def _leave_joint(self) -> None:
        """Once a change of voters is in effect, the old ones are not needed any more."""
        done = self._in_effect
        made = ReplicaSet(
            term=self._term,
            generation=done.generation + 1,
            in_sync=done.in_sync,
            voters=done.voters,
        )
        self._proposed.append(made)
        self._clock.callLater(0, self._renew_all)

    # --- renewing

    async def _tick(self) -> None:
        while not self._stopped and self._lost is None:
            self._renew_all()
            await deferLater(self._clock, RENEW)

    def _stopped_ticking(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("renewing the lease broke", failure)

    def _renew_all(self) -> None:
        if self._stopped or self._lost is not None:
            return
        if self._own_term() == self._term:
            # This host's own node daemon has granted the term, and grants it to no other while this
            # daemon runs; so it need not answer for a cluster of one node to go on.
            self._heard[self._name] = self._clock.seconds()
            self._advance()
        for node in self._targets():
            if node.name not in self._renewing:
                renewing = Deferred.fromCoroutine(self._renew(node))
                if not renewing.called:
                    self._renewing[node.name] = renewing
                renewing.addErrback(self._renewal_broke)
                renewing.addBoth(partial(self._renewed, node.name))

    def _targets(self) -> list[Node]:
        """The nodes to renew the lease with: the members, and those that still vote.

        A node that is removed or marked offline has a vote until a majority has agreed, perhaps
        with it, that it has none.
        """
        members = {node.name: node for node in self._members() if not node.offline}
        self._online.update(members)
        sets = (self._in_effect, *self._proposed)
        voting = {name for each in sets for group in each.groups() for name in group} - self._down
        former = [self._online[name] for name in voting - members.keys() if name in self._online]
        return [*members.values(), *former]

    def _renewed(self, name: str, _: None) -> None:
        self._renewing.pop(name, None)

    def _renewal_broke(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("renewing the lease with a node broke", failure)

    async def _renew(self, node: Node) -> None:
        """Renew the lease with a node, and send it the newest set if it lacks that."""
        while not self._stopped:
            current = self._current()
            lacks = self._kept.get(node.name) != current.generation
            call = RenewLease(
                acknowledged=self._acknowledged(), replica_set=current if lacks else None
            )
            asked_at = self._clock.seconds()
            try:
                kept = await self._nodes.ask(node, call)
            except NotMaster:
                return  # whoever asks nodes has told us
            except GanetiError as e:
                self._silent[node.name] = str(e)
                self._kept.pop(node.name, None)
                return
            self._silent.pop(node.name, None)
            self._down.discard(node.name)
            self._heard[node.name] = max(asked_at, self._heard.get(node.name, 0.0))
            self._kept[node.name] = kept
            self._advance()
            if node.name not in self._current().voters:
                self._adjust_voters()
            if current.generation == self._current().generation:
                return

    def _advance(self) -> None:
        """Put proposed sets into effect that majorities have, and wake those who wait."""
        for made in reversed(self._proposed):
            kept = {
                name for name, generation in self._kept.items() if generation >= made.generation
            }
            if made.has_majority(kept, without=self._down):
                self._in_effect = made
                at = self._proposed.index(made)
                del self._proposed[: at + 1]
                if made.old_voters and not self._proposed:
                    self._leave_joint()
                elif not self._proposed:
                    self._adjust_voters()
                break
        if self.holds() or self._lost is not None:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            # In a later turn: waking from inside a change of this object would see half of it.
            self._clock.callLater(0, _fire, each)
        for observer in self._observers:
            observer()

    # --- its end

    def heard(self, error: NotMaster) -> None:
        """Some node obeys a newer master."""
        # Before the term has begun, it is for the election to say what that means.
        if self._elected and self._lost is None and not self._stopped:
            self._lost = error
            self._wake()
            self._lost_to(error)

    def observed(self, term: int, master: str) -> None:
        """This host's own node daemon obeys ``master`` since ``term``."""
        if term > self._term:
            self.heard(_replaced(self._name, master, term))

    def stop(self) -> None:
        """Renew nothing any more; whoever waits for the lease hears that the master is stopping."""
        self._stopped = True
        for work in (self._ticking, *list(self._renewing.values())):
            if work is not None:
                work.cancel()
        self._wake()

    async def release(self) -> None:
        """Let another master begin at once, as far as nodes hear it: this one has ended."""
        if self._elected and self._lost is None:
            members = [node for node in self._members() if not node.offline]
            try:
                await self._nodes.ask_all(members, ReleaseLease())
            except GanetiError as e:
                self._log.info("the lease was not released everywhere: {why}", why=str(e))


def require_in_sync(replica_set: ReplicaSet, name: str) -> None:
    """Refuse a node whose copy was put out of the in-sync set.

    :raises Refused: says which nodes are in it.
    """
    if name not in replica_set.in_sync:
        others = ", ".join(replica_set.in_sync) or "none"
        raise Refused(
            f"the copy of the state on {name} is not in sync, so acknowledged changes may be"
            f" missing from it (in sync: {others}). Make one of those the master, or bring it back;"
            " to go on and lose those changes: gnt-cluster master-failover --accept-loss"
        )


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _newest_rival(rivals: Mapping[str, Ballot]) -> tuple[str, str, int]:
    name, ballot = max(rivals.items(), key=lambda item: (item[1].state.term, item[0]))
    return name, ballot.state.master, ballot.state.term


def _replaced(node: str, master: str, term: int) -> NotMaster:
    return NotMaster(
        f"{master} is the master now: node {node} has obeyed it since term {term}. Run the tools"
        f" there; to make another node the master: gnt-cluster master-failover on that node"
    )
