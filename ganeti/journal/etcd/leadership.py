# SPDX-License-Identifier: BSD-2-Clause
"""The leader key: it exists while its master lives, on a lease that is kept alive.

The revision in which the key was created identifies one leadership. Every change of the state is a
transaction that requires this revision, so that a deposed master cannot make one. The term, which
nodes know from the master's calls, is in a key of its own that only a new master changes.

A renewal also writes the key again. When etcd elects a leader of its own, it extends all leases as
if they had just been renewed; candidates therefore count the time since the last write themselves
(``vacancy``), and a master relies on its lease only after such a write. The key can also disappear
early, when the lease is revoked. A key that is gone, and was not released, may have been
written just before: another master begins only after the time for which its writer relies on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed, GanetiError, NotMaster, Refused
from ganeti.journal.etcd.interfaces import (
    Change,
    Condition,
    CreatedAt,
    DeleteKeys,
    Entry,
    IEtcd,
    ModifiedAt,
    PutKey,
    StoreFull,
    StoreUnavailable,
)
from ganeti.journal.interfaces import StoreError
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record, replace

R = TypeVar("R")

SILENCE_SECONDS = 3
"""Seconds after the last write of the leader key at which its master is replaced.

An election of etcd takes up to two seconds, and a master should keep its role over one.
"""

LEASE_SECONDS = 6
"""Seconds after its last renewal at which etcd deletes the leader key.

Longer than ``SILENCE_SECONDS``: candidates that see a key which is not written know how old it is,
and need not wait again, as they do after it has disappeared.
"""

LEASE_MARGIN = 1.0
"""Seconds by which a master stops to rely on its key earlier than it is replaced.

Clock rates may differ by a third: the master counts from the sending of a renewal, etcd and the
candidates from its receipt.
"""

RENEWAL_INTERVAL = 0.5
"""Seconds between two renewals."""

RETRY_DELAY = 0.2
"""Seconds until a request that was not answered, or a key that is in use, is tried again."""


def leader_key(prefix: str) -> str:
    """Return the leader key below ``prefix``."""
    return f"{prefix}leader"


def term_key(prefix: str) -> str:
    """Return the key of the newest term below ``prefix``."""
    return f"{prefix}term"


def ended_key(prefix: str) -> str:
    """Return the key below ``prefix`` of the note that a silent master was deposed."""
    return f"{prefix}ended"


class Holder(Record):
    """The value of the leader key: the master's node, and the process on it.

    ``boot`` identifies the boot of the host, without which a process id means nothing.
    """

    master: str
    process: int = 0
    boot: str = ""


class Term(Record):
    """The value of the term key: the newest term and its master.

    ``stopped`` states that the master was stopped in an orderly way, perhaps to be started again.
    Unless ``in_charge``, the state is in files, and what etcd has is incomplete or old. While the
    state is moved, this alone decides where it is (``ganeti.master.state_move``).
    """

    term: int = 0
    master: str = ""
    stopped: bool = False
    in_charge: bool = True


class SeenKey:
    """When the leader key was last seen to have been written, by the clock of who sees it."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._revision = 0
        self._at = 0.0

    def is_silent(self, leader: Entry) -> bool:
        """Return whether the key is one that no master relies on any more."""
        now = self._clock.seconds()
        if leader.mod_revision != self._revision:
            self._revision, self._at = leader.mod_revision, now
        return now - self._at >= SILENCE_SECONDS


async def end_silence(etcd: IEtcd, prefix: str, name: str, revision: int) -> bool:
    """Delete a leader key that is silent, in the name of a node; return False if it is not.

    ``revision`` is that of the write after which the silence began.
    """
    key = leader_key(prefix)
    # With a key that is written, etcd refuses this as well while it has no space.
    note = PutKey(ended_key(prefix), msgspec.json.encode(Holder(master=name)))
    done = await etcd.txn([ModifiedAt(key, revision)], [DeleteKeys(key, f"{key}\0"), note])
    return done.succeeded


class StateInFiles(GanetiError):
    """The state of the cluster is not in etcd, but in files of the master candidates."""


