# SPDX-License-Identifier: BSD-2-Clause
"""What must be true of every state: references resolve, nothing is there twice, flags fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator

from immutables import Map

from ganeti.config.changes.instances import port_of
from ganeti.config.state import ClusterState, RecordKind, Stored, collected
from ganeti.errors import Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import Instance


def verify(state: ClusterState) -> list[str]:
    """Everything that is wrong with ``state``; empty if nothing is."""
    if len(state.objects.get(RecordKind.CLUSTER, Map())) != 1:
        return ["there must be exactly one cluster"]
    return [problem for check in _CHECKS for problem in check(state)]


def dangling_nodes(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Return the names of nodes whose group does not exist, each with what is wrong."""
    for node in state.nodes.values():
        if node.group not in state.groups:
            yield node.name, f"node {node.name} belongs to an unknown group, {node.group}"


def dangling_instances(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Return the names of instances whose primary node does not exist, each with what is wrong."""
    for instance in state.instances.values():
        if instance.primary_node not in state.nodes:
            problem = f"instance {instance.name} is on an unknown node, {instance.primary_node}"
            yield instance.name, problem


def _master(state: ClusterState) -> Iterator[str]:
    master = state.nodes.get(state.cluster.master_node)
    if master is None:
        yield f"the master node {state.cluster.master_node} is not in the configuration"
    elif not master.master_candidate or master.offline or master.drained:
        yield f"the master node {master.name} must be a candidate, and neither offline nor drained"


def _nodes(state: ClusterState) -> Iterator[str]:
    yield from (problem for _, problem in dangling_nodes(state))
    for node in state.nodes.values():
        if node.master_candidate + node.offline + node.drained > 1:
            yield f"node {node.name} can be only one of candidate, offline and drained"
        if node.master_candidate and not node.master_capable:
            yield f"node {node.name} is a candidate and not master_capable"
    for uuid in state.cluster.candidate_certs:
        found = state.nodes.get(uuid)
        if found is None or not found.master_candidate:
            called = found.name if found else uuid
            yield f"node {called} has a candidate's certificate and is no candidate"
    for uuid, certificates in state.certificates.items():
        if uuid not in state.nodes:
            yield f"there are certificates of an unknown node, {uuid}"
        elif not certificates.fingerprints:
            yield f"node {state.nodes[uuid].name} has no certificate that it may show"
    yield from _twice(
        "certificate",
        (each for found in state.certificates.values() for each in found.fingerprints),
    )
    yield from _twice("address", (node.primary_ip for node in state.nodes.values()))


def _groups(state: ClusterState) -> Iterator[str]:
    for group in state.groups.values():
        for network in group.networks:
            if network not in state.networks:
                yield f"group {group.name} is connected to an unknown network, {network}"


def _instances(state: ClusterState) -> Iterator[str]:
    yield from (problem for _, problem in dangling_instances(state))
    for instance in state.instances.values():
        called = f"instance {instance.name}"
        if instance.hypervisor not in state.cluster.enabled_hypervisors:
            yield f"{called} needs the hypervisor {instance.hypervisor}, which is not enabled"
        for nic in instance.nics:
            if nic.network is not None and nic.network not in state.networks:
                yield f"{called} has a card in an unknown network, {nic.network}"
        missing = [uuid for uuid in instance.disks if uuid not in state.disks]
        yield from (f"{called} has an unknown disk, {uuid}" for uuid in missing)
        if not missing:
            yield from _disks_of(called, instance, state.disks_of(instance))


def _disks_of(called: str, instance: Instance, disks: tuple[Disk, ...]) -> Iterator[str]:
    templates = sorted({disk.dev_type.value for disk in disks})
    if len(templates) > 1:
        yield f"{called} has disks of several kinds: {', '.join(templates)}"
    for number, disk in enumerate(disks):
        if disk.iv_name != f"disk/{number}":
            yield f"{called} has disk {number} under the name {disk.iv_name}"
        if disk.dev_type is Template.DRBD and (
            len(set(disk.nodes)) != 2 or instance.primary_node not in disk.nodes
        ):
            yield f"{called} has disk {number} not on its primary and one other node"


def _disks(state: ClusterState) -> Iterator[str]:
    owned = Counter(uuid for instance in state.instances.values() for uuid in instance.disks)
    yield from (
        f"disk {uuid} belongs to {count} instances" for uuid, count in owned.items() if count > 1
    )
    for disk in state.disks.values():
        for node in disk.nodes:
            if node not in state.nodes:
                yield f"disk {disk.uuid} is on an unknown node, {node}"
        if disk.dev_type is Template.DRBD and set(disk.logical_id[:2]) != set(disk.nodes):
            yield f"disk {disk.uuid} names other nodes in logical_id than in nodes"
    yield from _twice("minor", _minors(state))
    yield from _twice("volume or file", map(_place, _leaves(state.disks.values())))


def _minors(state: ClusterState) -> Iterator[tuple[str, int]]:
    """The node and number of each end of a drbd disk."""
    for disk in state.disks.values():
        if disk.dev_type is Template.DRBD:
            one, other, _, here, there, _ = disk.logical_id
            yield from ((one, here), (other, there))


def _place(disk: Disk) -> tuple[Hashable, ...]:
    """What no two disks can share; files and volumes of different nodes are different."""
    return (disk.dev_type.value, disk.nodes, *disk.logical_id)


def _leaves(disks: Iterable[Disk]) -> Iterator[Disk]:
    for disk in disks:
        if disk.children:
            yield from _leaves(disk.children)
        elif disk.dev_type is not Template.DRBD:
            yield disk


def _addresses(state: ClusterState) -> Iterator[str]:
    cards = [nic for instance in state.instances.values() for nic in instance.nics]
    yield from _twice("MAC address", (nic.mac.lower() for nic in cards))
    yield from _twice(
        "IP address", ((nic.network, nic.ip) for nic in cards if nic.network and nic.ip)
    )


def _ports(state: ClusterState) -> Iterator[str]:
    consoles = [i.network_port for i in state.instances.values() if i.network_port is not None]
    mirrors = [port_of(disk) for disk in state.disks.values() if disk.dev_type is Template.DRBD]
    yield from _twice("port", (*consoles, *mirrors, *state.cluster.tcpudp_port_pool))
    for port in (*consoles, *mirrors):
        if port > state.cluster.highest_used_port:
            yield f"port {port} is in use and above highest_used_port"


def _serials(state: ClusterState) -> Iterator[str]:
    for kind, same in state.objects.items():
        for record in same.values():
            serial = getattr(record, "serial_no", 1)  # some kinds have none
            if serial < 1:
                yield f"{kind} {record.uuid} has the serial number {serial}"


def _indexes(state: ClusterState) -> Iterator[str]:
    try:
        right = collected(
            _records(state), serial_no=state.serial_no, ctime=state.ctime, mtime=state.mtime
        )
    except Refused as e:
        yield str(e)
        return
    for name in ("names", "primaries", "copies", "owners", "macs"):
        if getattr(state, name) != getattr(right, name):
            yield f"the index {name} does not fit the objects"


def _records(state: ClusterState) -> Iterator[Stored]:
    for same in state.objects.values():
        yield from same.values()


def _twice(what: str, values: Iterable[Hashable]) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            text = " ".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{what} {text} is there {count} times"


_CHECKS: tuple[Callable[[ClusterState], Iterator[str]], ...] = (
    _master,
    _nodes,
    _groups,
    _instances,
    _disks,
    _addresses,
    _ports,
    _serials,
    _indexes,
)
