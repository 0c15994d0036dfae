# SPDX-License-Identifier: BSD-2-Clause
"""The cluster at one moment: its configuration, and what its nodes last said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from ganeti.config.state import ClusterState
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Disk
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_defaults, hv_defaults, nic_defaults
from ganeti.schema.types import Parameters
from ganeti.views.node_status import NodeStatuses

T = TypeVar("T")


@dataclass(frozen=True)
class ClusterSnapshot:
    """Everything that rows are made from, with what many rows share worked out once.

    ``consoles`` says how to reach the console of instances, by UUID, where somebody has asked.
    """

    state: ClusterState
    present: NodeStatuses
    consoles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def cluster(self) -> Cluster:
        return self.state.cluster

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        return self.state.nodes

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        return self.state.groups

    @cached_property
    def disks(self) -> Mapping[str, Disk]:
        return self.state.disks

    @cached_property
    def networks(self) -> Mapping[str, Network]:
        return self.state.networks

    @cached_property
    def users(self) -> Mapping[str, Sequence[Instance]]:
        """The instances with a network card in a network, by the network's UUID."""
        found: dict[str, list[Instance]] = {}
        for instance in self.state.instances.values():
            for uuid in {nic.network for nic in instance.nics if nic.network}:
                found.setdefault(uuid, []).append(instance)
        return found

    @cached_property
    def backend(self) -> Parameters:
        """The backend parameters of instances that set none."""
        return be_defaults(self.cluster)

    @cached_property
    def cards(self) -> Parameters:
        """The parameters of network cards that set none."""
        return nic_defaults(self.cluster)

    @cached_property
    def _hypervisors(self) -> dict[tuple[str, str], Parameters]:
        return {}

    def hypervisor(self, instance: Instance) -> Parameters:
        """The hypervisor parameters of instances like this one that set none."""
        key = instance.hypervisor, instance.os
        found = self._hypervisors.get(key)
        if found is None:
            found = self._hypervisors[key] = hv_defaults(self.cluster, *key)
        return found


@lru_cache(maxsize=65536)
def natural(name: str) -> tuple[str | int, ...]:
    """A key that sorts names as people do, ``web2`` before ``web10``."""
    return tuple(int(p) if p.isdecimal() else p.lower() for p in _DIGITS.split(name))


_DIGITS = re.compile(r"([0-9]+)")


def in_order(things: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """``things`` as people sort their names."""
    return sorted(things, key=lambda each: natural(name(each)))


def names_of(things: Iterable[Instance | Node | Group | Network]) -> list[str]:
    """The names of ``things``, as people sort them."""
    return sorted((each.name for each in things), key=natural)
