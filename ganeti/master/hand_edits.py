# SPDX-License-Identifier: BSD-2-Clause
"""Manual edits of ``config.data`` made while no master daemon ran.

The file is a checkpoint: a change in it is in no journal and on no other node, and would be lost
with the next failover. An edit therefore becomes a commit like any other change, or it is refused
with the command to use instead.

Three states are compared: ``base`` is the checkpoint as it was written, ``edited`` the file as
found, and ``current`` the result of replaying the journal on ``base``. They come from
``ganeti.config.formats.loaded`` and ``ganeti.config.replay.apply``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from immutables import Map

from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState, RecordKind, Stored
from ganeti.config.writer import ChangeCause
from ganeti.errors import Code, Refused
from ganeti.schema.records import replace

WHO = "hand edit"
"""The author of the commit in the history."""

MAX_LISTED = 20
"""Maximum number of changed objects that the history names; further ones are counted."""

_AUTOMATIC_FIELDS = frozenset({"serial_no", "ctime", "mtime"})
"""Fields that the master maintains; edits of them are ignored."""

_PROTECTED_FIELDS: Mapping[tuple[RecordKind, str], str] = MappingProxyType(
    {
        (RecordKind.CLUSTER, "master_node"): "gnt-cluster master-failover, on the new master",
        (RecordKind.CLUSTER, "candidate_certs"): "gnt-cluster renew-crypto",
        (RecordKind.NODE, "master_candidate"): "gnt-node modify --master-candidate",
        (RecordKind.NODE, "offline"): "gnt-node modify --offline",
    }
)
"""Fields that decide mastership and replication, with the commands that change them."""

_PROTECTED_OBJECTS: Mapping[RecordKind, tuple[str, str]] = MappingProxyType(
    {
        RecordKind.CLUSTER: ("gnt-cluster init", "gnt-cluster destroy"),
        RecordKind.NODE: ("gnt-node add", "gnt-node remove"),
    }
)
"""The commands that add and remove objects which must not be added or removed by an edit."""


def digest_of(text: bytes) -> str:
    """Return the digest that identifies a ``config.data`` written by the master daemon."""
    return hashlib.sha256(text).hexdigest()


def is_edited(text: bytes, written: Collection[str]) -> bool:
    """Return whether ``text`` is none of the files with the digests ``written``.

    There are two digests while a checkpoint is written: of the previous file and of the new one.
    Without any digest the answer is False, because nothing is known.
    """
    return bool(written) and digest_of(text) not in written


@dataclass(frozen=True)
class Difference:
    """An edited object: ``old`` is None if it was added, ``new`` if it was removed."""

    kind: RecordKind
    key: str
    old: Stored | None
    new: Stored | None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that differ; empty if the whole object was added or removed."""
        if self.old is None or self.new is None:
            return ()
        old, new = msgspec.structs.asdict(self.old), msgspec.structs.asdict(self.new)
        return tuple(name for name in old if old[name] != new[name])

    def __str__(self) -> str:
        """Return the object and its edited fields, without values, some of which are secret."""
        record = self.new or self.old
        called = f"{self.kind} {getattr(record, 'name', None) or self.key}"
        if self.old is None or self.new is None:
            return f"{called} {'added' if self.old is None else 'removed'}"
        return f"{called}: {', '.join(self.fields)}"


def differences(base: ClusterState, edited: ClusterState) -> tuple[Difference, ...]:
    """Return the edited objects, in the order of kinds and UUIDs."""
    return tuple(_differences(base, edited))


def _differences(base: ClusterState, edited: ClusterState) -> Iterator[Difference]:
    for kind in RecordKind:
        before, after = base.objects.get(kind, Map()), edited.objects.get(kind, Map())
        for key in sorted({*before, *after}):
            old, new = before.get(key), after.get(key)
            if old is not None and new is not None:
                unchanged = {
                    name: getattr(old, name) for name in _AUTOMATIC_FIELDS if hasattr(old, name)
                }
                new = replace(new, **unchanged)
            if old != new:
                yield Difference(kind, key, old, new)


@dataclass(frozen=True)
class HandEdits:
    """Edits that can become a commit.

    Commit them by ``ConfigWriter.change(edits.apply, because=edits.cause)``.
    """

    differences: tuple[Difference, ...]

    @property
    def cause(self) -> ChangeCause:
        """The author and reason of the commit."""
        named = [str(each) for each in self.differences[:MAX_LISTED]]
        if (more := len(self.differences) - MAX_LISTED) > 0:
            named.append(f"and {more} more objects")
        return ChangeCause(WHO, f"config.data was edited: {'; '.join(named)}")

    def apply(self, current: ClusterState) -> ClusterState:
        """Return the state with the edit applied.

        :raises Refused: a commit that is not in the edited file changed the same object, or two
            objects would have the same name.
        """
        state = current
        # Removals first, as they may free a name.
        for each in sorted(self.differences, key=lambda each: each.new is not None):
            if state.objects.get(each.kind, Map()).get(each.key) != each.old:
                raise _make_refusal(f"{each}, but a commit has changed it since")
            if each.new is not None:
                state = state.put(each.new)
            elif each.old is not None:
                state = state.remove(each.old)
        return state


def adoption(base: ClusterState, edited: ClusterState, current: ClusterState) -> HandEdits | None:
    """Return the edit to commit; None if only the formatting of the file was changed.

    :raises Refused: it cannot be committed; lists every reason and the command to use instead.
    """
    found = differences(base, edited)
    if not found:
        return None
    if wrong := [reason for each in found for reason in _list_forbidden(each)]:
        raise _make_refusal(*wrong)
    adopted = HandEdits(found)
    after = adopted.apply(current)
    # Only new problems count; the others were there before the edit.
    known = set(verify(current))
    if wrong := [problem for problem in verify(after) if problem not in known]:
        raise _make_refusal(*wrong)
    return adopted


def _list_forbidden(each: Difference) -> Iterator[str]:
    if each.kind in _PROTECTED_OBJECTS and (each.old is None or each.new is None):
        yield f"{each}; use {_PROTECTED_OBJECTS[each.kind][each.new is None]}"
    for name in each.fields:
        if command := _PROTECTED_FIELDS.get((each.kind, name)):
            yield f"{each.kind} {getattr(each.old, 'name', each.key)}: {name}; use {command}"


def _make_refusal(*reasons: str) -> Refused:
    listed: Sequence[str] = reasons[:MAX_LISTED]
    return Refused(
        "config.data was edited, and the edit cannot be applied: "
        + "; ".join(listed)
        + ". Undo it, or restore the file as the master daemon wrote it (from another master"
        " candidate, or a backup), and start the master daemon again",
        Code.STATE,
    )
