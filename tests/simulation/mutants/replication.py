# SPDX-License-Identifier: BSD-2-Clause
"""Bugs in votes, leases, the replica set, and the copies of the journal."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

_QUORUM = "ganeti/master/mastership.py"
_VOTER = "ganeti/node/voter.py"
_RULES = "ganeti/rpc/quorum.py"
_CANDIDATES = "ganeti/master/candidates.py"
_FOLLOWER = "ganeti/master/follower.py"
_ADOPTION = "ganeti/master/adoption.py"
_REPLICA = "ganeti/node/replicas.py"
_FILE = "ganeti/journal/file_journal.py"
_MARKER = "ganeti/journal/marker.py"

MUTANTS = (
    Mutant(
        name="lease-not-confirmed",
        file=_FILE,
        before="""
        await self._replicas.confirm_lease()
""",
        after="",
        reason="a master whose lease has ended acknowledges what its disk was slow to take",
        modes=("isolation",),
        seeds=150,
    ),
    Mutant(
        name="lease-of-one-answer",
        file=_QUORUM,
        before="""
                len(group) // 2
""",
        after="""
                0
""",
        reason="a master takes the answer of one node for that of a majority",
        modes=("isolation",),
        seeds=150,
    ),
    Mutant(
        name="lease-from-the-answer",
        file=_QUORUM,
        before="max(asked_at, self._last_answers.get(node.name, 0.0))",
        after="self._clock.seconds() + 5",
        reason="a master counts its lease from later than the node counts its promise",
        modes=("isolation",),
        seeds=150,
    ),
    Mutant(
        name="quorum-of-half",
        file=_RULES,
        before="2 * len(group & set(names)) > len(group)",
        after="2 * len(group & set(names)) >= len(group)",
        reason="half of the voting nodes suffice, so two masters can be elected in one term",
        modes=("partition",),
        seeds=150,
    ),
    Mutant(
        name="election-without-a-majority",
        file=_QUORUM,
        before="""
        if not current.has_majority(granted, without=self._confirmed_down):
            await self._release_votes(""",
        after="""
        if not granted:
            await self._release_votes(""",
        reason="the vote of any node makes a master",
        modes=("partition",),
        seeds=150,
    ),
    Mutant(
        name="vote-not-kept",
        file=_VOTER,
        before="""
                await self._persist(state)
                self._promised_until""",
        after="""
                self._state = state
                self._promised_until""",
        reason="a node forgets its vote when its daemon starts again, and obeys the old master",
        modes=("crashes",),
        seeds=150,
    ),
    Mutant(
        name="vote-lost-in-a-tie",
        file=_VOTER,
        before="        if call.elected and call.term == self._state.term:",
        after="        if call.elected and call.term < self._state.term:",
        reason="a node that voted for the loser of a term obeys it for ever",
        modes=("rivals",),
        seeds=150,
    ),
    Mutant(
        name="set-counts-before-a-majority-has-it",
        file=_QUORUM,
        before="""
        sets = (self._in_effect, *self._proposed)
        return frozenset(name for each in sets""",
        after="""
        sets = (self._latest_set(),)
        return frozenset(name for each in sets""",
        reason="commits stop waiting for a copy before a majority knows that it does not count",
        modes=("partition",),
        seeds=150,
    ),
    Mutant(
        name="set-in-effect-at-once",
        file=_QUORUM,
        before="""
            if made.has_majority(accepting, without=self._confirmed_down):
                self._in_effect""",
        after="""
            if accepting:
                self._in_effect""",
        reason="a replica set takes effect when one node has it",
        modes=("partition",),
        seeds=150,
    ),
    Mutant(
        name="set-not-kept",
        file=_VOTER,
        before="if newer or (due and state",
        after="if False or (due and state",
        reason="a node has forgotten the newest replica set when it has been started again",
        modes=("crashes",),
        seeds=150,
    ),
    Mutant(
        name="set-of-an-old-message",
        file=_VOTER,
        before="sent.order > state.replica_set.order",
        after="sent.order != state.replica_set.order",
        reason="a replica set that was sent earlier replaces a newer one",
        modes=("delays",),
        seeds=150,
    ),
    Mutant(
        name="voters-changed-at-once",
        file=_QUORUM,
        before="""
        elif voters != before:
            old = before
""",
        after="",
        reason="voters are changed without a majority of the old ones",
        modes=("departures",),
        seeds=150,
    ),
    Mutant(
        name="leaving-voter-not-asked",
        file=_QUORUM,
        before="        return [*members.values(), *former]",
        after="        return [*members.values()]",
        reason="a node that leaves is not asked for the vote that its leaving needs",
        modes=(
            "departures",
            "membership",
        ),
        seeds=150,
    ),
    Mutant(
        name="leaving-not-awaited",
        file=_QUORUM,
        before="""
            if not self._proposed and voters <= there and not joining:
                return
""",
        after="""
            return
""",
        reason="a node forgets its vote before the others can do without it",
        modes=("departures",),
        seeds=150,
    ),
    Mutant(
        name="copy-not-awaited",
        file=_CANDIDATES,
        before="            if each.live and each.end.position >= end.position",
        after="            if each.live",
        reason="commits are acknowledged before the copies have them",
        modes=("crashes",),
        seeds=150,
    ),
    Mutant(
        name="copy-in-sync-too-early",
        file=_CANDIDATES,
        before="for each in self._followers.values() if each.settled}",
        after="for each in self._followers.values() if each.live}",
        reason="a copy counts as in sync before it has all",
        modes=(
            "disks",
            "chaos",
        ),
        seeds=150,
    ),
    Mutant(
        name="copy-not-watched",
        file=_FOLLOWER,
        before="if self.live and not self._queue and self._clock.seconds() >= due:",
        after="if self._stopped:",
        reason="an old disk comes back as a copy in sync while nothing is written",
        modes=("old-disk",),
        seeds=150,
    ),
    Mutant(
        name="copy-in-sync-without-comparing",
        file=_FOLLOWER,
        before="""
        await self._compare()
        await self._catch_up()
""",
        after="""
        await self._catch_up()
""",
        reason="a copy is taken for one of this history without a look at it",
        modes=("old-disk",),
        seeds=150,
    ),
    Mutant(
        name="copy-takes-what-does-not-follow",
        file=_REPLICA,
        before="            elif segments.end != after:",
        after="            elif segments.end.position < after.position:",
        reason="a copy keeps frames that do not follow its end",
        modes=(
            "delays",
            "pauses",
        ),
        seeds=150,
    ),
    Mutant(
        name="copy-takes-late-calls",
        file=_REPLICA,
        before="        if handle and handle != self._handle:",
        after="        if handle is None:",
        reason="a call that was given up cuts off what was acknowledged meanwhile",
        modes=("delays",),
        seeds=150,
    ),
    Mutant(
        name="master-adopts-nothing",
        file=_ADOPTION,
        before="if isinstance(end, Failed) or end.position <= journal.end_position().position:",
        after="if journal is not None:",
        reason="a new master does not take over what other copies have",
        modes=("takeover",),
        seeds=150,
    ),
    Mutant(
        name="master-lacks-what-was-acknowledged",
        file=_ADOPTION,
        before="""
    if not accept_loss:
        _check_complete(""",
        after="""
    if journal is None:
        _check_complete(""",
        reason="a master begins from an old disk without what was acknowledged",
        modes=("takeover",),
        seeds=150,
    ),
)
