# SPDX-License-Identifier: BSD-2-Clause
"""Candidate nodes for an instance, with their free resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.model.node import Node
from ganeti.model.parameters.filling import fill_backend, fill_policy
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.allocation.policy_check import PolicySize, violations
from ganeti.operations.allocation.request import Candidate, NodeResources
from ganeti.rpc.node import NodeInfo
from ganeti.schema.records import replace

_STORAGE_TYPES = {
    Template.FILE: "file",
    Template.SHAREDFILE: "sharedfile",
    Template.PLAIN: "lvm-vg",
    Template.DRBD: "lvm-vg",
}
"""The storage type that disks of a template use space of."""

ON_PAPER = frozenset({"fake"})
"""Hypervisors whose guests use no processors."""


class NodeInfoLookup(Protocol):
    """A lookup of a node's live data; None if the node did not answer."""

    def __call__(self, node: Node) -> NodeInfo | None: ...


def storage_units(cluster: Cluster) -> tuple[tuple[str, str], ...]:
    """Return type and name of each storage unit of the cluster, for ``DescribeNode``."""
    folders = (("file", cluster.file_storage_dir), ("sharedfile", cluster.shared_file_storage_dir))
    groups = (("lvm-vg", cluster.volume_group_name or ""),)
    uses_groups = {"plain", "drbd"} & set(cluster.enabled_disk_templates)
    return tuple(unit for unit in folders + (groups if uses_groups else ()) if unit[1])


def candidates(
    nodes: Iterable[Node],
    template: Template,
    state: ClusterState,
    known: NodeInfoLookup,
    *,
    size: PolicySize | None = None,
) -> list[Candidate]:
    """Return the nodes as candidates, with their free resources for disks of this template.

    With ``size``, each candidate also has the objections of its group's instance policy.
    """
    found = []
    objections: dict[str, str | None] = {}
    for node in nodes:
        policy = fill_policy(state.cluster, state.groups[node.group])
        if node.group not in objections:
            objections[node.group] = None if size is None else _find_objection(size, node, state)
        facts = known(node)
        found.append(
            Candidate(
                node,
                _free_resources(facts, template),
                sum(1 for _ in state.list_primary_instances(node)),
                _reserved_memory(node, state),
                _count_vcpus(node, state, facts),
                policy["vcpu-ratio"],
                objections[node.group],
                state.groups[node.group].alloc_policy is AllocPolicy.LAST_RESORT,
            )
        )
    return found


def _count_vcpus(node: Node, state: ClusterState, facts: NodeInfo | None) -> int:
    """Return the virtual processors of the node's instances.

    A change of a running instance waits for its next start, so the larger of its running and its
    configured value counts: both must fit.
    """
    guests = facts.guests if facts is not None else {}
    total = 0
    for instance in state.list_primary_instances(node):
        if instance.hypervisor not in ON_PAPER:
            configured = int(fill_backend(state.cluster, instance)["vcpus"])
            guest = guests.get(instance.name)
            total += configured if guest is None else max(configured, guest.vcpus)
    return total


def _find_objection(size: PolicySize, node: Node, state: ClusterState) -> str | None:
    group = state.groups[node.group]
    broken = violations(size, fill_policy(state.cluster, group))
    if not broken:
        return None
    return f"is in group {group.name}, whose instance policy is violated: {', '.join(broken)}"


def _free_resources(facts: NodeInfo | None, template: Template) -> NodeResources:
    if facts is None:
        return NodeResources(None, None, None)
    return NodeResources(facts.memory_free, get_free_space(facts, template), facts.cpus)


def get_free_space(facts: NodeInfo, template: Template) -> int | None:
    """Return the free space in MiB for disks of this template, or None if it is unknown."""
    unit = _STORAGE_TYPES.get(template)
    return max((each.free for each in facts.storage if each.kind == unit), default=None)


def require_space(
    node: Node, facts: NodeInfo, template: Template, sizes: Sequence[int], *, freed: int = 0
) -> None:
    """Refuse new disks of these sizes, in MiB, that do not fit on a node; ``freed`` go first.

    :raises Refused: the node has less free.
    """
    free, needed = get_free_space(facts, template), compute_disk_space(template, sizes) - freed
    if free is not None and free < needed:
        raise Refused(
            f"node {node.name} has {free} MiB of free disk space, but {needed} MiB are required",
            Code.RESOURCES,
        )


def spent(facts: NodeInfo, template: Template, *, memory: int, disk: int) -> NodeInfo:
    """Return the node's data with this much memory and disk (MiB) used in addition."""
    unit = _STORAGE_TYPES.get(template)
    return replace(
        facts,
        memory_free=facts.memory_free - memory,
        storage=tuple(
            replace(each, free=each.free - disk) if each.kind == unit else each
            for each in facts.storage
        ),
    )


def _reserved_memory(node: Node, state: ClusterState) -> int:
    """Return the memory in MiB to reserve for a failure of another node (N+1 redundancy)."""
    by_peer: dict[str, int] = {}
    for instance in state.list_secondary_instances(node):
        filled = fill_backend(state.cluster, instance)
        if filled["auto_balance"]:
            peer = instance.primary_node
            by_peer[peer] = by_peer.get(peer, 0) + int(filled["minmem"])
    return max(by_peer.values(), default=0)