class Leadership:
    """The leader key of this process below ``prefix``; ``me`` is what it stores there.

    ``lost`` is called once when another master has the role.
    """

    _log = Logger()

    def __init__(
        self,
        etcd: IEtcd,
        prefix: str,
        me: Holder,
        clock: IReactorTime,
        *,
        lost: Callable[[NotMaster], None] = lambda _: None,
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self.key, self._term_key = leader_key(prefix), term_key(prefix)
        self._me = me
        self._clock = clock
        self._on_lost = lost
        self._lease = 0
        self._revision = 0
        self._term_revision = 0
        self._held_until = 0.0
        self._gone_since: float | None = None
        self._seen = SeenKey(clock)
        self._first_seen_term: int | None = None
        self._lost: NotMaster | None = None
        self._renewing: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._lock = DeferredLock()
        self.problem = ""
        """Why the last request to etcd failed; empty if it did not."""
        self.term = 0
        """The term of this leadership; 0 before it."""
        self.superseded = False
        """Whether another master has the role."""

    def holds_lease(self) -> bool:
        """Return whether no other master can exist now."""
        return (
            self._lost is None and self._revision != 0 and self._clock.seconds() < self._held_until
        )

    async def acquire(
        self,
        *,
        floor: int = 0,
        take_over: bool = False,
        vacant: bool = False,
        moving: bool = False,
        has_ended: Callable[[Holder], bool] = lambda _: False,
    ) -> None:
        """Become the leader, in a term above ``floor``; return when the key is ours.

        While the state is ``moving``, an etcd without a term has never been in charge.

        Without ``take_over``, only the node that was the master last can; if the role is
        ``vacant``, any node can: the caller has found out that no master acts. A lease of a process
        of this node that ``has_ended`` is revoked, that of another process of this node is waited
        for, and with ``take_over`` that of the master which is to be replaced, too.

        :raises NotMaster: another node is the master, or with ``take_over``, has become the master
           meanwhile.
        :raises StateInFiles: etcd is not in charge of the state.
        """

        async def attempt() -> bool:
            return await self._try_to_acquire(floor, take_over, vacant, moving, has_ended)

        await self._repeat(attempt)

    async def acquire_for_move(self, term: int) -> None:
        """Become the leader in ``term``, which this master has by votes, with etcd not in charge.

        :raises Refused: etcd is in charge of the state of this cluster, or has seen a newer term.
        """
        await self._repeat(lambda: self._try_to_acquire_for_move(term))

    async def _repeat(self, attempt: Callable[[], Awaitable[bool]]) -> None:
        """Repeat an attempt to get the leader key until it succeeds, and then renew the lease."""
        while True:
            try:
                if await attempt():
                    break
            except StoreUnavailable as e:
                self.report(str(e))
            await deferLater(self._clock, RETRY_DELAY)
        self._log.info(
            "{node} holds the leader key in term {term}", node=self._me.master, term=self.term
        )
        self._renewing = Deferred.fromCoroutine(self._renew_periodically())
        self._renewing.addErrback(self._on_renewal_stopped)

    async def _try_to_acquire(
        self,
        floor: int,
        take_over: bool,
        vacant: bool,
        moving: bool,
        has_ended: Callable[[Holder], bool],
    ) -> bool:
        leader, (term, term_revision) = await self._find_leader(), await self._find_term()
        if not term.in_charge or (moving and not term_revision):
            raise StateInFiles("the state of the cluster is in files, and not in etcd")
        if self._first_seen_term is None:
            self._first_seen_term = term.term
        if leader is not None and leader.lease == self._lease:
            # The answer to an earlier attempt was lost.
            self._became_leader(leader.create_revision, term.term, term_revision)
            return True
        if leader is not None:
            holder = decode(leader, Holder)
            if holder.master == self._me.master and has_ended(holder):
                await self._etcd.revoke(leader.lease)
                return await self._try_to_acquire(floor, take_over, vacant, moving, has_ended)
            if holder.master != self._me.master and not (
                take_over and term.term == self._first_seen_term
            ):
                raise _make_not_master(self._me.master, holder.master)
            # It exists again, so that its next disappearance counts from the beginning.
            self._gone_since = None
            if take_over and self._seen.is_silent(leader):
                await end_silence(self._etcd, self._prefix, self._me.master, leader.mod_revision)
            return False
        if term.master not in ("", self._me.master) and not (take_over or vacant):
            raise _make_not_master(self._me.master, term.master)
        if not (vacant or await self._is_over(term, term_revision)):
            return False
        new = Term(term=max(term.term, floor) + 1, master=self._me.master)
        return await self._create(new, term_revision)

    async def _is_over(self, term: Term, revision: int) -> bool:
        """Return whether the master of ``term``, whose leader key is gone, acts no more.

        If it is not known how the key disappeared, its master may rely on its last write.
        """
        now = self._clock.seconds()
        if self._gone_since is None:
            self._gone_since = now
        if term.stopped or term.master in ("", self._me.master):
            return True
        # A note that is newer than the term was written when the key of its master was deleted for
        # its silence, so that the master no longer relies on it.
        ended = (await self._etcd.read(ended_key(self._prefix))).entries
        if ended and ended[0].mod_revision > revision:
            return True
        return now - self._gone_since >= SILENCE_SECONDS

    async def _try_to_acquire_for_move(self, number: int) -> bool:
        leader, (term, term_revision) = await self._find_leader(), await self._find_term()
        if leader is not None and leader.lease == self._lease:
            self._became_leader(leader.create_revision, term.term, term_revision)
            return True
        if term_revision and term.in_charge:
            raise Refused(
                f"etcd has the state of this cluster already, of {term.master} in term {term.term};"
                " if it is not used any more, delete the keys of the cluster from etcd",
                Code.STATE,
            )
        if term.term > number or (term.term == number and term.master != self._me.master):
            raise Refused(
                f"etcd has seen {term.master} as the master in term {term.term}, after this one in"
                f" term {number}",
                Code.STATE,
            )
        if leader is not None:
            return False  # of an attempt that was interrupted; its lease ends soon
        new = Term(term=number, master=self._me.master, in_charge=False)
        return await self._create(new, term_revision)

    async def _create(self, new: Term, term_revision: int) -> bool:
        """Create the leader key and write a term, unless another master does."""
        await self._grant()
        result = await self._etcd.txn(
            [CreatedAt(self.key, 0), ModifiedAt(self._term_key, term_revision)],
            [self._put_leader(), PutKey(self._term_key, msgspec.json.encode(new))],
        )
        if result.succeeded:
            self._became_leader(result.revision, new.term, result.revision)
        return result.succeeded

    async def put_in_charge(self, in_charge: bool) -> bool:
        """Decide whether etcd is in charge of the state; return False if it stays as it was.

        Return when the outcome is certain: until then, no master may act on files or on etcd.
        """
        leader, before = self._revision, self._term_revision
        new = Term(term=self.term, master=self._me.master, in_charge=in_charge)
        conditions: list[Condition] = [
            CreatedAt(self.key, leader),
            ModifiedAt(self._term_key, before),
        ]
        put = PutKey(self._term_key, msgspec.json.encode(new))
        pending = False
        while True:
            try:
                result = await self._etcd.txn(conditions, [put])
                if result.succeeded:
                    self._term_revision = result.revision
                    return True
                # Either an earlier attempt has succeeded, or none can any more: the leader key was
                # deleted, or another master has written the term.
                found, revision = await self._find_term()
                if revision != before and found == new:
                    self._term_revision = revision
                    return True
                return False
            except StoreFull as e:
                self.report(str(e))
                # etcd has refused it for lack of space, and no other attempt can be carried out any
                # more: so the outcome is certain.
                if not pending and await self._is_term_revision(before):
                    return False
            except StoreUnavailable as e:
                # This attempt may be carried out at any time, unless its conditions no longer hold.
                pending = True
                self.report(str(e))
            await deferLater(self._clock, RETRY_DELAY)

    async def _is_term_revision(self, revision: int) -> bool:
        while True:
            try:
                return (await self._find_term())[1] == revision
            except StoreUnavailable:
                await deferLater(self._clock, RETRY_DELAY)

    def _became_leader(self, revision: int, term: int, term_revision: int) -> None:
        self._revision, self.term, self._term_revision = revision, term, term_revision
        self.report("")
        self.notify_waiters()

    async def _grant(self) -> None:
        sent = self._clock.seconds()
        self._lease = await self._etcd.grant(LEASE_SECONDS)
        self._held_until = sent + SILENCE_SECONDS - LEASE_MARGIN

    def _put_leader(self) -> Change:
        return PutKey(self.key, msgspec.json.encode(self._me), self._lease)

    async def revision(self) -> int:
        """Return the revision of the leader key, when it is ours.

        :raises NotMaster: another master has the role, or this one is stopping.
        """
        await self.wait_until(lambda: self._revision != 0)
        return self._revision

    async def held(self) -> None:
        """Return when the lease is good: no other master can exist.

        :raises NotMaster: another master has the role, or this one is stopping.
        """
        await self.wait_until(self.holds_lease)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; it is evaluated when anything has changed.

        :raises NotMaster: another master has the role, or this one is stopping.
        """
        while self._lost is not None or not condition():
            if self._lost is not None:
                raise self._lost
            waiting: Deferred[None] = Deferred(self._forget_waiting)
            self._waiting.append(waiting)
            await waiting

    async def check(self, revision: int) -> None:
        """Find out why a transaction that requires ``revision`` of the leader key has failed.

        Return if the leadership continues, perhaps with another revision.

        :raises NotMaster: it does not.
        :raises StoreUnavailable: this is not known.
        """
        leader = await self._find_leader()
        if leader is None or leader.create_revision != revision:
            if self._revision == revision:
                self._revision = 0
            await self._regain()

    # --- renewal

    async def _renew_periodically(self) -> None:
        while self._lost is None:
            await deferLater(self._clock, RENEWAL_INTERVAL)
            try:
                await self._renew()
            except NotMaster as e:
                self.end_leadership(e)
            except (OSError, Failed) as e:
                self.report(str(e))

    async def _renew(self) -> None:
        sent = self._clock.seconds()
        # First, as the key is deleted with its lease, and writing it again would not help then.
        seconds = await self._etcd.keep_alive(self._lease)
        if seconds <= 0:
            self._revision = 0
            await self._regain()
            return
        if not self._revision:
            await self._regain()
        elif await self._write_again(self._revision):
            self._held_until = sent + min(seconds, SILENCE_SECONDS) - LEASE_MARGIN
        self.report("")
        self.notify_waiters()

    async def _write_again(self, revision: int) -> bool:
        """Write the leader key, which shows candidates that this master lives.

        Return whether it was still the key of ``revision``; otherwise it has been created again.

        :raises NotMaster: a newer term has begun.
        """
        written = await self._etcd.txn([CreatedAt(self.key, revision)], [self._put_leader()])
        if not written.succeeded:
            if self._revision == revision:
                self._revision = 0
            await self._regain()
        return written.succeeded

    async def _regain(self) -> None:
        """Create the leader key again after its lease has ended, unless a newer term has begun.

        :raises NotMaster: a newer term has begun.
        """
        async with self._lock:
            # Several transactions may fail for this reason at once, and the first of them has
            # created the key.
            if not self._revision:
                await self._try_to_regain()

    async def _try_to_regain(self) -> None:
        leader = await self._find_leader()
        if leader is not None and leader.lease == self._lease:
            self._became_leader(leader.create_revision, self.term, self._term_revision)
            return
        term, term_revision = await self._find_term()
        if term_revision != self._term_revision:
            raise _make_superseded(self._me.master, term)
        if leader is not None:
            # Of the same term: a key of ours, whose lease has not been found to be over yet.
            return
        await self._grant()
        ended = ended_key(self._prefix)
        result = await self._etcd.txn(
            [CreatedAt(self.key, 0), ModifiedAt(self._term_key, self._term_revision)],
            [self._put_leader(), DeleteKeys(ended, f"{ended}\0")],
        )
        if result.succeeded:
            self._log.warn("the lease of the leader key had ended, and was granted again")
            self._became_leader(result.revision, self.term, self._term_revision)

    def _on_renewal_stopped(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("internal error in the renewal of the lease", failure)

    def report(self, problem: str) -> None:
        """Record why a request to etcd failed, or with an empty text, that one succeeded."""
        if problem and not self.problem:
            self._log.warn("etcd does not answer: {why}", why=problem)
        elif self.problem and not problem:
            self._log.info("etcd answers again")
        self.problem = problem

    # --- the end

    def end_leadership(self, error: NotMaster) -> None:
        """Give up the role, because another master has it."""
        if self._lost is None:
            self._lost, self.superseded = error, True
            self.notify_waiters()
            self._on_lost(error)

    def stop(self, error: NotMaster) -> None:
        """Stop to renew the lease; those that wait for it get ``error``."""
        if self._lost is None:
            self._lost = error
        if self._renewing is not None:
            self._renewing.cancel()
        self.notify_waiters()

    async def delete_leader_key(self, *, stopped: bool = False) -> None:
        """Delete the leader key now, so that another master need not wait for its lease.

        ``stopped`` tells other candidates that the master may be started again soon.
        """
        if not self._lease:
            return
        # Without an answer, the lease ends by itself.
        with suppress(StoreError):
            if stopped and self._revision:
                term = Term(term=self.term, master=self._me.master, stopped=True)
                await self._etcd.txn(
                    [
                        CreatedAt(self.key, self._revision),
                        ModifiedAt(self._term_key, self._term_revision),
                    ],
                    [PutKey(self._term_key, msgspec.json.encode(term))],
                )
            await self._etcd.revoke(self._lease)

    # --- reading

    async def _find_leader(self) -> Entry | None:
        entries = (await self._etcd.read(self.key)).entries
        return entries[0] if entries else None

    async def _find_term(self) -> tuple[Term, int]:
        entries = (await self._etcd.read(self._term_key)).entries
        return (decode(entries[0], Term), entries[0].mod_revision) if entries else (Term(), 0)

    def notify_waiters(self) -> None:
        """Let those that wait evaluate their conditions again."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            # In a later turn: a waiter that runs now would see a partial change of this object.
            self._clock.callLater(0, _fire, each)

    def _forget_waiting(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)


def decode(entry: Entry, kind: type[R]) -> R:
    """Return the value of a key as a record.

    :raises Failed: it cannot be read.
    """
    try:
        return msgspec.json.decode(entry.value, type=kind)
    except UNREADABLE as e:
        raise Failed(
            f"the key {entry.key} in etcd cannot be read: {e}; was it written by another program?",
            Code.ENVIRONMENT,
        ) from None


async def keep_in_files(etcd: IEtcd, prefix: str, name: str, clock: IReactorTime) -> None:
    """Prevent that a move of the state to etcd, which may be in progress elsewhere, succeeds.

    To be called by a master ``name`` that has the votes of the nodes, before it acts: a master that
    has lost them may have put etcd in charge until then, but cannot do so afterwards.

    :raises NotMaster: etcd is in charge.
    """
    key = term_key(prefix)
    while True:
        try:
            entries = (await etcd.read(key)).entries
            found = decode(entries[0], Term) if entries else Term(in_charge=False)
            if found.in_charge:
                raise NotMaster(
                    f"the state of the cluster was moved to etcd by {found.master}; start the"
                    " master daemon again"
                )
            put = PutKey(key, msgspec.json.encode(replace(found, master=name)))
            revision = entries[0].mod_revision if entries else 0
            if (await etcd.txn([ModifiedAt(key, revision)], [put])).succeeded:
                return
        except StoreUnavailable:
            await deferLater(clock, RETRY_DELAY)


def _make_not_master(name: str, master: str) -> NotMaster:
    return NotMaster(
        f"{master} is the master, and this node is {name}; to make this node the master:"
        " gnt-cluster master-failover"
    )


def _make_superseded(name: str, term: Term) -> NotMaster:
    return NotMaster(
        f"{term.master} is the master now, since term {term.term}. Run the tools there; to make"
        f" {name} the master: gnt-cluster master-failover on that node"
    )


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
