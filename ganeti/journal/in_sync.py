# SPDX-License-Identifier: BSD-2-Clause
"""Which copies have every acknowledged commit: what the journal and a checkpoint's marker say."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ganeti.errors import Code, Failed
from ganeti.journal.interfaces import Edit, Position, Put
from ganeti.schema.records import Record
from ganeti.system.interfaces import IFiles

KIND, KEY = "replica-set", "in-sync"
"""The record of the set in the journal: a JSON list of node UUIDs, sorted, without the master's."""


class Marker(Record):
    """The last commit that the files of a checkpoint hold for certain.

    ``in_sync`` are the candidates, by UUID, that had every commit up to it.
    """

    position: Position
    in_sync: tuple[str, ...] = ()


def record_of(members: Iterable[str]) -> Put:
    """What makes these the set, without the master itself."""
    return Put(kind=KIND, key=KEY, value=msgspec.Raw(msgspec.json.encode(sorted(members))))


def recorded(edits: Iterable[Edit], before: frozenset[str]) -> frozenset[str]:
    """The set after a commit with these edits, when it was ``before``."""
    for edit in edits:
        if isinstance(edit, Put) and (edit.kind, edit.key) == (KIND, KEY):
            before = frozenset(msgspec.json.decode(edit.value, type=list[str]))
    return before


def marker_at(files: IFiles, path: str) -> Marker:
    """The marker in a file; without one, the checkpoint is what the journal begins with.

    :raises Failed: it is damaged.
    """
    if files.stat(path) is None:
        return Marker(position=0)
    try:
        return msgspec.json.decode(files.read(path), type=Marker)
    except msgspec.DecodeError as e:
        raise Failed(
            f"{path} is damaged: {e}. Copy it, with config.data, the queue and the journal, from"
            " another master candidate",
            Code.ENVIRONMENT,
        ) from None
