# SPDX-License-Identifier: BSD-2-Clause
"""The current state of the cluster, and the only way to change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec
from immutables import Map

from ganeti.config.state import ClusterState, Edited, Stored
from ganeti.errors import NotKept
from ganeti.journal.interfaces import Commit, Delete, Edit, IJournal, Put
from ganeti.model.filters import FilterRule

Change: TypeAlias = Callable[[ClusterState], ClusterState]
"""A named pure step from state to state; refuses by raising ``Refused``."""


@dataclass(frozen=True)
class Cause:
    """Who changes something, why, and by which job."""

    who: str
    why: str
    job: int | None = None


class Config:
    """The current cluster state, and the only way to change it.

    Readers see what is durable. Changes apply to the newest state, durable or not, so that many
    can be under way and share a sync; if one cannot be kept, all that were built on it are gone
    with it, and their callers are told.
    """

    def __init__(self, state: ClusterState, journal: IJournal, clock: Callable[[], float]) -> None:
        self._durable = self._newest = state
        self._journal = journal
        self._clock = clock
        self._observers: list[Callable[[ClusterState, tuple[Edited, ...]], None]] = []

    def state(self) -> ClusterState:
        """The newest durable state."""
        return self._durable

    def observe(self, observer: Callable[[ClusterState, tuple[Edited, ...]], None]) -> None:
        """Call ``observer`` with each new durable state and what was edited to reach it."""
        self._observers.append(observer)

    async def change(
        self, change: Change, *, because: Cause, also: Sequence[Edit] = ()
    ) -> ClusterState:
        """Make ``change``, and ``also`` in the same commit; when this returns both are durable.

        A change that leaves the state as it is costs no commit unless there is something ``also``.

        :raises NotKept: neither was made.
        """
        now = self._clock()
        changed = _stamped(self._newest, change(self._newest.settled()), now)
        if not changed.edits and not also:
            return self._durable
        commit = Commit(
            at=now,
            who=because.who,
            why=because.why,
            job=because.job,
            edits=(*map(_encoded, changed.edits), *also),
        )
        self._newest = changed
        try:
            await self._journal.append(commit)
        except NotKept:
            self._newest = self._durable
            raise
        if changed.serial_no > self._durable.serial_no:
            self._durable = changed
        for observer in self._observers:
            observer(changed, changed.edits)
        return changed


def _stamped(before: ClusterState, after: ClusterState, now: float) -> ClusterState:
    """``after`` with the serial numbers and times of everything edited moved on."""
    if not after.edits:
        return after
    stamped = after.settled()
    edits = {(edit.kind, edit.key): edit for edit in after.edits}
    final: list[Edited] = []
    for edit in edits.values():
        old = before.objects.get(edit.kind, Map()).get(edit.key)
        if edit.record is None:
            if old is not None:
                final.append(edit)
            continue
        record = _moved_on(old, edit.record, now)
        stamped = stamped.put(record)
        final.append(replace(edit, record=record))
    return replace(
        stamped,
        edits=tuple(final),
        serial_no=before.serial_no + 1,
        ctime=before.ctime or now,
        mtime=now,
    )


def _moved_on(old: Stored | None, record: Stored, now: float) -> Stored:
    if isinstance(record, FilterRule):
        return record
    if old is None or isinstance(old, FilterRule):
        return msgspec.structs.replace(record, serial_no=1, ctime=now, mtime=now)
    return msgspec.structs.replace(record, serial_no=old.serial_no + 1, mtime=now)


_encoder = msgspec.json.Encoder()


def _encoded(edited: Edited) -> Edit:
    if edited.record is None:
        return Delete(kind=edited.kind.value, key=edited.key)
    return Put(
        kind=edited.kind.value,
        key=edited.key,
        value=msgspec.Raw(_encoder.encode(edited.record)),
    )
