# SPDX-License-Identifier: BSD-2-Clause
"""What is to be placed, and what is known of the nodes it may go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ganeti.model.disk import Template
from ganeti.model.node import Node


@dataclass(frozen=True)
class NodeResources:
    """What a node has left: memory and disk in MiB, processors; None where it is not known."""

    memory: int | None
    disk: int | None
    cpus: int | None


@dataclass(frozen=True)
class Placement:
    """An instance that looks for nodes; ``memory`` and ``disks`` in MiB.

    ``wanted`` nodes are needed: one, or two for disks that are mirrored between nodes.
    ``away_from`` lists UUIDs of nodes that will not do.
    """

    name: str
    memory: int
    vcpus: int
    disks: Sequence[int]
    template: Template
    wanted: int
    away_from: frozenset[str] = frozenset()
    group: str | None = None

    def for_nodes(self, wanted: int) -> Placement:
        """The same for another number of nodes."""
        return replace(self, wanted=wanted)


@dataclass(frozen=True)
class Candidate:
    """A node that might take an instance; ``instances`` counts those it has already.

    ``reserved`` is the memory, in MiB, that the node must keep for the instances of whichever
    single other node may fail: the largest sum over its peers. ``vcpus`` are those of the guests
    that it has, of which there may be ``vcpu_ratio`` for each processor, if there is a limit.
    ``objection`` is why its group does not take the instance at all; a group that is the
    ``last_resort`` takes only what no other can take.
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
    """The nodes that were chosen, the first as primary, and why each other one was not."""

    nodes: Sequence[Node]
    against: Mapping[str, str]
