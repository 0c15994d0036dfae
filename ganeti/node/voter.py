# SPDX-License-Identifier: BSD-2-Clause
"""This node's vote: which master it obeys since which term, and for how long it promised to."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.errors import Code, Failed
from ganeti.node.replicas import Replica
from ganeti.rpc.quorum import (
    MAX_TERM_STEP,
    PROMISE,
    Ballot,
    DescribeVote,
    ReleaseLease,
    RenewLease,
    RequestVote,
    VoterState,
    newest,
)
from ganeti.rpc.replicas import ReplicaEnd
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import replace
from ganeti.system.interfaces import IFiles

YIELD = 2 * PROMISE
"""Seconds for which a node renews no lease after a node that takes over has asked for its vote."""

PERSIST_INTERVAL = 5.0
"""Seconds between two writes of a newer acknowledged position when nothing else is written."""


def read_state(files: IFiles, path: str) -> VoterState:
    """Return what the file at ``path`` says of this node's vote.

    :raises Failed: it is damaged.
    """
    if files.stat(path) is None:
        return VoterState()
    try:
        return msgspec.json.decode(files.read(path), type=VoterState)
    except UNREADABLE as e:
        raise Failed(
            f"{path} is damaged ({e}); remove it only if it is certain that this node's master is"
            " the only one: it keeps a replaced master from acting here",
            Code.ENVIRONMENT,
        ) from None


class Voter:
    """Grants terms, each newer than the one before, and never two masters the same one.

    After it has heard from its master, it grants no other one a term for ``PROMISE`` seconds. It
    does not know how long ago that was when the daemon starts, so it waits as long then, too. Asked
    for its vote by a node that takes over, it renews the lease no more, so that this succeeds also
    while the old master runs and cannot be told to stop.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        path: str,
        clock: IReactorTime,
        *,
        replica: Replica | None = None,
        serves: Callable[[], int] = lambda: 0,
        name: str = "",
    ) -> None:
        """``name`` is this node's; ``serves`` the process of the master daemon here, 0 if none."""
        self._files = files
        self._path = path
        self._clock = clock
        self._replica = replica
        self._serves = serves
        self._name = name
        self._state = read_state(files, path)
        self._promised = clock.seconds() + PROMISE if self._state.master else clock.seconds()
        self._yields = clock.seconds()
        self._successor = ""
        self._released = False
        self._persisted = clock.seconds()
        self._turn = DeferredLock()

    @property
    def state(self) -> VoterState:
        """The newest term that was granted, and what its master has sent."""
        return self._state

    def term(self) -> int:
        """The newest term that was granted; 0 if there was none yet."""
        return self._state.term

    @property
    def bound(self) -> bool:
        """Whether a promise to the master keeps this node from granting another one a term."""
        return self._lease() > 0

    async def describe(self, call: DescribeVote) -> Ballot:
        """Answer what is granted now, and how far this node's copy of the journal reaches."""
        copy = common = None
        if self._replica is not None:
            copy, common = await self._replica.ends(call.at)
        return self._ballot(granted=False, copy=copy, common=common)

    async def request(self, call: RequestVote) -> Ballot:
        """Grant a newer term, if no promise to another master stands against it.

        The vote is on disk when this returns.
        """
        async with self._turn:
            granted = self._may_grant(call)
            if granted:
                state = replace(self._state, term=call.term, master=call.master)
                await self._persist(state)
                self._promised = self._clock.seconds() + PROMISE
                self._yields = self._clock.seconds()
                self._released = False
                self._log.info(
                    "granted term {term} to {master}", term=call.term, master=call.master
                )
            return self._ballot(granted=granted)

    async def renew(self, call: RenewLease) -> int:
        """Promise to grant no other master a term for a while; keep the set that was sent.

        Only the master of the accepted term reaches this.

        :raises Failed: another node is taking over, so the lease ends.
        """
        async with self._turn:
            if self._clock.seconds() < self._yields:
                raise Failed(f"a failover to {self._successor} is under way")
            state, sent, newer = self._state, call.replica_set, False
            if sent is not None and sent.order > state.replica_set.order:
                newer, state = True, replace(state, replica_set=sent)
            # A new master has accounted for what was reported before, or a person has given it up.
            first = state.replica_set.term > self._state.replica_set.term
            if first or call.acknowledged.position > state.acknowledged.position:
                state = replace(state, acknowledged=call.acknowledged)
            due = self._clock.seconds() - self._persisted >= PERSIST_INTERVAL
            if newer or (due and state != self._state):
                await self._persist(state)
            # A position that is not on disk yet is remembered until the daemon ends.
            self._state = state
            self._promised = self._clock.seconds() + PROMISE
            kept = state.replica_set
            return kept.generation if kept.term == state.term else 0

    async def release(self, _: ReleaseLease) -> None:
        """Let another master begin at once: this one has ended, or its term was not won."""
        self._promised = self._clock.seconds()
        self._released = True

    def _may_grant(self, call: RequestVote) -> bool:
        if call.elected and call.term == self._state.term:
            # Two asked for votes in one term, and a majority has elected the other one.
            return True
        if not self._state.term < call.term <= self._state.term + MAX_TERM_STEP:
            return False
        if call.elected:
            return True
        # Before anything else, so that one that could not begin deposes no master.
        current = newest((self._state.replica_set, call.replica_set))
        if current.in_sync and call.master not in current.in_sync and not call.accept_loss:
            return False
        if call.master == self._state.master:
            return True
        # A node that was removed or is offline votes no more, and so leads no more either.
        known = {name for group in current.groups() for name in group}
        if known and call.master not in known:
            return False
        # So that a master that was replaced while it was away does not replace its successor.
        if self._state.master not in ("", *call.instead):
            return False
        # A master counts the vote of its own host's node daemon without asking it again. Only one
        # that has given up the newest term does not: of several that take over at once, each on a
        # host of its own, none would ever win.
        if self._serves() and call.master != self._name and not self._released:
            return False
        if self._lease() > 0:
            # A failover that a person has asked for: what was promised is kept, and not renewed.
            self._yields, self._successor = self._clock.seconds() + YIELD, call.master
            return False
        return True

    def _lease(self) -> float:
        return max(0.0, self._promised - self._clock.seconds())

    def _ballot(
        self, *, granted: bool, copy: ReplicaEnd | None = None, common: ReplicaEnd | None = None
    ) -> Ballot:
        return Ballot(
            granted=granted,
            state=self._state,
            lease=self._lease(),
            copy=copy,
            common=common,
            serves=self._serves(),
        )

    async def _persist(self, state: VoterState) -> None:
        await self._files.replace(self._path, msgspec.json.encode(state), mode=0o600)
        self._state, self._persisted = state, self._clock.seconds()
