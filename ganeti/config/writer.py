# SPDX-License-Identifier: BSD-2-Clause
"""The writer of the configuration, which makes changes durable in the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from immutables import Map
from twisted.internet.defer import CancelledError, Deferred

from ganeti.config.record_codec import META_KEY, META_KIND, Meta, decoded, encoder
from ganeti.config.state import ClusterState, RecordEdit, Stored
from ganeti.journal.interfaces import Commit, Delete, Edit, IJournal, Put
from ganeti.model.access import Authorities, NodeCertificates, SpentToken
from ganeti.model.backups import BackupRepository, BackupSchedule, BackupScheduleProgress
from ganeti.model.failover import (
    FailoverSettings,
    FenceHistory,
    InstanceFailover,
    NodeFence,
    NodeGuard,
    NodeMaintenance,
)
from ganeti.model.filters import FilterRule
from ganeti.model.images import LibraryImage
from ganeti.model.instance_snapshots import InstanceSnapshots
from ganeti.model.notifications import Notification, NotificationProgress
from ganeti.model.users import ApiToken, OpenIdProvider, RoleGrant, UserAccount
from ganeti.schema.records import replace

Change: TypeAlias = Callable[[ClusterState], ClusterState]
"""A pure function from state to state; raises ``Refused`` if it cannot apply."""

Observer: TypeAlias = Callable[[ClusterState, tuple[RecordEdit, ...]], None]


@dataclass(frozen=True)
class ChangeCause:
    """The user, the reason and the job of a change."""

    who: str
    why: str
    job: int | None = None


class CancelledAfterCommit(CancelledError):
    """The caller was cancelled while it waited for a change, and the change was made."""


class _CommitResult(Deferred[ClusterState]):
    """The result of a change. A cancel is only noted: the wait ends when the result is certain."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ConfigWriter:
    """The current state of the cluster, and the only way to change it.

    Readers see the durable state. Changes apply to the newest state, durable or not, so that many
    can be in progress and share a sync. If one cannot be made durable, all that are based on it
    fail, too.
    """

    def __init__(self, state: ClusterState, journal: IJournal, clock: Callable[[], float]) -> None:
        self._durable = self._newest = state.settled()
        self._journal = journal
        self._clock = clock
        self._failures = 0
        self._observers: list[Observer] = []

    def state(self) -> ClusterState:
        """Return the newest durable state."""
        return self._durable

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with each new durable state and its edits."""
        self._observers.append(observer)

    async def change(
        self, change: Change, *, because: ChangeCause, also: Sequence[Edit] = ()
    ) -> ClusterState:
        """Apply ``change``, and the edits ``also``, in one commit; return when both are durable.

        A change that does not change the state makes no commit, unless ``also`` has edits or the
        state that it is based on is not durable yet. Cancelling the caller does not revert the
        change and does not end the wait, as the next steps depend on whether it was made.

        :raises CommitFailed: neither was made.
        :raises CancelledAfterCommit: both were made, and the caller was cancelled meanwhile.
        :raises Refused: ``change`` cannot apply to the present state; neither was made.
        """
        now = self._clock()
        before = self._newest
        after, edits = stamped(before, change(before), now)
        if not edits and not also and before is self._durable:
            return before
        commit = commit_of(before, after, edits, because, now, also)
        self._newest = after
        made = _CommitResult()
        keeping = self._commit(commit, after, tuple(edited for edited, _ in edits))
        # In a Deferred of its own: a cancelled caller must not cancel the append.
        Deferred.fromCoroutine(keeping).addBoth(made.callback)
        durable = await made
        if made.cancelled:
            raise CancelledAfterCommit
        return durable

    async def _commit(
        self, commit: Commit, after: ClusterState, edits: tuple[RecordEdit, ...]
    ) -> ClusterState:
        failures, kept = self._failures, False
        try:
            await self._journal.append(commit)
            kept = True
        finally:
            # All pending changes fail. Only the first failure may reset the newest state: when the
            # others are reported, newer changes may already be based on the durable state.
            if not kept and failures == self._failures:
                self._failures += 1
                self._newest = self._durable
        self._durable = after
        if edits:
            for observer in self._observers:
                observer(after, edits)
        return after


def commit_of(
    before: ClusterState,
    after: ClusterState,
    edits: Sequence[tuple[RecordEdit, Edit]],
    because: ChangeCause,
    now: float,
    also: Sequence[Edit] = (),
) -> Commit:
    """Return the commit between two states, with the edits from ``stamped``."""
    texts = (text for _, text in edits)
    return Commit(
        at=now,
        who=because.who,
        why=because.why,
        job=because.job,
        edits=(*texts, *_meta_edits(before, after), *also),
    )


def stamped(
    before: ClusterState, after: ClusterState, now: float
) -> tuple[ClusterState, list[tuple[RecordEdit, Edit]]]:
    """Return ``after`` with new serial numbers and times, and its differences from ``before``.

    Differences are pairs of records and journal edits, in an order in which they can be replayed.
    The records are decoded from the edits, so that a replay gives identical ones.

    :raises Invalid: a record cannot be decoded.
    """
    final: list[tuple[RecordEdit, Edit]] = []
    state = before
    for edited in _net_edits(after):
        kind, key = edited.kind, edited.key
        old = before.objects.get(kind, Map()).get(key)
        if edited.record is None:
            if old is not None:
                state = state.remove(old)
                final.append((RecordEdit(kind, key, None, old), Delete(kind=kind.value, key=key)))
        elif edited.record != old:
            text = encoder.encode(_stamp(old, edited.record, now))
            record = decoded(kind, key, text)
            state = state.put(record)
            put = Put(kind=kind.value, key=key, value=msgspec.Raw(text))
            final.append((RecordEdit(kind, key, record, old), put))
    if not final:
        return before, final
    moved = replace(
        state, edits=(), serial_no=before.serial_no + 1, ctime=before.ctime or now, mtime=now
    )
    return moved, final


def _net_edits(after: ClusterState) -> list[RecordEdit]:
    """Return the last edit of each object; removals are first, as they may free a name."""
    last = {(edited.kind, edited.key): edited for edited in after.edits}
    return sorted(last.values(), key=lambda edited: edited.record is not None)


_UNSTAMPED = (
    *(FilterRule, Authorities, NodeCertificates, SpentToken),
    *(UserAccount, RoleGrant, ApiToken, OpenIdProvider),
    *(Notification, NotificationProgress, LibraryImage),
    *(BackupRepository, BackupSchedule, BackupScheduleProgress),
    *(InstanceFailover, FailoverSettings, NodeMaintenance, NodeGuard, NodeFence, FenceHistory),
    InstanceSnapshots,
)
"""Records without a serial number and times."""


def _stamp(old: Stored | None, record: Stored, now: float) -> Stored:
    if isinstance(record, _UNSTAMPED):
        return record
    if old is None or isinstance(old, _UNSTAMPED):
        return replace(record, serial_no=1, ctime=now, mtime=now)
    return replace(record, serial_no=old.serial_no + 1, mtime=now)


def _meta_edits(before: ClusterState, after: ClusterState) -> tuple[Edit, ...]:
    if after is before:
        return ()
    meta = Meta(serial_no=after.serial_no, ctime=after.ctime, mtime=after.mtime)
    return (Put(kind=META_KIND, key=META_KEY, value=msgspec.Raw(encoder.encode(meta))),)
