# SPDX-License-Identifier: BSD-2-Clause
"""Data of an allocation: the requested resources, and the candidate nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ganeti.model.disk import Template
from ganeti.model.node import Node


@dataclass(frozen=True)
class NodeResources:
    """The free resources of a node: memory and disk in MiB, processors; None if unknown."""

    memory: int | None
    disk: int | None
    cpus: int | None


@dataclass(frozen=True)
class Placement:
    """A request for nodes for an instance; ``memory`` and ``disks`` in MiB.

    ``wanted`` is the number of nodes: one, or two for mirrored disks. ``away_from`` has UUIDs of
    excluded nodes.
    """

    name: str
    memory: int
    vcpus: int
    disks: Sequence[int]
    template: Template
    wanted: int
    away_from: frozenset[str] = frozenset()
    group: str | None = None

    def with_node_count(self, wanted: int) -> Placement:
        """Return the same request for another number of nodes."""
        return replace(self, wanted=wanted)


@dataclass(frozen=True)
class Candidate:
    """A candidate node; ``instances`` is the number of its primary instances.

    ``reserved`` is the memory in MiB to reserve for the failure of any single other node: the
    largest sum over its peers. ``vcpus`` are the virtual processors of its guests, limited to
    ``vcpu_ratio`` per processor unless None. ``objection`` is the reason why its group does not
    accept the instance. A ``last_resort`` node is used only if no other fits.
    """

    node: Node
    space: NodeResources
    instances: int
    reserved: int = 0
    vcpus: int = 0
    vcpu_ratio: float | None = None
    objection: str | None = None
    last_resort: bool = False


@dataclass(frozen=True)
class Choice:
    """The chosen nodes, the primary first, and the reason against each other node."""

    nodes: Sequence[Node]
    against: Mapping[str, str]
