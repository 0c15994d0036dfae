# SPDX-License-Identifier: BSD-2-Clause
"""The journal's copy in a state store, in place of those on the master candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import NotMaster
from ganeti.journal.etcd.etcd_store import EtcdStore
from ganeti.journal.etcd.interfaces import IEtcd, StoreFull, StoreHealth
from ganeti.journal.etcd.member_changes import find_size
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import IReplicas, LogPosition, StoreError
from ganeti.master.follower import CheckpointSource
from ganeti.metrics.family import MetricFamily, make_gauges
from ganeti.model.node import Node

SPACE_INTERVAL = 300.0
"""Seconds after an attempt to free space in the store until the next one."""

HEALTH_AGE = 10.0
"""Seconds for which metrics show the same health of the members."""


@implementer(IReplicas)
class StoreReplication:
    """Replication to ``store``; it has the methods of ``Candidates``.

    When the log in the store has grown enough, it is replaced by a checkpoint in the background.
    """

    _log = Logger()

    def __init__(
        self,
        journal: FileJournal,
        store: EtcdStore,
        etcd: IEtcd,
        clock: IReactorTime,
        checkpoint: CheckpointSource,
        *,
        own_members: bool = False,
    ) -> None:
        """``own_members`` says that master candidates run the members of the store."""
        self._own_members = own_members
        self._candidates = 1
        self._journal = journal
        self._store = store
        self._etcd = etcd
        self._clock = clock
        self._checkpoint = checkpoint
        self._uploading: Deferred[None] | None = None
        self._asking: Deferred[None] | None = None
        self._health = StoreHealth(())
        self._health_at = -HEALTH_AGE
        self._free_space_at = 0.0

    # --- IReplicas

    async def store_frames(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        await self._store.store_frames(after, frames, end)
        if self._store.checkpoint_due and self._uploading is None:
            self._uploading = Deferred.fromCoroutine(self._upload_checkpoint())
            self._uploading.addErrback(self._on_upload_failed)
            self._uploading.addBoth(self._on_upload_ended)

    async def confirm_lease(self) -> None:
        await self._store.confirm_lease()

    def discard_after(self, end: LogPosition) -> None:
        self._store.discard_after(end)

    async def probe(self) -> None:
        try:
            await self._store.probe()
        except StoreFull:
            # Not often, as a member answers nothing while it is defragmented.
            if self._clock.seconds() < self._free_space_at:
                raise
            self._free_space_at = self._clock.seconds() + SPACE_INTERVAL
            self._log.warn("the state store has no space left; compacting and defragmenting it")
            await self._etcd.free_space()
            await self._store.probe()
            self._log.info("the state store accepts changes again")

    # --- checkpoints

    async def _upload_checkpoint(self) -> None:
        found = await self._checkpoint()
        at = self._journal.find_log_position(found.position)
        await self._store.checkpoint(found.files, at)
        self._log.info("the state store has a checkpoint of commit {n}", n=at.position)

    def _on_upload_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, NotMaster):
            return
        if failure.check(OSError):
            why = failure.getErrorMessage()
            self._log.warn("the checkpoint could not be stored, will retry: {why}", why=why)
        else:
            self._log.failure("internal error while storing a checkpoint", failure)

    def _on_upload_ended(self, _: object) -> None:
        self._uploading = None

    def stop(self) -> None:
        """Stop an upload or a query in progress; the end of the leadership ends commits."""
        for work in (self._uploading, self._asking):
            if work is not None:
                work.cancel()

    # --- state

    def members(self, nodes: Iterable[Node]) -> None:
        """Note how many candidates can have a member; nodes have no copies."""
        self._candidates = max(1, sum(can_have_member(node) for node in nodes))

    def out_of_sync(self) -> Mapping[str, str]:
        """Return nothing: nodes have no copies."""
        return {}

    def lags(self) -> Mapping[str, tuple[bool, int]]:
        """Return nothing: nodes have no copies."""
        return {}

    async def problems(self) -> Sequence[str]:
        """Return the problems of the members of the store, each with what to do."""
        health = await self._etcd.health()
        found = list(find_problems(health))
        wanted, count = find_size(self._candidates), len(health.members)
        if self._own_members and count < wanted:
            found.append(
                f"the state store has {count} of the {wanted} members that it should have; the"
                " master adds one at a time, and its log says what is in the way"
            )
        return found

    def families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of the store; the state of its members is some seconds old."""
        if self._asking is None and self._clock.seconds() - self._health_at >= HEALTH_AGE:
            self._asking = Deferred.fromCoroutine(self._ask_health())
            self._asking.addErrback(lambda failure: failure.trap(CancelledError, StoreError))
            self._asking.addBoth(self._on_asked)
        yield self._store.seconds.family()
        members = self._health.members
        yield make_gauges(
            "ganeti_store_member_up",
            "1 if the member of the state store answers and has a leader.",
            ("endpoint",),
            [((each.endpoint,), not each.problem) for each in members],
        )
        yield make_gauges(
            "ganeti_store_size_bytes",
            "Size of the member's database.",
            ("endpoint",),
            [((each.endpoint,), each.size) for each in members if each.size],
        )
        yield make_gauges(
            "ganeti_store_alarm",
            "1 for each alarm of the state store.",
            ("alarm",),
            [((alarm,), True) for alarm in self._health.alarms],
        )

    async def _ask_health(self) -> None:
        self._health = await self._etcd.health()
        self._health_at = self._clock.seconds()

    def _on_asked(self, _: object) -> None:
        self._asking = None


def can_have_member(node: Node) -> bool:
    """Return whether a node may run a member of a state store."""
    return node.master_candidate and not node.offline


def find_problems(health: StoreHealth) -> Iterator[str]:
    """Yield what an administrator has to know of the members of a store."""
    for each in health.members:
        if each.problem:
            yield f"{each.endpoint} of the state store: {each.problem}"
    for alarm in health.alarms:
        advice = _ADVICE.get(alarm, "see its documentation")
        yield f"etcd has raised the alarm {alarm}: {advice}"


_ADVICE = {
    "NOSPACE": "its database has exceeded the quota, and changes are refused. The master compacts"
    " and defragments it every few minutes; if the alarm stays, raise --quota-backend-bytes, or"
    " delete keys of other programs, and then run: etcdctl alarm disarm",
    "CORRUPT": "its members differ; remove the one that differs, and add it again without its data",
}
