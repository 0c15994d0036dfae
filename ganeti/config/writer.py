# SPDX-License-Identifier: BSD-2-Clause
"""The current state of the cluster, and the only way to change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from immutables import Map
from twisted.internet.defer import CancelledError, Deferred

from ganeti.config.records import META_KEY, META_KIND, Meta, decoded, encoder
from ganeti.config.state import ClusterState, EditedState, Stored
from ganeti.journal.interfaces import Commit, Delete, Edit, IJournal, Put
from ganeti.model.access import Authorities, NodeCertificates, SpentToken
from ganeti.model.filters import FilterRule
from ganeti.model.users import ApiToken, OpenIdProvider, RoleGrant, UserAccount
from ganeti.schema.records import replace

Change: TypeAlias = Callable[[ClusterState], ClusterState]
"""A named pure step from state to state; refuses by raising ``Refused``."""

Observer: TypeAlias = Callable[[ClusterState, tuple[EditedState, ...]], None]


@dataclass(frozen=True)
class ChangeCause:
    """Who changes something, why, and by which job."""

    who: str
    why: str
    job: int | None = None


class ChangeMade(CancelledError):
    """Who waited for a change was cancelled, and it was made all the same."""


class _Outcome(Deferred[ClusterState]):
    """What becomes of a change; waiting for it does not end before that is certain."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Config:
    """The current cluster state, and the only way to change it.

    Readers see what is durable. Changes apply to the newest state, durable or not, so that many
    can be under way and share a sync; if one cannot be kept, all that were built on it are gone
    with it, and their callers are told.
    """

    def __init__(self, state: ClusterState, journal: IJournal, clock: Callable[[], float]) -> None:
        self._durable = self._newest = state.settled()
        self._journal = journal
        self._clock = clock
        self._failures = 0
        self._observers: list[Observer] = []

    def state(self) -> ClusterState:
        """The newest durable state."""
        return self._durable

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with each new durable state and what was edited to reach it."""
        self._observers.append(observer)

    async def change(
        self, change: Change, *, because: ChangeCause, also: Sequence[Edit] = ()
    ) -> ClusterState:
        """Make ``change``, and ``also`` in the same commit; when this returns both are durable.

        A change that leaves the state as it is costs no commit, unless there is something ``also``
        or what it saw is not durable yet. Who is cancelled while waiting does not take the change
        back, and waits on: what follows depends on whether it was made.

        :raises NotKept: neither was made.
        :raises ChangeMade: both were made, and who waited for that was cancelled meanwhile.
        :raises Refused: ``change`` cannot be made to the state as it is; neither was made.
        """
        now = self._clock()
        before = self._newest
        after, edits = stamped(before, change(before), now)
        if not edits and not also and before is self._durable:
            return before
        commit = commit_of(before, after, edits, because, now, also)
        self._newest = after
        made = _Outcome()
        keeping = self._keep(commit, after, tuple(edited for edited, _ in edits))
        Deferred.fromCoroutine(keeping).addBoth(made.callback)
        durable = await made
        if made.cancelled:
            raise ChangeMade
        return durable

    async def _keep(
        self, commit: Commit, after: ClusterState, edits: tuple[EditedState, ...]
    ) -> ClusterState:
        failures, kept = self._failures, False
        try:
            await self._journal.append(commit)
            kept = True
        finally:
            # Every change that was under way fails; only the first of them may step back, as by
            # the time the others hear of it, newer ones may have been built on the durable state.
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
    edits: Sequence[tuple[EditedState, Edit]],
    because: ChangeCause,
    now: float,
    also: Sequence[Edit] = (),
) -> Commit:
    """The commit that makes a state of another, when both and the edits are as ``stamped`` says."""
    texts = (text for _, text in edits)
    return Commit(
        at=now,
        who=because.who,
        why=because.why,
        job=because.job,
        edits=(*texts, *_meta(before, after), *also),
    )


def stamped(
    before: ClusterState, after: ClusterState, now: float
) -> tuple[ClusterState, list[tuple[EditedState, Edit]]]:
    """``after`` with serial numbers and times moved on, and what differs from ``before``.

    What differs comes as records and as edits of the journal, in an order in which these can be
    applied again. The records are those that a replay will find, down to the last bit.

    :raises Invalid: a record has a field that could not be read again.
    """
    final: list[tuple[EditedState, Edit]] = []
    state = before
    for edited in _net(after):
        kind, key = edited.kind, edited.key
        old = before.objects.get(kind, Map()).get(key)
        if edited.record is None:
            if old is not None:
                state = state.remove(old)
                final.append((EditedState(kind, key, None, old), Delete(kind=kind.value, key=key)))
        elif edited.record != old:
            text = encoder.encode(_moved_on(old, edited.record, now))
            record = decoded(kind, key, text)
            state = state.put(record)
            put = Put(kind=kind.value, key=key, value=msgspec.Raw(text))
            final.append((EditedState(kind, key, record, old), put))
    if not final:
        return before, final
    moved = replace(
        state, edits=(), serial_no=before.serial_no + 1, ctime=before.ctime or now, mtime=now
    )
    return moved, final


def _net(after: ClusterState) -> list[EditedState]:
    """The last edit of each object; what frees a name comes before what may take it."""
    last = {(edited.kind, edited.key): edited for edited in after.edits}
    return sorted(last.values(), key=lambda edited: edited.record is not None)


_UNSTAMPED = (
    *(FilterRule, Authorities, NodeCertificates, SpentToken),
    *(UserAccount, RoleGrant, ApiToken, OpenIdProvider),
)
"""Records without a serial number and times."""


def _moved_on(old: Stored | None, record: Stored, now: float) -> Stored:
    if isinstance(record, _UNSTAMPED):
        return record
    if old is None or isinstance(old, _UNSTAMPED):
        return replace(record, serial_no=1, ctime=now, mtime=now)
    return replace(record, serial_no=old.serial_no + 1, mtime=now)


def _meta(before: ClusterState, after: ClusterState) -> tuple[Edit, ...]:
    if after is before:
        return ()
    meta = Meta(serial_no=after.serial_no, ctime=after.ctime, mtime=after.mtime)
    return (Put(kind=META_KIND, key=META_KEY, value=msgspec.Raw(encoder.encode(meta))),)
