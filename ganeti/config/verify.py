# SPDX-License-Identifier: BSD-2-Clause
"""Invariants of the configuration: references resolve, ids are unique, flags are consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator

from immutables import Map

from ganeti.config.changes.instances import get_drbd_port
from ganeti.config.state import ClusterState, RecordKind, Stored, make_state
from ganeti.errors import Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import Instance


def verify(state: ClusterState) -> list[str]:
    """Return a message for each violated invariant of ``state``."""
    if len(state.objects.get(RecordKind.CLUSTER, Map())) != 1:
        return ["the configuration must contain exactly one cluster"]
    return [problem for check in _CHECKS for problem in check(state)]


def dangling_nodes(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Yield the names of nodes whose group does not exist, with a message."""
    for node in state.nodes.values():
        if node.group not in state.groups:
            yield node.name, f"node {node.name} belongs to unknown group {node.group}"


def dangling_instances(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Yield the names of instances whose primary node does not exist, with a message."""
    for instance in state.instances.values():
        if instance.primary_node not in state.nodes:
            problem = f"instance {instance.name} is on unknown node {instance.primary_node}"
            yield instance.name, problem


def _check_master(state: ClusterState) -> Iterator[str]:
    master = state.nodes.get(state.cluster.master_node)
    if master is None:
        yield f"master node {state.cluster.master_node} is not in the configuration"
    elif not master.master_candidate or master.offline or master.drained:
        yield f"master node {master.name} must be a candidate and neither offline nor drained"


def _check_nodes(state: ClusterState) -> Iterator[str]:
    yield from (problem for _, problem in dangling_nodes(state))
    for node in state.nodes.values():
        if node.master_candidate + node.offline + node.drained > 1:
            yield f"node {node.name} has more than one of the flags candidate, offline and drained"
        if node.master_candidate and not node.master_capable:
            yield f"node {node.name} is a candidate but not master_capable"
    for uuid in state.cluster.candidate_certs:
        found = state.nodes.get(uuid)
        if found is None or not found.master_candidate:
            called = found.name if found else uuid
            yield f"node {called} has a candidate's certificate but is not a candidate"
    for uuid, certificates in state.certificates.items():
        if uuid not in state.nodes:
            yield f"unknown node {uuid} has certificates"
        elif not certificates.fingerprints:
            yield f"node {state.nodes[uuid].name} has no certificate"
    yield from _find_duplicates(
        "certificate",
        (each for found in state.certificates.values() for each in found.fingerprints),
    )
    yield from _find_duplicates("address", (node.primary_ip for node in state.nodes.values()))


def _check_groups(state: ClusterState) -> Iterator[str]:
    for group in state.groups.values():
        for network in group.networks:
            if network not in state.networks:
                yield f"group {group.name} is connected to unknown network {network}"


def _check_instances(state: ClusterState) -> Iterator[str]:
    yield from (problem for _, problem in dangling_instances(state))
    for instance in state.instances.values():
        called = f"instance {instance.name}"
        if instance.hypervisor not in state.cluster.enabled_hypervisors:
            yield f"{called} uses hypervisor {instance.hypervisor}, which is not enabled"
        for nic in instance.nics:
            if nic.network is not None and nic.network not in state.networks:
                yield f"{called} has a network card in unknown network {nic.network}"
        missing = [uuid for uuid in instance.disks if uuid not in state.disks]
        yield from (f"{called} has unknown disk {uuid}" for uuid in missing)
        if not missing:
            yield from _check_disks_of(called, instance, state.get_disks(instance))


def _check_disks_of(called: str, instance: Instance, disks: tuple[Disk, ...]) -> Iterator[str]:
    templates = sorted({disk.dev_type.value for disk in disks})
    if len(templates) > 1:
        yield f"{called} has disks of several templates: {', '.join(templates)}"
    for number, disk in enumerate(disks):
        if disk.iv_name != f"disk/{number}":
            yield f"{called}: disk {number} has the iv_name {disk.iv_name}"
        if disk.dev_type is Template.DRBD and (
            len(set(disk.nodes)) != 2 or instance.primary_node not in disk.nodes
        ):
            yield f"{called}: disk {number} is not on the primary node and one other node"


def _check_disks(state: ClusterState) -> Iterator[str]:
    owned = Counter(uuid for instance in state.instances.values() for uuid in instance.disks)
    yield from (
        f"disk {uuid} belongs to {count} instances" for uuid, count in owned.items() if count > 1
    )
    for disk in state.disks.values():
        for node in disk.nodes:
            if node not in state.nodes:
                yield f"disk {disk.uuid} is on unknown node {node}"
        if disk.dev_type is Template.DRBD and set(disk.logical_id[:2]) != set(disk.nodes):
            yield f"disk {disk.uuid} has different nodes in logical_id and in nodes"
    yield from _find_duplicates("minor", _list_minors(state))
    yield from _find_duplicates(
        "volume or file", map(_storage_key, _list_leaves(state.disks.values()))
    )


def _list_minors(state: ClusterState) -> Iterator[tuple[str, int]]:
    """Yield the node and minor of each end of each drbd disk."""
    for disk in state.disks.values():
        if disk.dev_type is Template.DRBD:
            one, other, _, here, there, _ = disk.logical_id
            yield from ((one, here), (other, there))


def _storage_key(disk: Disk) -> tuple[Hashable, ...]:
    """Return the identity of a volume or file; those of different nodes are different."""
    return (disk.dev_type.value, disk.nodes, *disk.logical_id)


def _list_leaves(disks: Iterable[Disk]) -> Iterator[Disk]:
    for disk in disks:
        if disk.children:
            yield from _list_leaves(disk.children)
        elif disk.dev_type is not Template.DRBD:
            yield disk


def _check_addresses(state: ClusterState) -> Iterator[str]:
    cards = [nic for instance in state.instances.values() for nic in instance.nics]
    yield from _find_duplicates("MAC address", (nic.mac.lower() for nic in cards))
    yield from _find_duplicates(
        "IP address", ((nic.network, nic.ip) for nic in cards if nic.network and nic.ip)
    )


def _check_ports(state: ClusterState) -> Iterator[str]:
    consoles = [i.network_port for i in state.instances.values() if i.network_port is not None]
    mirrors = [
        get_drbd_port(disk) for disk in state.disks.values() if disk.dev_type is Template.DRBD
    ]
    yield from _find_duplicates("port", (*consoles, *mirrors, *state.cluster.tcpudp_port_pool))
    for port in (*consoles, *mirrors):
        if port > state.cluster.highest_used_port:
            yield f"port {port} is in use but above highest_used_port"


def _check_serials(state: ClusterState) -> Iterator[str]:
    for kind, same in state.objects.items():
        for record in same.values():
            serial = getattr(record, "serial_no", 1)  # some kinds have none
            if serial < 1:
                yield f"{kind} {record.uuid} has invalid serial number {serial}"


def _check_indexes(state: ClusterState) -> Iterator[str]:
    try:
        right = make_state(
            _list_records(state), serial_no=state.serial_no, ctime=state.ctime, mtime=state.mtime
        )
    except Refused as e:
        yield str(e)
        return
    for name in ("names", "primaries", "copies", "owners", "macs"):
        if getattr(state, name) != getattr(right, name):
            yield f"index {name} does not match the objects"


def _list_records(state: ClusterState) -> Iterator[Stored]:
    for same in state.objects.values():
        yield from same.values()


def _find_duplicates(what: str, values: Iterable[Hashable]) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            text = " ".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{what} {text} is used {count} times"


_CHECKS: tuple[Callable[[ClusterState], Iterator[str]], ...] = (
    _check_master,
    _check_nodes,
    _check_groups,
    _check_instances,
    _check_disks,
    _check_addresses,
    _check_ports,
    _check_serials,
    _check_indexes,
)
