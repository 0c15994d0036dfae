# SPDX-License-Identifier: BSD-2-Clause
"""The nodes and instances of a cluster as plain values: the input of balancing and capacity.

Memory and disk space are in MiB. Nodes are named by their names, which are unique in a cluster.
"""

from __future__ import annotations

import enum

from ganeti.schema.records import Record


class NodeState(enum.StrEnum):
    """Whether a node may receive instances.

    Instances leave drained and offline nodes. A drained node still runs them, and can be the source
    of a migration; an offline one is not contacted.
    """

    USABLE = "usable"
    DRAINED = "drained"
    OFFLINE = "offline"


class Storage(enum.StrEnum):
    """How an instance can change its nodes."""

    LOCAL = "local"  # it cannot without being copied while it is stopped
    MIRRORED = "mirrored"  # to its secondary node, which can be replaced
    SHARED = "shared"  # to every node of the group


class NodeModel(Record):
    """A node with its free resources when every instance that may be started runs.

    ``memory_free`` may be negative, if not all of them could be started. A ratio is the maximum
    that the group's instance policy allows per CPU and per spindle. ``cpus_node`` counts as used by
    the node itself: one in files of Ganeti's htools, but none by the rules of new instances, which
    capacities have to agree with. Two nodes with one of ``domains`` in common may fail together.
    """

    name: str
    group: str
    memory: int
    memory_free: int
    disk: int
    disk_free: int
    cpus: int
    state: NodeState = NodeState.USABLE
    cpus_node: int = 0
    spindles: int = 1
    vcpu_ratio: float | None = None
    spindle_ratio: float | None = None
    domains: tuple[str, ...] = ()


class InstanceModel(Record):
    """An instance, which uses its resources on its nodes already.

    ``disk`` is the space on each of its nodes. ``reserved`` is the memory that its secondary node
    keeps free for a failure of the primary node. Two instances with one of ``exclusion_tags`` in
    common should have different primary nodes. One that is not ``movable`` stays where it is.
    """

    name: str
    memory: int
    disk: int
    vcpus: int
    storage: Storage
    primary: str
    secondary: str | None = None
    spindles: int = 0
    reserved: int = 0
    running: bool = True
    movable: bool = True
    exclusion_tags: tuple[str, ...] = ()


class ClusterModel(Record):
    """All nodes and instances."""

    nodes: tuple[NodeModel, ...]
    instances: tuple[InstanceModel, ...]
