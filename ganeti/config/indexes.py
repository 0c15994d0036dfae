# SPDX-License-Identifier: BSD-2-Clause
"""Indexes of the configuration: which objects have a field value, kept up to date by each change.

An index maps a kind of object and a key to the UUIDs of the objects that have this key.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from immutables import Map

from ganeti.model.cluster import Cluster
from ganeti.model.group import Group
from ganeti.model.instance import Instance, Nic
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.model.parameters.nic import GANETIS


class Index(enum.Enum):
    """The indexes, by the key of their entries."""

    LABEL = "the name up to its first dot"
    TAG = "a tag"
    NETWORK = "the UUID of a network that a network card is in"
    GROUP = "the UUID of the node group"
    CARD_RULES = "empty, for instances that have network cards with parameters of ours"


Keys: TypeAlias = Map[str, None]
"""UUIDs as a set that is cheap to change."""

Owners: TypeAlias = str | Keys
"""The UUID of the only object with a key, which most names have, or those of several."""

Entries: TypeAlias = Map[tuple[type, str], Owners]
Indexes: TypeAlias = Map[Index, Entries]

NO_KEYS: Keys = Map()
_NO_ENTRIES: Entries = Map()


class Identified(Protocol):
    """An object of the configuration."""

    @property
    def uuid(self) -> str: ...


@dataclass(frozen=True)
class _Rule:
    """The field that an index is built from, and the keys for a value of this field."""

    index: Index
    field: str
    keys: Callable[[Any], Iterable[str]]


def first_label(name: str) -> str:
    """Return the part of a name before its first dot."""
    return name.partition(".")[0]


def _label_keys(name: str) -> tuple[str]:
    return (first_label(name),)


def _network_keys(nics: Iterable[Nic]) -> set[str]:
    return {nic.network for nic in nics if nic.network is not None}


def _card_rules_keys(nics: Iterable[Nic]) -> tuple[str, ...]:
    return ("",) if any(not nic.nicparams.keys() <= GANETIS for nic in nics) else ()


_LABEL = _Rule(Index.LABEL, "name", _label_keys)
_TAG = _Rule(Index.TAG, "tags", set)

_RULES: Mapping[type, tuple[_Rule, ...]] = {
    Cluster: (_TAG,),
    Group: (_LABEL, _TAG),
    Instance: (
        _LABEL,
        _TAG,
        _Rule(Index.NETWORK, "nics", _network_keys),
        _Rule(Index.CARD_RULES, "nics", _card_rules_keys),
    ),
    Network: (_LABEL, _TAG),
    Node: (_LABEL, _TAG, _Rule(Index.GROUP, "group", lambda uuid: (uuid,))),
}


def reindex(indexes: Indexes, old: Identified | None, new: Identified | None) -> Indexes:
    """Return the indexes with the object ``new`` in place of ``old``; None means no object.

    The cost depends on the keys that differ, not on the number of objects.
    """
    record = old if new is None else new
    if record is None:
        return indexes
    for rule in _RULES.get(type(record), ()):
        before = _NOTHING if old is None else getattr(old, rule.field)
        after = _NOTHING if new is None else getattr(new, rule.field)
        if before != after:
            gone = () if before is _NOTHING else rule.keys(before)
            added = () if after is _NOTHING else rule.keys(after)
            entries = indexes.get(rule.index, _NO_ENTRIES)
            changed = _replace_keys(entries, type(record), record.uuid, set(gone), set(added))
            if changed is not entries:
                indexes = (
                    indexes.set(rule.index, changed) if changed else indexes.delete(rule.index)
                )
    return indexes


_NOTHING = object()
"""The value of a field of an object that does not exist."""


def _replace_keys(
    entries: Entries, kind: type, uuid: str, gone: set[str], added: set[str]
) -> Entries:
    for key in gone - added:
        left = _without(entries[kind, key], uuid)
        place = (kind, key)
        entries = entries.delete(place) if left is None else entries.set(place, left)
    for key in added - gone:
        entries = entries.set((kind, key), _with(entries.get((kind, key)), uuid))
    return entries


def _with(owners: Owners | None, uuid: str) -> Owners:
    if owners is None:
        return uuid
    if isinstance(owners, str):
        owners = NO_KEYS.set(owners, None)
    return owners.set(uuid, None)


def _without(owners: Owners, uuid: str) -> Owners | None:
    if isinstance(owners, str):
        return None
    left = owners.delete(uuid)
    return left if len(left) > 1 else next(iter(left))


def build_indexes(records: Iterable[Identified]) -> Indexes:
    """Return the indexes of these objects, built in one step."""
    found: dict[Index, dict[tuple[type, str], list[str]]] = {}
    for record in records:
        kind = type(record)
        for rule in _RULES.get(kind, ()):
            for key in rule.keys(getattr(record, rule.field)):
                found.setdefault(rule.index, {}).setdefault((kind, key), []).append(record.uuid)
    return Map({index: _freeze(entries) for index, entries in found.items()})


def _freeze(entries: Mapping[tuple[type, str], list[str]]) -> Entries:
    return Map(
        {
            key: uuids[0] if len(uuids) == 1 else Map(dict.fromkeys(uuids))
            for key, uuids in entries.items()
        }
    )


def uuids_of(owners: Owners) -> Iterable[str]:
    """Return the UUIDs of an entry."""
    return (owners,) if isinstance(owners, str) else owners


def lookup(indexes: Indexes, index: Index, kind: type, key: str) -> Iterable[str]:
    """Return the UUIDs of the objects of a kind that have this key."""
    return uuids_of(indexes.get(index, _NO_ENTRIES).get((kind, key), NO_KEYS))
