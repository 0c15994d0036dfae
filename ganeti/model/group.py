# SPDX-License-Identifier: BSD-2-Clause
"""Node groups: nodes among which instances can move."""

from __future__ import annotations

import enum

from ganeti.model.named import TaggedObject
from ganeti.schema.types import Key, Line, Parameters


class AllocPolicy(enum.StrEnum):
    """Whether new instances are placed in a group."""

    PREFERRED = "preferred"
    LAST_RESORT = "last_resort"
    UNALLOCABLE = "unallocable"


class Group(TaggedObject, omit_defaults=True):
    """A node group; which nodes belong to it is written in the nodes, ``members`` is historical."""

    name: Line
    members: tuple[Line, ...] | None = None
    ndparams: Parameters
    alloc_policy: AllocPolicy
    ipolicy: Parameters
    diskparams: dict[Key, Parameters]
    networks: dict[Key, Parameters]
    hv_state_static: Parameters | None = None
    disk_state_static: Parameters | None = None
