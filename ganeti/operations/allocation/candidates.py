# SPDX-License-Identifier: BSD-2-Clause
"""Choosing nodes for an instance out of what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled, policy_filled
from ganeti.operations.allocation.iallocator_protocol import disk_space
from ganeti.operations.allocation.policy_check import PolicySize, violations
from ganeti.operations.allocation.request import Candidate, NodeResources
from ganeti.rpc.node import NodeInfo
from ganeti.schema.records import replace

_UNIT = {
    Template.FILE: "file",
    Template.SHAREDFILE: "sharedfile",
    Template.PLAIN: "lvm-vg",
    Template.DRBD: "lvm-vg",
}
"""The kind of storage unit that the disks of a template take space of."""

ON_PAPER = frozenset({"fake"})
"""Hypervisors whose guests take no processors."""


class KnownNodeInfo(Protocol):
    """What a node says of itself, if it does."""

    def __call__(self, node: Node) -> NodeInfo | None: ...


def storage_units(cluster: Cluster) -> tuple[tuple[str, str], ...]:
    """The kind and name of each place for disks that the cluster uses, for ``DescribeNode``."""
    folders = (("file", cluster.file_storage_dir), ("sharedfile", cluster.shared_file_storage_dir))
    groups = (("lvm-vg", cluster.volume_group_name or ""),)
    uses_groups = {"plain", "drbd"} & set(cluster.enabled_disk_templates)
    return tuple(unit for unit in folders + (groups if uses_groups else ()) if unit[1])


def candidates(
    nodes: Iterable[Node],
    template: Template,
    state: ClusterState,
    known: KnownNodeInfo,
    *,
    size: PolicySize | None = None,
) -> list[Candidate]:
    """The nodes as candidates for disks of this template, each with the space that it has left.

    With a ``size`` each node's group has its say in whether it takes an instance of that size.
    """
    found = []
    objections: dict[str, str | None] = {}
    for node in nodes:
        policy = policy_filled(state.cluster, state.groups[node.group])
        if node.group not in objections:
            objections[node.group] = None if size is None else _objection(size, node, state)
        facts = known(node)
        found.append(
            Candidate(
                node,
                _space(facts, template),
                sum(1 for _ in state.primaries_on(node)),
                _reserved(node, state),
                _vcpus(node, state, facts),
                policy["vcpu-ratio"],
                objections[node.group],
                state.groups[node.group].alloc_policy is AllocPolicy.LAST_RESORT,
            )
        )
    return found


def _vcpus(node: Node, state: ClusterState, facts: NodeInfo | None) -> int:
    """The virtual processors of the node's instances.

    A change of a running instance waits for its next start: what it has now and what it will have
    then must both fit, so the larger one counts.
    """
    guests = facts.guests if facts is not None else {}
    total = 0
    for instance in state.primaries_on(node):
        if instance.hypervisor not in ON_PAPER:
            configured = int(be_filled(state.cluster, instance)["vcpus"])
            guest = guests.get(instance.name)
            total += configured if guest is None else max(configured, guest.vcpus)
    return total


def _objection(size: PolicySize, node: Node, state: ClusterState) -> str | None:
    group = state.groups[node.group]
    broken = violations(size, policy_filled(state.cluster, group))
    if not broken:
        return None
    return f"is in group {group.name}, whose policy it breaks: {', '.join(broken)}"


def _space(facts: NodeInfo | None, template: Template) -> NodeResources:
    if facts is None:
        return NodeResources(None, None, None)
    return NodeResources(facts.memory_free, free_space(facts, template), facts.cpus)


def free_space(facts: NodeInfo, template: Template) -> int | None:
    """The MiB that disks of this template can still take; None where nobody knows."""
    unit = _UNIT.get(template)
    return max((each.free for each in facts.storage if each.kind == unit), default=None)


def require_space(
    node: Node, facts: NodeInfo, template: Template, sizes: Sequence[int], *, freed: int = 0
) -> None:
    """Refuse new disks of these sizes, in MiB, that do not fit on a node; ``freed`` go first.

    :raises Refused: the node has less free.
    """
    free, needed = free_space(facts, template), disk_space(template, sizes) - freed
    if free is not None and free < needed:
        raise Refused(
            f"node {node.name} has {free} MiB of disk free, and {needed} MiB are needed",
            Code.RESOURCES,
        )


def spent(facts: NodeInfo, template: Template, *, memory: int, disk: int) -> NodeInfo:
    """What a node would say if this much more, in MiB, were in use on it."""
    unit = _UNIT.get(template)
    return replace(
        facts,
        memory_free=facts.memory_free - memory,
        storage=tuple(
            replace(each, free=each.free - disk) if each.kind == unit else each
            for each in facts.storage
        ),
    )


def _reserved(node: Node, state: ClusterState) -> int:
    """The memory that the node needs if the worst of its peers fails."""
    by_peer: dict[str, int] = {}
    for instance in state.secondaries_on(node):
        filled = be_filled(state.cluster, instance)
        if filled["auto_balance"]:
            peer = instance.primary_node
            by_peer[peer] = by_peer.get(peer, 0) + int(filled["minmem"])
    return max(by_peer.values(), default=0)
