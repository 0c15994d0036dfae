# SPDX-License-Identifier: BSD-2-Clause
"""Changes for objects of any kind."""

from __future__ import annotations

from functools import reduce
from typing import TypeVar

from immutables import Map

from ganeti.config.state import KINDS, ClusterState, Stored
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.schema.records import replace

S = TypeVar("S", bound=Stored)


def current(state: ClusterState, record: S) -> S:
    """Return the version of ``record`` that ``state`` has; ``record`` may be from an older state.

    :raises Refused: the object has been removed.
    """
    any_kind: Stored = record
    kind = KINDS[type(any_kind)]
    found = state.objects.get(kind, Map()).get(record.uuid)
    if found is None:
        raise Refused(
            f"{kind} {getattr(record, 'name', None) or record.uuid} has been removed",
            Code.UNKNOWN,
        )
    return found  # type: ignore[return-value]  # by kind, as put


def add(record: Stored) -> Change:
    """Add a new object; its name must be unused."""

    def change(state: ClusterState) -> ClusterState:
        if record.uuid in state.objects.get(KINDS[type(record)], Map()):
            raise Refused(f"there is already a {KINDS[type(record)]} {record.uuid}", Code.EXISTS)
        return state.put(record)

    return change


def update(record: Stored, **fields: object) -> Change:
    """Set fields of an object; its other fields keep their current values."""

    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(current(state, record), **fields))

    return change


def remove(record: Stored) -> Change:
    """Remove an object, which must not be referred to."""

    def change(state: ClusterState) -> ClusterState:
        return state.remove(current(state, record))

    return change


def together(*changes: Change) -> Change:
    """Combine ``changes`` into one that applies them in order."""

    def change(state: ClusterState) -> ClusterState:
        return reduce(lambda reached, step: step(reached), changes, state)

    return change
