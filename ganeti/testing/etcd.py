# SPDX-License-Identifier: BSD-2-Clause
"""etcd in memory: revisions, leases and transactions, and answers that are late or lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ganeti.journal.etcd.interfaces import (
    Change,
    Condition,
    CreatedAt,
    DeleteKeys,
    Entry,
    IEtcd,
    MemberHealth,
    PutKey,
    ReadResult,
    RevisionCompacted,
    StoreFull,
    StoreHealth,
    StoreUnavailable,
    TxnResult,
)


@dataclass
class _Lease:
    seconds: int
    ends: float


@dataclass
class EtcdData:
    """The content of the store, which all clients of it share.

    ``history`` has the entries of every revision since the last compaction. If it is ``full``, a
    compaction makes room as long as it is ``reclaimable``.
    """

    clock: IReactorTime
    revision: int = 1
    entries: dict[str, Entry] = field(default_factory=dict)
    history: dict[int, dict[str, Entry]] = field(default_factory=dict)
    leases: dict[int, _Lease] = field(default_factory=dict)
    granted: int = 0
    full: bool = False
    reclaimable: bool = True
    puts: int = 0

    def expire(self) -> None:
        """Delete the keys of leases that have ended."""
        now = self.clock.seconds()
        for lease in [each for each, found in self.leases.items() if found.ends <= now]:
            self.end_lease(lease)

    def end_lease(self, lease: int) -> None:
        """End a lease, and delete its keys."""
        if self.leases.pop(lease, None) is None:
            return
        keys = [key for key, entry in self.entries.items() if entry.lease == lease]
        self.apply([DeleteKeys(key, f"{key}\0") for key in keys])

    def holds(self, condition: Condition) -> bool:
        """Return whether a condition holds."""
        entry = self.entries.get(condition.key)
        if isinstance(condition, CreatedAt):
            return condition.revision == (entry.create_revision if entry else 0)
        return condition.revision == (entry.mod_revision if entry else 0)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make changes, all in one revision."""
        if not changes:
            return
        changed = [each.key for each in changes if isinstance(each, PutKey)]
        deleted = [each for each in changes if isinstance(each, DeleteKeys)]
        assert len(changed) == len(set(changed)), "etcd refuses two changes of one key"
        assert not any(gone.start <= key < gone.end for key in changed for gone in deleted)
        # A copy, as a read of this revision must not see later changes.
        self.history[self.revision] = dict(self.entries)
        self.revision += 1
        for gone in deleted:
            for key in [key for key in self.entries if gone.start <= key < gone.end]:
                del self.entries[key]
        for put in changes:
            if isinstance(put, PutKey):
                self.puts += 1
                old = self.entries.get(put.key)
                created = old.create_revision if old else self.revision
                self.entries[put.key] = Entry(put.key, put.value, created, self.revision, put.lease)

    def compact(self) -> None:
        """Forget all revisions but the current one."""
        self.history.clear()


@implementer(IEtcd)
class MemoryEtcd:
    """A client of ``data``; several clients of the same data are several hosts.

    ``latency`` is called for the seconds of a request and of its answer. While ``lost`` is
    "requests", requests do not arrive; while it is "answers", they are carried out and their
    answers are lost.
    """

    timeout = 1.0

    def __init__(
        self,
        data: EtcdData,
        latency: Callable[[], float] = lambda: 0.0,
        *,
        lost: str = "",
        clock: IReactorTime | None = None,
    ) -> None:
        """``clock`` is that of the client's process; without one, it never ends."""
        self._clock = clock or data.clock
        self.data = data
        self.latency = latency
        self.lost = lost
        self.asked = 0

    async def _arrive(self) -> None:
        self.asked += 1
        # By the clock of the store: a request that is on its way arrives even if its sender dies.
        await deferLater(self.data.clock, self.latency())
        if self.lost == "requests":
            await self._time_out()
        self.data.expire()

    async def _answer(self) -> None:
        # By the clock of the client: a process that is paused or dead receives nothing.
        await deferLater(self._clock, self.latency())
        if self.lost:
            await self._time_out()

    async def _time_out(self) -> None:
        await deferLater(self._clock, self.timeout)
        raise StoreUnavailable("etcd: no answer")

    async def txn(self, conditions: Sequence[Condition], changes: Sequence[Change]) -> TxnResult:
        await self._arrive()
        succeeded = all(map(self.data.holds, conditions))
        # A full etcd refuses whatever takes space, and still deletes keys.
        puts = any(isinstance(each, PutKey) for each in changes)
        if self.data.full and puts:
            raise StoreFull("etcd has exceeded its space quota")
        if succeeded:
            leases = {each.lease for each in changes if isinstance(each, PutKey) and each.lease}
            if leases - self.data.leases.keys():
                raise StoreUnavailable("etcd: requested lease not found")
            self.data.apply(changes)
        revision = self.data.revision
        await self._answer()
        return TxnResult(succeeded, revision)

    async def read(
        self,
        start: str,
        end: str = "",
        *,
        limit: int = 0,
        revision: int = 0,
        keys_only: bool = False,
    ) -> ReadResult:
        await self._arrive()
        current = self.data.revision
        if revision not in (0, current) and revision not in self.data.history:
            raise RevisionCompacted("the revision has been compacted")
        then = self.data.entries if revision in (0, current) else self.data.history[revision]
        found = sorted(
            (entry for key, entry in then.items() if start <= key < (end or f"{start}\0")),
            key=lambda entry: entry.key,
        )
        if keys_only:
            found = [replace(entry, value=b"") for entry in found]
        some = found[:limit] if limit else found
        await self._answer()
        return ReadResult(tuple(some), revision or current, len(some) < len(found))

    async def grant(self, seconds: int) -> int:
        await self._arrive()
        if self.data.full:
            raise StoreFull("etcd has exceeded its space quota")
        self.data.granted += 1
        lease = self.data.granted
        self.data.leases[lease] = _Lease(seconds, self.data.clock.seconds() + seconds)
        await self._answer()
        return lease

    async def keep_alive(self, lease: int) -> int:
        await self._arrive()
        found = self.data.leases.get(lease)
        if found is not None:
            found.ends = self.data.clock.seconds() + found.seconds
        await self._answer()
        # etcd answers with zero seconds for a lease that has ended.
        return found.seconds if found is not None else 0

    async def revoke(self, lease: int) -> None:
        await self._arrive()
        self.data.end_lease(lease)
        await self._answer()

    async def free_space(self) -> None:
        await self._arrive()
        self.data.compact()
        self.data.full = self.data.full and not self.data.reclaimable
        await self._answer()

    async def health(self) -> StoreHealth:
        problem = "no answer" if self.lost else ""
        alarms = ("NOSPACE",) if self.data.full else ()
        return StoreHealth((MemberHealth("memory", "3.4.0", True, problem=problem),), alarms)
