# SPDX-License-Identifier: BSD-2-Clause
"""The vote of a node: which master it follows since which term, and until when it promised to."""

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
    VOTER_LEASE_TIME,
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

YIELD_SECONDS = 2 * VOTER_LEASE_TIME
"""Seconds for which a node refuses to renew the lease after a take-over request for its vote."""

PERSIST_INTERVAL = 5.0
"""Minimum seconds between two writes of the acknowledged position alone."""


def read_voter_state(files: IFiles, path: str) -> VoterState:
    """Return the vote in the file at ``path``; the initial vote if it does not exist.

    :raises Failed: the file is damaged.
    """
    if files.stat(path) is None:
        return VoterState()
    try:
        return msgspec.json.decode(files.read(path), type=VoterState)
    except UNREADABLE as e:
        raise Failed(
            f"{path} is damaged ({e}); it protects this node from a replaced master, so remove it"
            " only if it is certain that this node has only one master",
            Code.ENVIRONMENT,
        ) from None


class Voter:
    """Grants terms: each is newer than the previous one, and has one master only.

    After a renewal by its master, it grants no term to others for ``VOTER_LEASE_TIME`` seconds.
    Since it does not know the last renewal when the daemon starts, it also waits that long then.
    After a take-over request for its vote it no longer renews the lease, so that the take-over
    succeeds even while the old master runs and cannot be stopped.
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
        """``name`` is this node; ``serves`` returns the local master daemon's process id, or 0."""
        self._files = files
        self._path = path
        self._clock = clock
        self._replica = replica
        self._master_pid = serves
        self._name = name
        self._state = read_voter_state(files, path)
        self._promised_until = (
            clock.seconds() + VOTER_LEASE_TIME if self._state.master else clock.seconds()
        )
        self._yields_until = clock.seconds()
        self._successor = ""
        self._released = False
        self._persisted = clock.seconds()
        self._lock = DeferredLock()

    @property
    def state(self) -> VoterState:
        """The newest term that was granted, and what its master has sent."""
        return self._state

    def term(self) -> int:
        """Return the newest granted term; 0 if there is none."""
        return self._state.term

    @property
    def bound(self) -> bool:
        """Whether a promise to the master prevents a grant to another one."""
        return self._remaining_promise() > 0

    async def describe(self, call: DescribeVote) -> Ballot:
        """Return the current vote, and the end of this node's copy of the journal."""
        copy = common = None
        if self._replica is not None:
            copy, common = await self._replica.ends(call.at)
        return self._make_ballot(granted=False, copy=copy, common=common)

    async def request(self, call: RequestVote) -> Ballot:
        """Grant a newer term, unless a promise to another master prevents it.

        The vote is on disk when this returns.
        """
        async with self._lock:
            granted = self._may_grant(call)
            if granted:
                state = replace(self._state, term=call.term, master=call.master)
                # On disk before the answer: a vote that is forgotten could be given to two masters
                # of one term.
                await self._persist(state)
                self._promised_until = self._clock.seconds() + VOTER_LEASE_TIME
                self._yields_until = self._clock.seconds()
                self._released = False
                self._log.info(
                    "granted term {term} to {master}", term=call.term, master=call.master
                )
            return self._make_ballot(granted=granted)

    async def renew(self, call: RenewLease) -> int:
        """Promise to grant no other master a term for a while; store a newer replica set.

        Only calls of the accepted term reach this. Return the generation of the stored set.

        :raises Failed: another node is taking over, so that the lease ends.
        """
        async with self._lock:
            if self._clock.seconds() < self._yields_until:
                raise Failed(f"a failover to {self._successor} is in progress")
            state, sent, newer = self._state, call.replica_set, False
            if sent is not None and sent.order > state.replica_set.order:
                newer, state = True, replace(state, replica_set=sent)
            # A new master has adopted what was reported before, or an administrator has accepted
            # the loss.
            first = state.replica_set.term > self._state.replica_set.term
            if first or call.acknowledged.position > state.acknowledged.position:
                state = replace(state, acknowledged=call.acknowledged)
            due = self._clock.seconds() - self._persisted >= PERSIST_INTERVAL
            if newer or (due and state != self._state):
                await self._persist(state)
            # A position that is not on disk yet is only kept in memory.
            self._state = state
            # Counted from after the write: the promise may be longer than the master expects, never
            # shorter.
            self._promised_until = self._clock.seconds() + VOTER_LEASE_TIME
            stored = state.replica_set
            return stored.generation if stored.term == state.term else 0

    async def release_lease(self, _: ReleaseLease) -> None:
        """Release the promise, because the master has ended or its term was not won."""
        self._promised_until = self._clock.seconds()
        self._released = True

    def _may_grant(self, call: RequestVote) -> bool:
        if call.elected and call.term == self._state.term:
            # Two masters requested votes in one term, and a majority has elected the other one.
            return True
        if not self._state.term < call.term <= self._state.term + MAX_TERM_STEP:
            return False
        if call.elected:
            return True
        # Checked first, so that a master that cannot begin its term deposes no other one.
        current = newest((self._state.replica_set, call.replica_set))
        if current.in_sync and call.master not in current.in_sync and not call.accept_loss:
            return False
        if call.master == self._state.master:
            return True
        # A removed or offline node is not a voter, and must not become the master.
        known = {name for group in current.groups() for name in group}
        if known and call.master not in known:
            return False
        # A master that was replaced while it was disconnected must not depose its successor.
        if self._state.master not in ("", *call.instead):
            return False
        # A master counts the vote of its own node daemon without a call. The exception is one that
        # has released the newest term: if several take over at once, each on its own host, none
        # could win otherwise.
        if self._master_pid() and call.master != self._name and not self._released:
            return False
        if self._remaining_promise() > 0:
            # A failover requested by an administrator: keep the promise, but do not renew it.
            self._yields_until, self._successor = self._clock.seconds() + YIELD_SECONDS, call.master
            return False
        return True

    def _remaining_promise(self) -> float:
        return max(0.0, self._promised_until - self._clock.seconds())

    def _make_ballot(
        self, *, granted: bool, copy: ReplicaEnd | None = None, common: ReplicaEnd | None = None
    ) -> Ballot:
        return Ballot(
            granted=granted,
            state=self._state,
            lease=self._remaining_promise(),
            copy=copy,
            common=common,
            serves=self._master_pid(),
        )

    async def _persist(self, state: VoterState) -> None:
        await self._files.replace(self._path, msgspec.json.encode(state), mode=0o600)
        self._state, self._persisted = state, self._clock.seconds()
