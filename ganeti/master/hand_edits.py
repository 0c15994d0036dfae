# SPDX-License-Identifier: BSD-2-Clause
"""Edits that somebody made in ``config.data`` while no master daemon ran.

The file is a checkpoint: what is changed there is in no journal and on no other node, and would be
gone with the next failover. An edit therefore becomes a commit like any other change, or it is
refused with the command that does the same.

Three states are compared: ``base`` is the checkpoint as it was written, ``edited`` the file as it
is found, and ``current`` what the journal makes of ``base``. They come from
``ganeti.config.formats.loaded`` and ``ganeti.config.replay.apply``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from immutables import Map

from ganeti.config.state import ClusterState, RecordKind, Stored
from ganeti.config.verify import verify
from ganeti.config.writer import ChangeCause
from ganeti.errors import Code, Refused
from ganeti.schema.records import replace

WHO = "hand edit"
"""Who has made the commit, in the history."""

MAX_NAMED = 20
"""So many changed objects are named in the history; of further ones only the number."""

_OURS = frozenset({"serial_no", "ctime", "mtime"})
"""Fields that move by themselves: what an editor makes of them does not count."""

_REFUSED: Mapping[tuple[RecordKind, str], str] = MappingProxyType(
    {
        (RecordKind.CLUSTER, "master_node"): "gnt-cluster master-failover, on the new master",
        (RecordKind.CLUSTER, "candidate_certs"): "gnt-cluster renew-crypto",
        (RecordKind.NODE, "master_candidate"): "gnt-node modify --master-candidate",
        (RecordKind.NODE, "offline"): "gnt-node modify --offline",
    }
)
"""Fields that decide who may be master and who has every commit, with what changes them."""

_WHOLE: Mapping[RecordKind, tuple[str, str]] = MappingProxyType(
    {
        RecordKind.CLUSTER: ("gnt-cluster init", "gnt-cluster destroy"),
        RecordKind.NODE: ("gnt-node add", "gnt-node remove"),
    }
)
"""What makes and removes objects that must not come or go by an edit."""


def digest_of(text: bytes) -> str:
    """Return what identifies a ``config.data`` as one that the master daemon has written."""
    return hashlib.sha256(text).hexdigest()


def is_edited(text: bytes, written: Collection[str]) -> bool:
    """Return whether ``text`` is none of the files with the digests ``written``.

    There are two while a checkpoint is written: that of the file before it, and its own. There is
    none if no digest was kept yet, and then nothing can be said.
    """
    return bool(written) and digest_of(text) not in written


@dataclass(frozen=True)
class Difference:
    """An object that was edited: ``old`` is None if it was added, ``new`` if it was removed."""

    kind: RecordKind
    key: str
    old: Stored | None
    new: Stored | None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that differ; none if the whole object was added or removed."""
        if self.old is None or self.new is None:
            return ()
        old, new = msgspec.structs.asdict(self.old), msgspec.structs.asdict(self.new)
        return tuple(name for name in old if old[name] != new[name])

    def __str__(self) -> str:
        """The object and what of it was edited, without values, some of which are secret."""
        record = self.new or self.old
        called = f"{self.kind} {getattr(record, 'name', None) or self.key}"
        if self.old is None or self.new is None:
            return f"{called} {'added' if self.old is None else 'removed'}"
        return f"{called}: {', '.join(self.fields)}"


def differences(base: ClusterState, edited: ClusterState) -> tuple[Difference, ...]:
    """Return what an edit has changed, object by object, in the order of kinds and UUIDs."""
    return tuple(_differences(base, edited))


def _differences(base: ClusterState, edited: ClusterState) -> Iterator[Difference]:
    for kind in RecordKind:
        before, after = base.objects.get(kind, Map()), edited.objects.get(kind, Map())
        for key in sorted({*before, *after}):
            old, new = before.get(key), after.get(key)
            if old is not None and new is not None:
                kept = {name: getattr(old, name) for name in _OURS if hasattr(old, name)}
                new = replace(new, **kept)
            if old != new:
                yield Difference(kind, key, old, new)


@dataclass(frozen=True)
class HandEdits:
    """An edit on its way to become a commit: ``Config.change(adoption.apply, because=…)``."""

    differences: tuple[Difference, ...]

    @property
    def cause(self) -> ChangeCause:
        """Who and why, for the history."""
        named = [str(each) for each in self.differences[:MAX_NAMED]]
        if (more := len(self.differences) - MAX_NAMED) > 0:
            named.append(f"and {more} more objects")
        return ChangeCause(WHO, f"config.data was edited: {'; '.join(named)}")

    def apply(self, current: ClusterState) -> ClusterState:
        """Return the state with the edit in it.

        :raises Refused: the same object was changed by a commit that the edited file did not have,
            or two objects would have one name.
        """
        state = current
        for each in sorted(self.differences, key=lambda each: each.new is not None):
            if state.objects.get(each.kind, Map()).get(each.key) != each.old:
                raise _refused(f"{each}, but it has been changed by a commit since")
            if each.new is not None:
                state = state.put(each.new)
            elif each.old is not None:
                state = state.remove(each.old)
        return state


def adoption(base: ClusterState, edited: ClusterState, current: ClusterState) -> HandEdits | None:
    """Return how an edit becomes a commit; None if it has changed the form of the file only.

    :raises Refused: it cannot, with every reason and what to do instead.
    """
    found = differences(base, edited)
    if not found:
        return None
    if wrong := [reason for each in found for reason in _forbidden(each)]:
        raise _refused(*wrong)
    adopted = HandEdits(found)
    after = adopted.apply(current)
    known = set(verify(current))
    if wrong := [problem for problem in verify(after) if problem not in known]:
        raise _refused(*wrong)
    return adopted


def _forbidden(each: Difference) -> Iterator[str]:
    if each.kind in _WHOLE and (each.old is None or each.new is None):
        yield f"{each}; use {_WHOLE[each.kind][each.new is None]}"
    for name in each.fields:
        if command := _REFUSED.get((each.kind, name)):
            yield f"{each.kind} {getattr(each.old, 'name', each.key)}: {name}; use {command}"


def _refused(*reasons: str) -> Refused:
    listed: Sequence[str] = reasons[:MAX_NAMED]
    return Refused(
        "config.data was edited, and the edit cannot be taken over: "
        + "; ".join(listed)
        + ". Undo it, or put back the file as the master daemon wrote it (from another master"
        " candidate, or a backup), and start the master daemon again",
        Code.STATE,
    )
