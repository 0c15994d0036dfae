# SPDX-License-Identifier: BSD-2-Clause
"""Input and output of external iallocators; iallocator protocol, version 2."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import DRBD_METADATA_SIZE, MIRRORED_TEMPLATES, Disk, Template
from ganeti.model.group import Group
from ganeti.model.instance import AdminState, Instance, Nic
from ganeti.model.node import Node
from ganeti.model.parameters.filling import (
    backend_of,
    fill_backend,
    fill_nic,
    fill_node,
    fill_policy,
)
from ganeti.schema.documents import UNREADABLE

VERSION = 2


@dataclass(frozen=True)
class NodeReport:
    """The live data of a node: memory and disk in MiB; ``guests`` with the memory they use."""

    total_memory: int
    reserved_memory: int
    free_memory: int
    total_disk: int
    free_disk: int
    total_cpus: int
    reserved_cpus: int
    guests: Mapping[str, int] = field(default_factory=dict)


def encode_request(
    state: ClusterState, present: Mapping[str, NodeReport], request: Mapping[str, object]
) -> str:
    """Return the input of an iallocator; ``present`` has the data of reachable nodes by UUID."""
    cluster = state.cluster
    document = {
        "version": VERSION,
        "cluster_name": cluster.cluster_name,
        "cluster_tags": list(cluster.tags),
        "enabled_hypervisors": list(cluster.enabled_hypervisors),
        "ipolicy": fill_policy(cluster),
        "nodegroups": {uuid: _describe_group(group, state) for uuid, group in state.groups.items()},
        "nodes": {
            node.name: _describe_node(node, state, present.get(node.uuid))
            for node in state.nodes.values()
        },
        "instances": {
            instance.name: _describe_instance(instance, state)
            for instance in state.instances.values()
        },
        "request": dict(request),
    }
    text = msgspec.json.encode(document, order="sorted").decode()
    # Some iallocators decode their input by the locale, which may be ASCII.
    return text if text.isascii() else json.dumps(msgspec.json.decode(text))


def _describe_group(group: Group, state: ClusterState) -> dict[str, object]:
    return {
        "name": group.name,
        "alloc_policy": group.alloc_policy.value,
        "networks": list(group.networks),
        "ipolicy": fill_policy(state.cluster, group),
        "tags": list(group.tags),
    }


def _describe_node(
    node: Node, state: ClusterState, present: NodeReport | None
) -> dict[str, object]:
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
        "ndparams": fill_node(state.cluster, state.groups[node.group], node),
    }
    if node.offline or not node.vm_capable:
        return facts
    if present is None:
        # Iallocators reject the whole input if an online node has no live data.
        return facts | {"offline": True}
    return facts | _describe_live(node, state, present)


def _describe_live(node: Node, state: ClusterState, present: NodeReport) -> dict[str, object]:
    memory = up_memory = lent = 0
    for instance in state.list_primary_instances(node):
        used = present.guests.get(instance.name, 0)
        # A running guest may have more memory than is configured for its next start.
        wanted = max(backend_of(state.cluster, instance).maxmem, used)
        memory += wanted
        if instance.admin_state is AdminState.UP:
            up_memory += wanted
            # Memory that a guest does not use now must stay free, as it may use it later.
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


def _describe_instance(instance: Instance, state: ClusterState) -> dict[str, object]:
    filled = fill_backend(state.cluster, instance)
    disks = state.get_disks(instance)
    template = state.get_template(instance)
    nodes = (instance.primary_node, *state.get_secondaries(instance))
    return {
        "tags": list(instance.tags),
        "admin_state": instance.admin_state.value,
        "vcpus": filled["vcpus"],
        "memory": filled["maxmem"],
        "spindle_use": filled["spindle_use"],
        "os": instance.os,
        "nodes": [state.nodes[uuid].name for uuid in nodes],
        "nics": [describe_nic(nic, state) for nic in instance.nics],
        "disks": [describe_disk(disk) for disk in disks],
        "disk_template": template.value,
        "disks_active": instance.disks_active,
        "hypervisor": instance.hypervisor,
        "disk_space_total": compute_disk_space(template, [disk.size for disk in disks]),
    }


def describe_nic(nic: Nic, state: ClusterState) -> dict[str, object]:
    """Return a network card in the form of the protocol."""
    filled = fill_nic(state.cluster, nic)
    facts = {"mac": nic.mac, "ip": nic.ip, "mode": filled["mode"], "link": filled["link"]}
    return {**facts, "bridge": filled["link"]} if filled["mode"] == "bridged" else facts


def describe_disk(disk: Disk) -> dict[str, object]:
    """Return a disk in the form of the protocol."""
    return {
        "dev_type": disk.dev_type.value,
        "size": disk.size,
        "mode": disk.mode.value,
        "spindles": disk.spindles,
    }


def compute_disk_space(template: Template, sizes: Sequence[int]) -> int:
    """Return the space in MiB that disks use on each of their nodes."""
    extra = DRBD_METADATA_SIZE if template in MIRRORED_TEMPLATES else 0
    return 0 if template is Template.DISKLESS else sum(size + extra for size in sizes)


def result_of(name: str, text: str) -> Any:
    """Return the result in the output of the iallocator ``name``.

    :raises Refused: the output is malformed, or the iallocator has found no solution.
    """
    try:
        answer = msgspec.json.decode(text)
    except UNREADABLE as e:
        raise Refused(f"output of iallocator {name} is not JSON: {e}", Code.ENVIRONMENT) from None
    match answer:
        case {"success": bool(success), "info": str(info), "result": result}:
            pass
        case {"success": bool(success), "info": str(info), "nodes": result}:
            pass
        case _:
            raise Refused(
                f"output of iallocator {name} lacks success, info or result", Code.ENVIRONMENT
            )
    if not success:
        raise Refused(f"iallocator {name} found no solution: {info}", Code.RESOURCES)
    return result


def nodes_of(name: str, text: str, wanted: int, state: ClusterState) -> tuple[Node, ...]:
    """Return the nodes that an iallocator has chosen, the primary first.

    :raises Refused: it has found no solution, or not ``wanted`` nodes.
    """
    result = result_of(name, text)
    names = [result] if isinstance(result, str) else result
    if not isinstance(names, list) or len(names) != wanted:
        raise Refused(
            f"iallocator {name} chose {result}, but {wanted} nodes are required", Code.ENVIRONMENT
        )
    try:
        return tuple(state.node(str(each)) for each in names)
    except Refused as e:
        raise Refused(f"iallocator {name}: {e}", Code.ENVIRONMENT) from None
