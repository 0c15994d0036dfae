# SPDX-License-Identifier: BSD-2-Clause
"""Names and modes of locks, and the modes that conflict.

A lock is named by the kind and the UUID of an object, so that a rename does not change it. Each
kind has a lock for all its objects (its lockset), and the cluster lock is above all others. A
request for one object must conflict with a request for all objects; ``widened`` adds the parent
locks for that. ``LockWaiter`` calls it, so that plans name only the objects they use.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import TypeAlias

LockName: TypeAlias = str
Owner: TypeAlias = str
"""The holder of a lock, or a waiter, as operators see it: ``job 12``."""


class LockMode(enum.Enum):
    """The mode of a lock; the last two apply to locksets and are added by ``widened``."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"
    SOME_SHARED = "some shared"
    SOME_EXCLUSIVE = "some exclusive"

    # Members are singletons. Enum.__hash__ is a Python function and would be the most expensive
    # part of the lock table.
    __hash__ = object.__hash__


LockRequest: TypeAlias = Mapping[LockName, LockMode]


class LockLevel(enum.StrEnum):
    """The kinds of objects that can be locked."""

    INSTANCE = "instance"
    GROUP = "nodegroup"
    NODE = "node"
    NETWORK = "network"


CLUSTER: LockName = "cluster/BGL"
"""The cluster lock; while it is held exclusively, no other lock is held."""

CONFLICTS: Mapping[LockMode, tuple[LockMode, ...]] = {
    LockMode.EXCLUSIVE: tuple(LockMode),
    LockMode.SHARED: (LockMode.EXCLUSIVE, LockMode.SOME_EXCLUSIVE),
    LockMode.SOME_EXCLUSIVE: (LockMode.EXCLUSIVE, LockMode.SHARED),
    LockMode.SOME_SHARED: (LockMode.EXCLUSIVE,),
}
"""The modes that conflict with each mode on one lock; symmetric."""

_INCLUDES: Mapping[LockMode, tuple[LockMode, ...]] = {
    LockMode.EXCLUSIVE: tuple(LockMode),
    LockMode.SHARED: (LockMode.SHARED, LockMode.SOME_SHARED),
    LockMode.SOME_EXCLUSIVE: (LockMode.SOME_EXCLUSIVE, LockMode.SOME_SHARED),
    LockMode.SOME_SHARED: (LockMode.SOME_SHARED,),
}

_PARENT_MODES: Mapping[LockMode, LockMode] = {
    LockMode.EXCLUSIVE: LockMode.SOME_EXCLUSIVE,
    LockMode.SOME_EXCLUSIVE: LockMode.SOME_EXCLUSIVE,
    LockMode.SHARED: LockMode.SOME_SHARED,
    LockMode.SOME_SHARED: LockMode.SOME_SHARED,
}


def instance_lock(uuid: str) -> LockName:
    """Return the name of the lock of an instance."""
    return f"instance/{uuid}"


def group_lock(uuid: str) -> LockName:
    """Return the name of the lock of a node group."""
    return f"nodegroup/{uuid}"


def node_lock(uuid: str) -> LockName:
    """Return the name of the lock of a node."""
    return f"node/{uuid}"


def network_lock(uuid: str) -> LockName:
    """Return the name of the lock of a network."""
    return f"network/{uuid}"


def all_of(kind: LockLevel) -> LockName:
    """Return the name of the lock of all objects of a kind, including future ones."""
    return f"{kind.value}/[lockset]"


def request(
    *, exclusive: Iterable[LockName] = (), shared: Iterable[LockName] = ()
) -> dict[LockName, LockMode]:
    """Return a request for some locks; a lock that is named twice is exclusive."""
    wants = dict.fromkeys(shared, LockMode.SHARED)
    wants.update(dict.fromkeys(exclusive, LockMode.EXCLUSIVE))
    return wants


def widened(wants: LockRequest) -> dict[LockName, LockMode]:
    """Return ``wants`` with the parent locks that it needs; idempotent."""
    wide = dict(wants)
    for name, mode in wants.items():
        above = _PARENT_MODES[mode]
        for parent in parents(name):
            wide[parent] = _combine_modes(wide[parent], above) if parent in wide else above
    return wide


def covers(held: LockRequest, needed: LockRequest) -> bool:
    """Return whether ``held`` includes every lock of ``needed`` in a sufficient mode."""
    return all(
        any(
            mode in _INCLUDES[held[lock]]
            # A lockset that is held for some of its objects says nothing about the others.
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


def _combine_modes(one: LockMode, other: LockMode) -> LockMode:
    """Return the weakest mode that includes both; for shared and some exclusive, exclusive."""
    if other in _INCLUDES[one]:
        return one
    return other if one in _INCLUDES[other] else LockMode.EXCLUSIVE
