# SPDX-License-Identifier: BSD-2-Clause
"""What can be locked, how, and when two wishes clash.

A lock is named by the kind of an object and its UUID, so that a rename does not change it. All
objects of a kind together are a lock as well, and the cluster is one above all of these. Whoever
wants one object must be seen by somebody who wants all of them; ``widened`` adds that, and the
keeper calls it, so plans name only what they are about.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import TypeAlias

LockName: TypeAlias = str
Owner: TypeAlias = str
"""Who holds or waits, in words that an operator understands: ``job 12``."""


class LockMode(enum.Enum):
    """How a lock is wanted; the last two are for sets of objects and are added by ``widened``."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"
    SOME_SHARED = "some shared"
    SOME_EXCLUSIVE = "some exclusive"

    # Members are singletons; the hash of an enum is computed in Python and would be the most
    # expensive part of the lock table.
    __hash__ = object.__hash__


LockRequest: TypeAlias = Mapping[LockName, LockMode]


class LockLevel(enum.StrEnum):
    """The kinds of objects that are locked."""

    INSTANCE = "instance"
    GROUP = "nodegroup"
    NODE = "node"
    NETWORK = "network"


CLUSTER: LockName = "cluster/BGL"
"""Held exclusively, nobody else holds anything."""

CLASHES: Mapping[LockMode, tuple[LockMode, ...]] = {
    LockMode.EXCLUSIVE: tuple(LockMode),
    LockMode.SHARED: (LockMode.EXCLUSIVE, LockMode.SOME_EXCLUSIVE),
    LockMode.SOME_EXCLUSIVE: (LockMode.EXCLUSIVE, LockMode.SHARED),
    LockMode.SOME_SHARED: (LockMode.EXCLUSIVE,),
}
"""The modes that one lock cannot be held in at the same time; symmetric."""

_INCLUDES: Mapping[LockMode, tuple[LockMode, ...]] = {
    LockMode.EXCLUSIVE: tuple(LockMode),
    LockMode.SHARED: (LockMode.SHARED, LockMode.SOME_SHARED),
    LockMode.SOME_EXCLUSIVE: (LockMode.SOME_EXCLUSIVE, LockMode.SOME_SHARED),
    LockMode.SOME_SHARED: (LockMode.SOME_SHARED,),
}

_ABOVE: Mapping[LockMode, LockMode] = {
    LockMode.EXCLUSIVE: LockMode.SOME_EXCLUSIVE,
    LockMode.SOME_EXCLUSIVE: LockMode.SOME_EXCLUSIVE,
    LockMode.SHARED: LockMode.SOME_SHARED,
    LockMode.SOME_SHARED: LockMode.SOME_SHARED,
}


def instance_lock(uuid: str) -> LockName:
    """The lock of one instance."""
    return f"instance/{uuid}"


def group_lock(uuid: str) -> LockName:
    """The lock of one node group."""
    return f"nodegroup/{uuid}"


def node_lock(uuid: str) -> LockName:
    """The lock of one node."""
    return f"node/{uuid}"


def network_lock(uuid: str) -> LockName:
    """The lock of one network."""
    return f"network/{uuid}"


def all_of(kind: LockLevel) -> LockName:
    """The lock of all objects of a kind, those included that do not exist yet."""
    return f"{kind.value}/[lockset]"


def request(
    *, exclusive: Iterable[LockName] = (), shared: Iterable[LockName] = ()
) -> dict[LockName, LockMode]:
    """A request for some locks; what is named twice is wanted exclusively."""
    wants = dict.fromkeys(shared, LockMode.SHARED)
    wants.update(dict.fromkeys(exclusive, LockMode.EXCLUSIVE))
    return wants


def widened(wants: LockRequest) -> dict[LockName, LockMode]:
    """``wants``, and what it means for the sets its locks belong to; once is enough."""
    wide = dict(wants)
    for name, mode in wants.items():
        above = _ABOVE[mode]
        for parent in parents(name):
            wide[parent] = _both(wide[parent], above) if parent in wide else above
    return wide


def covers(held: LockRequest, needed: LockRequest) -> bool:
    """Whether somebody who holds ``held`` may do what ``needed`` asks for."""
    return all(
        any(
            mode in _INCLUDES[held[lock]]
            for lock in (name, *parents(name))
            if lock in held
            and (lock == name or held[lock] in (LockMode.SHARED, LockMode.EXCLUSIVE))
        )
        for name, mode in needed.items()
    )


def parents(name: LockName) -> tuple[LockName, ...]:
    if name == CLUSTER:
        return ()
    everything = name[: name.index("/")] + "/[lockset]"
    return (CLUSTER,) if name == everything else (everything, CLUSTER)


def _both(one: LockMode, other: LockMode) -> LockMode:
    """The least mode that includes both; shared and some exclusive have none but exclusive."""
    if other in _INCLUDES[one]:
        return one
    return other if one in _INCLUDES[other] else LockMode.EXCLUSIVE
