# SPDX-License-Identifier: BSD-2-Clause
"""Builders of nodes and instances for searches; what a test does not give does not matter."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.placement.cluster_model import ClusterModel, InstanceModel, NodeModel, Storage
from ganeti.schema.records import replace


def a_node_model(name: str, **given: object) -> NodeModel:
    """Return a node with 64 GiB of memory, without instances."""
    node = NodeModel(
        name=name,
        group="default",
        memory=65536,
        memory_free=0,
        disk=1 << 20,
        disk_free=0,
        cpus=16,
    )
    return replace(node, **given)


def a_mirrored(name: str, primary: str, secondary: str, **given: object) -> InstanceModel:
    """Return an instance with 1 GiB of memory and 10 GiB of mirrored disk."""
    instance = InstanceModel(
        name=name,
        memory=1024,
        disk=10240,
        vcpus=1,
        storage=Storage.MIRRORED,
        primary=primary,
        secondary=secondary,
        reserved=1024,
    )
    return replace(instance, **given)


def a_shared(name: str, primary: str, **given: object) -> InstanceModel:
    """Return an instance with 1 GiB of memory and disks that all nodes have access to."""
    instance = InstanceModel(
        name=name, memory=1024, disk=0, vcpus=1, storage=Storage.SHARED, primary=primary
    )
    return replace(instance, **given)


def a_cluster_model(
    nodes: Sequence[NodeModel], instances: Sequence[InstanceModel] = ()
) -> ClusterModel:
    """Return a cluster; what is left on a node without given free resources follows."""
    found = []
    for node in nodes:
        runs = [each for each in instances if each.primary == node.name]
        holds = [each for each in instances if node.name in (each.primary, each.secondary)]
        memory = node.memory - sum(each.memory for each in runs)
        disk = node.disk - sum(each.disk for each in holds)
        found.append(
            replace(
                node,
                memory_free=node.memory_free or memory,
                disk_free=node.disk_free or disk,
            )
        )
    return ClusterModel(nodes=tuple(found), instances=tuple(instances))
