# SPDX-License-Identifier: BSD-2-Clause
"""Candidate nodes for an instance, with their free resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ganeti.config.node_usage import NodeUsage
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Disk, Template, get_pool
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.model.parameters.filling import backend_of, default_backend_of, policy_of
from ganeti.operations.allocation.allocation_request import Candidate, NodeResources
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.allocation.policy_check import PolicySize, violations
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
    leaves: Node | None = None,
) -> list[Candidate]:
    """Return the nodes as candidates, with their free resources for disks of this template.

    With ``size``, each candidate also has the objections of its group's instance policy. What is
    reserved for a failure of ``leaves``, a node that is evacuated, does not count.
    """
    default = default_backend_of(state.cluster)
    groups: dict[str, _GroupRules] = {}
    found = []
    for node in nodes:
        rules = groups.get(node.group)
        if rules is None:
            rules = groups[node.group] = _group_rules(state.groups[node.group], size, state)
        facts, usage = known(node), state.get_usage(node)
        found.append(
            Candidate(
                node,
                _free_resources(facts, template, usage, default.maxmem),
                usage.instances,
                usage.reserved(
                    default.minmem,
                    default.auto_balance,
                    without=None if leaves is None else leaves.uuid,
                ),
                running_vcpus.count(node, state, facts, default.vcpus),
                rules.vcpu_ratio,
                rules.objection,
                rules.last_resort,
            )
        )
    return found


@dataclass(frozen=True)
class _GroupRules:
    """What a node group says about an instance, the same for all of its nodes."""

    vcpu_ratio: float | None
    objection: str | None
    last_resort: bool


def _group_rules(group: Group, size: PolicySize | None, state: ClusterState) -> _GroupRules:
    policy = policy_of(state.cluster, group)
    broken = [] if size is None else violations(size, policy)
    objection = None
    if broken:
        why = ", ".join(broken)
        objection = f"is in group {group.name}, whose instance policy is violated: {why}"
    last_resort = group.alloc_policy is AllocPolicy.LAST_RESORT
    return _GroupRules(policy.vcpu_ratio, objection, last_resort)


@dataclass(frozen=True)
class _Excess:
    """A number of virtual processors, and what it was counted from."""

    usage: NodeUsage
    guests: Mapping[str, GuestState]
    default: int
    vcpus: int


class RunningVcpus:
    """Counts the virtual processors of nodes' instances, configured and running.

    A change of a running instance waits for its next start, so the larger of its running and its
    configured value counts: both must fit. The guests of a node are compared with their
    configuration only if either has changed since the last time.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Excess] = {}

    def count(self, node: Node, state: ClusterState, facts: NodeInfo | None, default: int) -> int:
        """Return the number for a node; ``default`` is that of instances without a value."""
        usage = state.get_usage(node)
        configured = sum(
            amount.total(default)
            for hypervisor, amount in usage.vcpus.items()
            if hypervisor not in ON_PAPER
        )
        if facts is None or not configured or not facts.guests:
            return configured
        known = self._known.get(node.uuid)
        # The same objects are returned until something changes.
        if (
            known is None
            or known.usage is not usage
            or known.guests is not facts.guests
            or known.default != default
        ):
            excess = _count_excess(node, state, facts.guests, default)
            known = self._known[node.uuid] = _Excess(usage, facts.guests, default, excess)
            while len(self._known) > MAX_NODES:
                del self._known[next(iter(self._known))]
        return configured + known.vcpus


MAX_NODES = 4096
"""Maximum number of nodes whose running virtual processors are remembered."""

running_vcpus = RunningVcpus()


def _count_excess(
    node: Node, state: ClusterState, guests: Mapping[str, GuestState], default: int
) -> int:
    """Return the virtual processors of running guests beyond those that are configured."""
    total = 0
    for instance in state.list_primary_instances(node):
        guest = guests.get(instance.name)
        if guest is not None and instance.hypervisor not in ON_PAPER:
            vcpus = instance.beparams.get("vcpus", default)
            # Only a file that was edited or imported has another type.
            if not isinstance(vcpus, int):
                vcpus = backend_of(state.cluster, instance).vcpus
            total += max(0, guest.vcpus - vcpus)
    return total


def _free_resources(
    facts: NodeInfo | None, template: Template, usage: NodeUsage, maxmem: int
) -> NodeResources:
    """Return what is free on a node, without what reserved (forthcoming) instances hold.

    ``maxmem`` is that of instances without a value.
    """
    if facts is None:
        return NodeResources(None, None, None)
    free = get_free_space(facts, template)
    return NodeResources(
        facts.memory_free - usage.held.total(maxmem),
        None if free is None else free - get_held_space(usage, template),
        facts.cpus,
    )


def get_held_space(usage: NodeUsage, template: Template) -> int:
    """Return the space in MiB that reserved disks hold of that for disks of this template."""
    unit = _STORAGE_TYPES.get(template)
    return sum(size for each, size in usage.held_disk.items() if _STORAGE_TYPES.get(each) == unit)


def get_free_space(facts: NodeInfo, template: Template) -> int | None:
    """Return the free space in MiB for disks of this template, or None if it is unknown."""
    unit = _STORAGE_TYPES.get(template)
    return max((each.free for each in facts.storage if each.kind == unit), default=None)


def list_sizes(disks: Iterable[Disk]) -> list[int]:
    """Return the sizes in MiB of those disks whose space is that of their storage unit.

    That of a thin pool is checked by the node, which alone knows what it has promised.
    """
    return [disk.size for disk in disks if not get_pool(disk)]


def require_space(
    node: Node,
    facts: NodeInfo,
    template: Template,
    sizes: Sequence[int],
    *,
    state: ClusterState,
    freed: int = 0,
) -> None:
    """Refuse new disks of these sizes, in MiB, that do not fit on a node; ``freed`` go first.

    :raises Refused: the node has less free, without what reserved instances hold.
    """
    free, needed = get_free_space(facts, template), compute_disk_space(template, sizes) - freed
    held = get_held_space(state.get_usage(node), template)
    if free is not None and free - held < needed:
        aside = f", of which reserved instances hold {held} MiB" if held else ""
        raise Refused(
            f"node {node.name} has {free} MiB of free disk space{aside}, but {needed} MiB are"
            " required",
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
