# SPDX-License-Identifier: BSD-2-Clause
"""What external allocators are told and what they say; protocol: instance allocators, version 2."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk, Template
from ganeti.model.group import Group
from ganeti.model.instance import Instance, Nic, Wanted
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled, nd_filled, nic_filled, policy_filled
from ganeti.operations.allocation.scoring import METADATA
from ganeti.schema.documents import UNREADABLE

VERSION = 2


@dataclass(frozen=True)
class NodeReport:
    """What a node says of itself: memory and disk in MiB; ``guests`` with the memory they use."""

    total_memory: int
    reserved_memory: int
    free_memory: int
    total_disk: int
    free_disk: int
    total_cpus: int
    reserved_cpus: int
    guests: Mapping[str, int] = field(default_factory=dict)


def request_text(
    state: ClusterState, present: Mapping[str, NodeReport], request: Mapping[str, Any]
) -> str:
    """The file that an allocator is given; ``present`` by node UUID, for nodes that answer."""
    cluster = state.cluster
    document = {
        "version": VERSION,
        "cluster_name": cluster.cluster_name,
        "cluster_tags": list(cluster.tags),
        "enabled_hypervisors": list(cluster.enabled_hypervisors),
        "ipolicy": policy_filled(cluster),
        "nodegroups": {uuid: _group(group, state) for uuid, group in state.groups.items()},
        "nodes": {
            node.name: _node(node, state, present.get(node.uuid)) for node in state.nodes.values()
        },
        "instances": {
            instance.name: _instance(instance, state) for instance in state.instances.values()
        },
        "request": dict(request),
    }
    text = msgspec.json.encode(document, order="sorted").decode()
    # Some programs read their files by the locale, which may know of ASCII only.
    return text if text.isascii() else json.dumps(msgspec.json.decode(text))


def _group(group: Group, state: ClusterState) -> dict[str, Any]:
    return {
        "name": group.name,
        "alloc_policy": group.alloc_policy.value,
        "networks": list(group.networks),
        "ipolicy": policy_filled(state.cluster, group),
        "tags": list(group.tags),
    }


def _node(node: Node, state: ClusterState, present: NodeReport | None) -> dict[str, Any]:
    facts = {
        "tags": list(node.tags),
        "primary_ip": node.primary_ip,
        "secondary_ip": node.secondary_ip,
        "offline": node.offline,
        "drained": node.drained,
        "master_candidate": node.master_candidate,
        "group": node.group,
        "master_capable": node.master_capable,
        "vm_capable": node.vm_capable,
        "ndparams": nd_filled(state.cluster, state.groups[node.group], node),
    }
    if node.offline or not node.vm_capable:
        return facts
    if present is None:
        # Allocators refuse everything when a node that is there says nothing of itself.
        return facts | {"offline": True}
    return facts | _live(node, state, present)


def _live(node: Node, state: ClusterState, present: NodeReport) -> dict[str, Any]:
    memory = up_memory = lent = 0
    for instance in state.primaries_on(node):
        used = present.guests.get(instance.name, 0)
        # A running guest may have more than what is configured for its next start.
        wanted = max(int(be_filled(state.cluster, instance)["maxmem"]), used)
        memory += wanted
        if instance.admin_state is Wanted.UP:
            up_memory += wanted
            # What a guest does not use now, it may use later.
            lent += wanted - used
    return {
        "total_memory": present.total_memory,
        "reserved_memory": present.reserved_memory,
        "free_memory": present.free_memory - lent,
        "total_disk": present.total_disk,
        "free_disk": present.free_disk,
        "total_spindles": 0,
        "free_spindles": 0,
        "total_cpus": present.total_cpus,
        "reserved_cpus": present.reserved_cpus,
        "i_pri_memory": memory,
        "i_pri_up_memory": up_memory,
    }


def _instance(instance: Instance, state: ClusterState) -> dict[str, Any]:
    filled = be_filled(state.cluster, instance)
    disks = state.disks_of(instance)
    template = state.template_of(instance)
    nodes = (instance.primary_node, *state.secondaries_of(instance))
    return {
        "tags": list(instance.tags),
        "admin_state": instance.admin_state.value,
        "vcpus": filled["vcpus"],
        "memory": filled["maxmem"],
        "spindle_use": filled["spindle_use"],
        "os": instance.os,
        "nodes": [state.nodes[uuid].name for uuid in nodes],
        "nics": [nic_facts(nic, state) for nic in instance.nics],
        "disks": [disk_facts(disk) for disk in disks],
        "disk_template": template.value,
        "disks_active": instance.disks_active,
        "hypervisor": instance.hypervisor,
        "disk_space_total": disk_space(template, [disk.size for disk in disks]),
    }


def nic_facts(nic: Nic, state: ClusterState) -> dict[str, Any]:
    """A network card as allocators see it."""
    filled = nic_filled(state.cluster, nic)
    facts = {"mac": nic.mac, "ip": nic.ip, "mode": filled["mode"], "link": filled["link"]}
    return {**facts, "bridge": filled["link"]} if filled["mode"] == "bridged" else facts


def disk_facts(disk: Disk) -> dict[str, Any]:
    """A disk as allocators see it."""
    return {
        "dev_type": disk.dev_type.value,
        "size": disk.size,
        "mode": disk.mode.value,
        "spindles": disk.spindles,
    }


def disk_space(template: Template, sizes: Sequence[int]) -> int:
    """The MiB that disks take on each node that has them."""
    extra = METADATA if template in MIRRORED_BETWEEN_NODES else 0
    return 0 if template is Template.DISKLESS else sum(size + extra for size in sizes)


def result_of(name: str, text: str) -> Any:
    """The result in the answer of the allocator of this name.

    :raises Refused: it is no answer, or the allocator has found no solution.
    """
    try:
        answer = msgspec.json.decode(text)
    except UNREADABLE as e:
        raise Refused(f"allocator {name} did not answer in JSON: {e}", Code.ENVIRONMENT) from None
    match answer:
        case {"success": bool(success), "info": str(info), "result": result}:
            pass
        case {"success": bool(success), "info": str(info), "nodes": result}:
            pass
        case _:
            raise Refused(
                f"the answer of allocator {name} lacks success, info or result", Code.ENVIRONMENT
            )
    if not success:
        raise Refused(f"allocator {name} found no solution: {info}", Code.RESOURCES)
    return result


def nodes_of(name: str, text: str, wanted: int, state: ClusterState) -> tuple[Node, ...]:
    """The nodes that an allocator has chosen, the first as primary.

    :raises Refused: it has found none, or not as many as are ``wanted``.
    """
    result = result_of(name, text)
    names = [result] if isinstance(result, str) else result
    if not isinstance(names, list) or len(names) != wanted:
        raise Refused(
            f"allocator {name} chose {result} where {wanted} nodes are needed", Code.ENVIRONMENT
        )
    try:
        return tuple(state.node(str(each)) for each in names)
    except Refused as e:
        raise Refused(f"allocator {name}: {e}", Code.ENVIRONMENT) from None
