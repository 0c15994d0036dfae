# SPDX-License-Identifier: BSD-2-Clause
"""Mastership by the leader key of a state store: nodes neither vote nor have copies of the state.

Nodes learn the term from the calls of the master, and refuse calls of older terms.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from ganeti.errors import Code, NotMaster, Refused
from ganeti.journal.etcd.leadership import Leadership
from ganeti.master.lease_waiting import answer_while_held, wait_until_ready
from ganeti.master.mastership import STOPPING
from ganeti.rpc.quorum import ReplicaSet

T = TypeVar("T")


class StoreTerm:
    """The term and the lease of the master, as ``MasterTerm`` for a cluster whose nodes vote."""

    elected = True

    def __init__(
        self,
        leadership: Leadership,
        clock: IReactorTime,
    ) -> None:
        """``leadership`` was acquired."""
        self._leadership = leadership
        self._clock = clock
        self._serves = False
        self._stopped = False

    def term(self) -> int:
        """Return the term that calls to nodes carry."""
        return self._leadership.term

    @property
    def begun(self) -> bool:
        """Whether the term has begun, which allows commits."""
        return True

    @property
    def lost(self) -> bool:
        """Whether a newer master was observed."""
        return self._leadership.superseded

    @property
    def in_effect(self) -> ReplicaSet:
        """An empty replica set: no node has a copy, and none votes."""
        return ReplicaSet()

    def holds_lease(self) -> bool:
        """Return whether this master holds the lease now."""
        return not self._stopped and self._leadership.holds_lease()

    async def confirm_lease(self) -> None:
        """Return when this master holds the lease.

        :raises NotMaster: there is a newer master, or this one is stopping.
        """
        await self._leadership.held()

    def serve(self) -> None:
        """Let clients make changes, because the first commit of the term is acknowledged."""
        self._serves = True
        self._leadership.notify_waiters()

    async def ready(self) -> None:
        """Return when changes can be made, after a wait of at most ``LEASE_WAIT_TIMEOUT`` seconds.

        :raises Refused: the store does not answer; the message says why.
        :raises NotMaster: there is a newer master.
        """
        ready = self._leadership.wait_until(lambda: self._serves and self.holds_lease())
        await wait_until_ready(ready, self.explained, self._clock)

    async def bounded(self, answer: Awaitable[T]) -> T:
        """Return the result of ``answer``, or raise if the lease is lost for too long meanwhile.

        :raises Refused: the outcome is unknown.
        """
        return await answer_while_held(answer, self.holds_lease, self.explained, self._clock)

    def explained(self) -> str:
        """Return why changes are refused now, and how to make them possible."""
        why = self._leadership.problem or "the first commit is not acknowledged yet"
        return (
            f"changes are refused: the state store does not acknowledge them ({why}). More than"
            " half of the members of etcd must run and reach each other; gnt-cluster verify shows"
            " their state"
        )

    def on_members_changed(self) -> None:
        """Do nothing: nodes do not vote."""

    async def agreed(self) -> None:
        """Return: nodes do not vote."""

    def confirm_down(self, names: Collection[str]) -> None:
        """Refuse: nodes do not vote.

        :raises Refused: always.
        """
        raise Refused(
            "the state of this cluster is in etcd, and nodes do not vote; bring back more than half"
            " of the members of etcd",
            Code.STATE,
        )

    def observe_newer_master(self, error: NotMaster) -> None:
        """Handle the report that a node follows a newer master."""
        if not self._stopped:
            self._leadership.end_leadership(error)

    def observed(self, term: int, master: str) -> None:
        """Handle the report that the local node daemon follows ``master`` since ``term``."""
        if term > self.term():
            self.observe_newer_master(
                NotMaster(f"{master} is the master now: this node follows it since term {term}")
            )

    async def end_store_authority(self) -> bool:
        """Put etcd out of charge of the state; return False if it stays in charge.

        See ``Leadership.put_in_charge``.
        """
        return await self._leadership.put_in_charge(False)

    def stop(self) -> None:
        """Stop renewing the lease; waiters get ``NotMaster``."""
        self._stopped = True
        self._leadership.stop(NotMaster(STOPPING))

    async def release_lease(self, *, stopped: bool = False) -> None:
        """Delete the leader key, so that another master can begin at once.

        ``stopped`` lets candidates wait for a while whether this master is started again.
        """
        if not self.lost:
            await self._leadership.delete_leader_key(stopped=stopped)
