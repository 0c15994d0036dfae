# SPDX-License-Identifier: BSD-2-Clause
"""A snapshot of the cluster: its configuration, and the last reported state of its nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TypeVar

from ganeti.config.state import ClusterState
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Disk
from ganeti.model.group import Group
from ganeti.model.images import is_image_name
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_defaults, hv_defaults, nic_defaults
from ganeti.schema.types import Parameters
from ganeti.views.node_status import NodeStatuses

T = TypeVar("T")


@dataclass(frozen=True)
class ClusterSnapshot:
    """The inputs of all rows; values that many rows share are computed once.

    ``consoles`` has the console information of instances by UUID, if it was queried.
    """

    state: ClusterState
    present: NodeStatuses
    consoles: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

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
    def installed_from(self) -> Mapping[str, list[str]]:
        """The names of the instances by the digest of the image that they were installed from."""
        found: dict[str, list[str]] = {}
        for instance in self.state.instances.values():
            digest = instance.osparams.get("checksum")
            if isinstance(digest, str) and is_image_name(instance.osparams.get("image")):
                found.setdefault(digest, []).append(instance.name)
        return {digest: sorted(names, key=natural_key) for digest, names in found.items()}

    @cached_property
    def backend(self) -> Parameters:
        """The default backend parameters."""
        return be_defaults(self.cluster)

    @cached_property
    def cards(self) -> Parameters:
        """The default parameters of network cards."""
        return nic_defaults(self.cluster)

    @cached_property
    def _hypervisors(self) -> dict[tuple[str, str], Parameters]:
        return {}

    def hypervisor(self, instance: Instance) -> Parameters:
        """Return the default hypervisor parameters for the hypervisor and OS of an instance."""
        key = instance.hypervisor, instance.os
        found = self._hypervisors.get(key)
        if found is None:
            found = self._hypervisors[key] = hv_defaults(self.cluster, *key)
        return found


@lru_cache(maxsize=65536)
def natural_key(name: str) -> tuple[str | int, ...]:
    """Return a sort key that compares numbers in names by value: ``web2`` before ``web10``."""
    # By position: other text may consist of digits of another script.
    parts = enumerate(_DIGITS.split(name))
    return tuple(int(part) if number % 2 else part.lower() for number, part in parts)


_DIGITS = re.compile(r"([0-9]+)")


def in_order(things: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """Sort ``things`` by their names in natural order."""
    return sorted(things, key=lambda each: natural_key(name(each)))


def names_of(things: Iterable[Instance | Node | Group | Network]) -> list[str]:
    """Return the names of ``things`` in natural order."""
    return sorted((each.name for each in things), key=natural_key)
