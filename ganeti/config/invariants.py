# SPDX-License-Identifier: BSD-2-Clause
"""Invariants of the configuration: references resolve, ids are unique, flags are consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeAlias

from immutables import Map

from ganeti.config.node_usage import UNUSED, count_usage
from ganeti.config.paced import paced
from ganeti.config.state import KINDS, ClusterState, RecordKind, Stored
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, Template, get_drbd_port
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.schema.records import replace

Problems: TypeAlias = Iterator[str | None]
"""Messages about violated invariants, with None at points where work can pause."""


def verify(state: ClusterState) -> list[str]:
    """Return a message for each violated invariant of ``state``."""
    return [problem for problem in find_problems(state) if problem is not None]


def find_problems(state: ClusterState) -> Problems:
    """Yield a message for each violated invariant, and None at points where work can pause."""
    if len(state.objects.get(RecordKind.CLUSTER, Map())) != 1:
        yield "the configuration must contain exactly one cluster"
        return
    for check in _CHECKS:
        yield None
        yield from check(state)


def dangling_nodes(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Yield the names of nodes whose group does not exist, with a message."""
    for node in state.nodes.values():
        if node.group not in state.groups:
            yield node.name, f"node {node.name} belongs to unknown group {node.group}"


def dangling_instances(state: ClusterState) -> Iterator[tuple[str, str] | None]:
    """Yield the names of instances whose primary node does not exist, with a message.

    None marks points where work can pause.
    """
    nodes = state.nodes
    for instance in paced(state.instances.values(), 1000):
        if instance is None:
            yield None
        elif instance.primary_node not in nodes:
            problem = f"instance {instance.name} is on unknown node {instance.primary_node}"
            yield instance.name, problem


def _check_master(state: ClusterState) -> Iterator[str]:
    master = state.nodes.get(state.cluster.master_node)
    if master is None:
        yield f"master node {state.cluster.master_node} is not in the configuration"
    elif not master.master_candidate or master.offline or master.drained:
        yield f"master node {master.name} must be a candidate and neither offline nor drained"


def _check_nodes(state: ClusterState) -> Problems:
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


def _check_instances(state: ClusterState) -> Problems:
    yield from (None if found is None else found[1] for found in dangling_instances(state))
    enabled, networks, disks = state.cluster.enabled_hypervisors, state.networks, state.disks
    for instance in paced(state.instances.values()):
        if instance is None:
            yield None
            continue
        called = f"instance {instance.name}"
        if instance.hypervisor not in enabled:
            yield f"{called} uses hypervisor {instance.hypervisor}, which is not enabled"
        for nic in instance.nics:
            if nic.network is not None and nic.network not in networks:
                yield f"{called} has a network card in unknown network {nic.network}"
        missing = [uuid for uuid in instance.disks if uuid not in disks]
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


def _check_disks(state: ClusterState) -> Problems:
    owned: Counter[str] = Counter()
    for instance in paced(state.instances.values()):
        if instance is None:
            yield None
        else:
            owned.update(instance.disks)
    yield from (
        f"disk {uuid} belongs to {count} instances" for uuid, count in owned.items() if count > 1
    )
    yield None
    nodes = state.nodes
    for disk in paced(state.disks.values()):
        if disk is None:
            yield None
            continue
        for node in disk.nodes:
            if node not in nodes:
                yield f"disk {disk.uuid} is on unknown node {node}"
        if disk.dev_type is Template.DRBD and set(disk.logical_id[:2]) != set(disk.nodes):
            yield f"disk {disk.uuid} has different nodes in logical_id and in nodes"
    yield None
    yield from _find_duplicates("minor", _list_minors(state))
    yield None
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


def _check_addresses(state: ClusterState) -> Problems:
    instances = state.instances
    macs = (nic.mac.lower() for instance in instances.values() for nic in instance.nics)
    yield from _find_duplicates("MAC address", macs)
    yield None
    cards = (nic for instance in instances.values() for nic in instance.nics)
    # Most cards have no address: each of them is a point to pause, too.
    addresses = ((nic.network, nic.ip) if nic.network and nic.ip else None for nic in cards)
    yield from _find_duplicates("IP address", addresses)


