# SPDX-License-Identifier: BSD-2-Clause
"""The protocol that is in charge of the state now: votes and copies of nodes, or a state store.

A master keeps these two objects while the state is moved from one to the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import NotMaster
from ganeti.journal.interfaces import IReplicas, LogPosition
from ganeti.master.candidates import Candidates
from ganeti.master.lease_waiting import answer_while_held, wait_until_ready
from ganeti.master.mastership import MasterTerm
from ganeti.master.store_replication import StoreReplication
from ganeti.master.store_term import StoreTerm
from ganeti.metrics.family import MetricFamily
from ganeti.model.node import Node
from ganeti.rpc.quorum import ReplicaSet

T = TypeVar("T")

Copies: TypeAlias = Candidates | StoreReplication
AnyTerm: TypeAlias = MasterTerm | StoreTerm


class CurrentTerm:
    """The term of the master by the protocol that is in charge; both have the same number."""

    def __init__(self, term: AnyTerm, clock: IReactorTime) -> None:
        self.now = term
        self._clock = clock

    def replace_protocol(self, term: AnyTerm) -> None:
        """Replace the protocol; those that wait for the lease wait for the new one."""
        self.now = term

    def term(self) -> int:
        """Return the term that calls to nodes carry."""
        return self.now.term()

    @property
    def elected(self) -> bool:
        """Whether this master has the term."""
        return self.now.elected

    @property
    def begun(self) -> bool:
        """Whether the term has begun, which allows commits."""
        return self.now.begun

    @property
    def lost(self) -> bool:
        """Whether a newer master was observed."""
        return self.now.lost

    @property
    def in_effect(self) -> ReplicaSet:
        """The replica set; empty if nodes have no copies."""
        return self.now.in_effect

    def holds_lease(self) -> bool:
        """Return whether this master holds the lease now."""
        return self.now.holds_lease()

    def explained(self) -> str:
        """Return why changes are refused now, and how to make them possible."""
        return self.now.explained()

    async def confirm_lease(self) -> None:
        """Return when this master holds the lease.

        :raises NotMaster: there is a newer master, or this one is stopping.
        """
        await self._wait(lambda: self.now.confirm_lease())

    async def ready(self) -> None:
        """Return when changes can be made, after a wait of at most ``LEASE_WAIT_TIMEOUT`` seconds.

        :raises Refused: the lease was not held for so long; the message says why.
        :raises NotMaster: there is a newer master.
        """
        ready = self._wait(lambda: self.now.ready())
        await wait_until_ready(ready, self.explained, self._clock)

    async def bounded(self, answer: Awaitable[T]) -> T:
        """Return the result of ``answer``, or raise if the lease is lost for too long meanwhile.

        :raises Refused: the outcome is unknown.
        """
        return await answer_while_held(answer, self.holds_lease, self.explained, self._clock)

    async def agreed(self) -> None:
        """Return when the voters match the members.

        :raises NotMaster: there is a newer master.
        """
        await self._wait(lambda: self.now.agreed())

    async def _wait(self, wait: Callable[[], Awaitable[None]]) -> None:
        while True:
            # An answer of a protocol that was replaced meanwhile does not count.
            begun = self.now
            try:
                await wait()
            except NotMaster:
                if self.now is begun:
                    raise
            else:
                if self.now is begun:
                    return

    def on_members_changed(self) -> None:
        """Let the voters match the current nodes."""
        self.now.on_members_changed()

    def confirm_down(self, names: Collection[str]) -> None:
        """Exclude the votes of nodes that an administrator has confirmed to be down.

        :raises Refused: a node answers, or nodes do not vote.
        """
        self.now.confirm_down(names)

    def observe_newer_master(self, error: NotMaster) -> None:
        """Handle the report that a node follows a newer master."""
        self.now.observe_newer_master(error)

    def observed(self, term: int, master: str) -> None:
        """Handle the report that the local node daemon follows ``master`` since ``term``."""
        self.now.observed(term, master)

    def serve(self) -> None:
        """Let clients make changes, because the first commit of the term is acknowledged."""
        self.now.serve()

    def stop(self) -> None:
        """Stop renewing the lease; waiters get ``NotMaster``."""
        self.now.stop()

    async def release_lease(self, *, stopped: bool = False) -> None:
        """Give the lease back, so that another master can begin at once.

        ``stopped`` lets candidates wait for a while whether this master is started again.
        """
        if isinstance(self.now, StoreTerm):
            await self.now.release_lease(stopped=stopped)
        else:
            await self.now.release_lease()


@implementer(IReplicas)
class CurrentCopies:
    """The copies of the journal by the protocol that is in charge.

    During a move, ``next`` gets all commits as well. If it fails, it is dropped.
    """

    _log = Logger()

    def __init__(self, copies: Copies) -> None:
        self.now = copies
        self.next: Copies | None = None

    def replace_protocol(self, copies: Copies) -> None:
        """Replace the protocol; to be called while no commit is being stored."""
        self.now, self.next = copies, None

    def drop_next(self) -> None:
        """Stop the copies of a move that has failed."""
        dropped, self.next = self.next, None
        if dropped is not None:
            dropped.stop()

    async def store_frames(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        if self.next is None:
            await self.now.store_frames(after, frames, end)
            return
        other = Deferred.fromCoroutine(self.next.store_frames(after, frames, end))
        other.addErrback(self._on_next_failed)
        try:
            await self.now.store_frames(after, frames, end)
        except (OSError, NotMaster):
            # The copies are busy with these frames until this returns.
            await other
            raise
        await other

    def _on_next_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster, OSError):
            self._log.failure("internal error while the state is moved", failure)
        self.drop_next()

    async def confirm_lease(self) -> None:
        await self.now.confirm_lease()

    def discard_after(self, end: LogPosition) -> None:
        for each in self._both():
            each.discard_after(end)

    async def probe(self) -> None:
        await self.now.probe()

    def _both(self) -> Sequence[Copies]:
        return [self.now] if self.next is None else [self.now, self.next]

    def members(self, nodes: Iterable[Node]) -> None:
        """Replicate to the candidates among ``nodes``, all nodes of the cluster."""
        listed = tuple(nodes)
        for each in self._both():
            each.members(listed)

    def out_of_sync(self) -> Mapping[str, str]:
        """Return the candidates outside the in-sync set, by UUID, each with the reason."""
        return self.now.out_of_sync()

    def lags(self) -> Mapping[str, tuple[bool, int]]:
        """Return by name whether each candidate is in sync, and how many commits it lacks."""
        return self.now.lags()

    async def problems(self) -> Sequence[str]:
        """Return the problems of a state store, each with what to do."""
        return await self.now.problems()

    def families(self) -> Iterable[MetricFamily]:
        """Return the metrics of a state store."""
        return self.now.families()

    def stop(self) -> None:
        """Stop replication; after that, the journal cannot store commits."""
        for each in self._both():
            each.stop()