def _check_ports(state: ClusterState) -> Problems:
    consoles = [i.network_port for i in state.instances.values() if i.network_port is not None]
    yield None
    mirrors = [
        get_drbd_port(disk) for disk in state.disks.values() if disk.dev_type is Template.DRBD
    ]
    yield None
    yield from _find_duplicates("port", (*consoles, *mirrors, *state.cluster.tcpudp_port_pool))
    for port in (*consoles, *mirrors):
        if port > state.cluster.highest_used_port:
            yield f"port {port} is in use but above highest_used_port"


def _check_serials(state: ClusterState) -> Problems:
    for kind, same in state.objects.items():
        for record in paced(same.values(), 1000):
            if record is None:
                yield None
                continue
            serial = getattr(record, "serial_no", 1)  # some kinds have none
            if serial < 1:
                yield f"{kind} {record.uuid} has invalid serial number {serial}"


def _check_indexes(state: ClusterState) -> Problems:
    """Check that each index has the entries of all objects, and as many as they have."""
    wrong: set[str] = set()
    # Counted and not collected: hundreds of thousands of new tuples keep the garbage collector
    # busy for longer than a turn may take.
    entries = dict.fromkeys(_INDEXES, 0)
    for record in paced(_list_records(state)):
        if record is None:
            yield None
            continue
        for name, key, found, value in _list_entries(record, state):
            if value in found if isinstance(found, Map) else value == found:
                entries[name] += 1
            elif not _shares(state.instances.get(str(found)), key):
                wrong.add(name)
    for name in _INDEXES:
        index: Map[Hashable, object] = getattr(state, name)
        size = 0
        for each in paced(index.values(), 1000):
            if each is None:
                yield None
            else:
                size += len(each) if isinstance(each, Map) else 1
        if size != entries[name]:
            wrong.add(name)
    yield from (f"index {name} does not match the objects" for name in sorted(wrong))


_INDEXES = ("names", "primaries", "copies", "owners", "macs")


def _shares(instance: Instance | None, key: Hashable) -> bool:
    """Return whether an instance has a disk or a MAC address that another one has, too.

    Another check reports this; an index has only one of the two.
    """
    if instance is None:
        return False
    return key in instance.disks or any(nic.mac.lower() == key for nic in instance.nics)


def _list_entries(
    record: Stored, state: ClusterState
) -> Iterator[tuple[str, Hashable, object, str]]:
    """Yield the entries that indexes should have for an object.

    An entry is the name of the index, the key, what the index has for it, and the value. Each comes
    once.
    """
    if isinstance(record, Instance | Node | Group | Network):
        key = KINDS[type(record)], record.name
        yield "names", key, state.names.get(key), record.uuid
    if isinstance(record, Instance):
        node = record.primary_node
        yield "primaries", node, state.primaries.get(node), record.uuid
        for disk in dict.fromkeys(record.disks):
            yield "owners", disk, state.owners.get(disk), record.uuid
        for mac in dict.fromkeys(nic.mac.lower() for nic in record.nics):
            yield "macs", mac, state.macs.get(mac), record.uuid
    if isinstance(record, Disk) and record.dev_type in MIRRORED_TEMPLATES:
        for node in dict.fromkeys(record.nodes):
            yield "copies", node, state.copies.get(node), record.uuid


def _check_usage(state: ClusterState) -> Problems:
    """Check the sums of what primary instances use of their nodes."""
    for node in state.nodes.values():
        yield None
        right = count_usage(state.list_primary_instances(node), {}).get(node.uuid, UNUSED)
        found = state.get_usage(node)
        if replace(found, disk=Map(), held_disk=Map(), spare=Map()) != right:
            yield f"the sums of node {node.name} do not match its instances"


def _list_records(state: ClusterState) -> Iterator[Stored]:
    for same in state.objects.values():
        yield from same.values()


def _find_duplicates(what: str, values: Iterable[Hashable | None]) -> Problems:
    counts: Counter[Hashable] = Counter()
    for value in paced(values, 1000):
        if value is None:
            yield None
        else:
            counts[value] += 1
    for value, count in counts.items():
        if count > 1:
            text = " ".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{what} {text} is used {count} times"


_CHECKS: tuple[Callable[[ClusterState], Problems], ...] = (
    _check_master,
    _check_nodes,
    _check_groups,
    _check_instances,
    _check_disks,
    _check_addresses,
    _check_ports,
    _check_serials,
    _check_indexes,
    _check_usage,
)
