# SPDX-License-Identifier: BSD-2-Clause
"""Changes of instances and their disks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from ganeti.config.changes import ports
from ganeti.config.changes.macs import mac_in_use
from ganeti.config.changes.networks import release_addresses, reserve_addresses
from ganeti.config.changes.objects import current, update
from ganeti.config.nic_connections import connect_on
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, Template, get_drbd_port
from ganeti.model.instance import AdminState, AdminStateSource, Instance, Nic
from ganeti.model.node import Node
from ganeti.schema.records import replace

NO_PORT, NO_MINOR = 0, -1
"""Placeholders for the port and the minors of a new drbd disk, until it is added."""
_UNALLOCATED = (NO_MINOR, None)


def add_instance(
    instance: Instance, disks: Sequence[Disk] = (), *, with_port: bool = False
) -> Change:
    """Add a new instance and its disks.

    ``with_port`` allocates a port for its graphical console. A drbd disk without a port or minors
    gets them.
    """

    def change(state: ClusterState) -> ClusterState:
        if instance.uuid in state.instances:
            raise Refused(f"there is already an instance {instance.uuid}", Code.EXISTS)
        if instance.primary_node not in state.nodes:
            raise Refused(
                f"the node of instance {instance.name} has been removed; choose another node",
                Code.UNKNOWN,
            )
        for nic in instance.nics:
            if owner := state.macs.get(nic.mac.lower()):
                raise mac_in_use(nic.mac, state.instances[owner].name)
        _check_devices(state, disks)
        added = instance
        if with_port:
            port, state = ports.taken(state)
            added = replace(instance, network_port=port)
        nics, state = reserve_addresses(state, instance.nics)
        for disk in disks:
            state = _put_new(state, disk)
        return state.put(replace(added, nics=nics))

    return change


def _check_devices(state: ClusterState, disks: Sequence[Disk]) -> None:
    """Check that adopted devices belong to no instance yet, as two jobs may adopt one at a time."""
    paths = {disk.logical_id for disk in disks if disk.dev_type is Template.BLOCKDEV}
    if not paths:
        return
    for uuid, disk in state.disks.items():
        if disk.dev_type is Template.BLOCKDEV and disk.logical_id in paths and uuid in state.owners:
            owner = state.instances[state.owners[uuid]].name
            raise Refused(
                f"device {disk.logical_id[1]} belongs to instance {owner}", Code.NOT_UNIQUE
            )


def remove_instance(instance: Instance) -> Change:
    """Remove an instance and its disks and release its ports."""

    def change(state: ClusterState) -> ClusterState:
        gone = current(state, instance)
        disks = state.get_disks(gone)
        state = release_addresses(state.remove(gone), gone.nics)
        if (policy := state.failover_policies.get(gone.uuid)) is not None:
            state = state.remove(policy)
        if (snapshots := state.snapshots.get(gone.uuid)) is not None:
            state = state.remove(snapshots)
        for disk in disks:
            state = state.remove(disk)
        free = [get_drbd_port(disk) for disk in disks if disk.dev_type is Template.DRBD]
        if gone.network_port is not None:
            free.append(gone.network_port)
        return ports.given_back(state, free)

    return change


def carry(instance: Instance, nics: Sequence[Nic]) -> Change:
    """Replace the network cards of an instance."""

    def change(state: ClusterState) -> ClusterState:
        old = current(state, instance)
        for nic in nics:
            owner = state.macs.get(nic.mac.lower())
            if owner not in (None, old.uuid):
                name = state.instances[owner].name if owner else old.name
                raise mac_in_use(nic.mac, name)
        cards, state = reserve_addresses(release_addresses(state, old.nics), nics)
        return state.put(replace(old, nics=cards))

    return change


def want(
    instance: Instance, wanted: AdminState, by: AdminStateSource = AdminStateSource.ADMIN
) -> Change:
    """Set the configured state of an instance; up activates its disks, down deactivates them."""
    disks = {} if wanted is AdminState.DOWN else {"disks_active": wanted is AdminState.UP}
    return update(instance, admin_state=wanted, admin_state_source=by, **disks)


def set_disks_active(instance: Instance, active: bool) -> Change:
    """Set whether an instance's disks should be active."""
    return update(instance, disks_active=active)


def set_primary_node(instance: Instance, node: Node) -> Change:
    """Make ``node`` the primary node of an instance, and of its disks that are not mirrored.

    In another node group, its cards get the connections of their networks there.
    """

    def change(state: ClusterState) -> ClusterState:
        old, target = current(state, instance), current(state, node)
        for disk in state.get_disks(old):
            if disk.dev_type in MIRRORED_TEMPLATES and target.uuid not in disk.nodes:
                raise Refused(
                    f"instance {old.name} has no copy of its disks on node {target.name}; "
                    "move it to its secondary node, or replace the secondary node first"
                )
            if disk.nodes == (old.primary_node,):
                state = state.put(replace(disk, nodes=(target.uuid,)))
        connected = connect_on(old, target, state)
        return state.put(replace(connected, primary_node=target.uuid))

    return change


def replace_mirror_node(instance: Instance, disks: Sequence[Disk], old: Node, new: Node) -> Change:
    """Replace node ``old`` of drbd disks by node ``new``, with a new minor there."""

    def change(state: ClusterState) -> ClusterState:
        current(state, instance)
        target = current(state, new)
        for each in disks:
            disk = current(state, each)
            nodes = tuple(target.uuid if uuid == old.uuid else uuid for uuid in disk.nodes)
            if old.uuid not in disk.nodes or len(set(nodes)) != len(nodes):
                raise Refused(
                    f"disk {disk.uuid} has been moved by another job; submit the job again"
                )
            one, other, port, minor, other_minor, secret = disk.logical_id
            ends = (target.uuid, other) if one == old.uuid else (one, target.uuid)
            number = find_free_minor(state, target.uuid)
            minors = (number, other_minor) if one == old.uuid else (minor, number)
            below = tuple(replace(child, nodes=nodes) for child in disk.children)
            moved = replace(
                disk, nodes=nodes, children=below, logical_id=(*ends, port, *minors, secret)
            )
            state = state.put(moved)
        return state

    return change


def restore_placement(disks: Sequence[Disk]) -> Change:
    """Restore the nodes and ids of disks from these records."""

    def change(state: ClusterState) -> ClusterState:
        for each in disks:
            disk = current(state, each)
            state = state.put(
                replace(disk, nodes=each.nodes, children=each.children, logical_id=each.logical_id)
            )
        return state

    return change


def set_disk_layout(instance: Instance, disks: Sequence[Disk], nodes: Sequence[str]) -> Change:
    """Update disks to these records, on the nodes with these UUIDs, the primary node first.

    A drbd disk that moves to other nodes gets minors there.
    """

    def change(state: ClusterState) -> ClusterState:
        current(state, instance)
        for each in disks:
            was = current(state, each)
            if each.dev_type is Template.DRBD and tuple(was.logical_id[:2]) != tuple(nodes):
                _, _, port, _, _, secret = was.logical_id
                bare = (*nodes, port, NO_MINOR, NO_MINOR, secret)
                disk, state = _allocate_ends(replace(each, logical_id=bare), state)
            else:
                disk = each
            held = tuple(nodes) if each.nodes else ()
            children = tuple(replace(child, nodes=held) for child in each.children)
            state = state.put(replace(disk, nodes=held, children=children))
        return state

    return change


def put_back(instance: Instance, disks: Sequence[Disk]) -> Change:
    """Restore disks, and the primary node and the cards of an instance, from these records."""

    def change(state: ClusterState) -> ClusterState:
        now = current(state, instance)
        for disk in disks:
            current(state, disk)
            state = state.put(disk)
        return state.put(replace(now, primary_node=instance.primary_node, nics=instance.nics))

    return change


def grown(disk: Disk, amount: int) -> Change:
    """Increase the recorded size of a disk, and of its data volume, by ``amount`` MiB."""

    def change(state: ClusterState) -> ClusterState:
        old = current(state, disk)
        return state.put(_resize(old, old.size + amount))

    return change


def sized(disk: Disk, size: int) -> Change:
    """Set the recorded size of a disk, and of its data volume, in MiB."""

    def change(state: ClusterState) -> ClusterState:
        return state.put(_resize(current(state, disk), size))

    return change


def _resize(disk: Disk, size: int) -> Disk:
    children = disk.children
    if children:
        children = (replace(children[0], size=size), *children[1:])
    return replace(disk, size=size, children=children)


def add_disk(instance: Instance, disk: Disk, index: int | None = None) -> Change:
    """Add a disk to an instance, at ``index`` or as the last one."""

    def change(state: ClusterState) -> ClusterState:
        old = current(state, instance)
        place = len(old.disks) if index is None else index
        disks = (*old.disks[:place], disk.uuid, *old.disks[place:])
        return _renumber(_put_new(state, disk).put(replace(old, disks=disks)), disks)

    return change


def remove_disk(instance: Instance, disk: Disk) -> Change:
    """Remove a disk from an instance and release its port."""

    def change(state: ClusterState) -> ClusterState:
        old, gone = current(state, instance), current(state, disk)
        disks = tuple(uuid for uuid in old.disks if uuid != gone.uuid)
        state = state.put(replace(old, disks=disks)).remove(gone)
        free = [get_drbd_port(gone)] if gone.dev_type is Template.DRBD else []
        return ports.given_back(_renumber(state, disks), free)

    return change


def _put_new(state: ClusterState, disk: Disk) -> ClusterState:
    if disk.uuid in state.disks:
        raise Refused(f"there is already a disk {disk.uuid}", Code.EXISTS)
    if disk.dev_type is Template.DRBD:
        disk, state = _allocate_ends(disk, state)
    return state.put(disk)


def _allocate_ends(disk: Disk, state: ClusterState) -> tuple[Disk, ClusterState]:
    """Return the drbd disk with its missing port and minors allocated."""
    one, other, port, minor, other_minor, secret = disk.logical_id
    if not port:
        port, state = ports.taken(state)
    if minor in _UNALLOCATED:
        minor = find_free_minor(state, one)
    if other_minor in _UNALLOCATED:
        other_minor = find_free_minor(state, other)
    return replace(disk, logical_id=(one, other, port, minor, other_minor, secret)), state


def find_free_minor(state: ClusterState, node: str) -> int:
    """Return the lowest unused drbd minor on the node with this UUID."""
    used = set()
    for uuid in state.copies.get(node, ()):
        ends = state.disks[uuid].logical_id
        used.add(ends[3] if ends[0] == node else ends[4])
    return next(number for number in count() if number not in used)


def _renumber(state: ClusterState, disks: Sequence[str]) -> ClusterState:
    """Return the state with the ``iv_name`` of these disks of an instance updated."""
    for number, uuid in enumerate(disks):
        disk = state.disks[uuid]
        if disk.iv_name != f"disk/{number}":
            state = state.put(replace(disk, iv_name=f"disk/{number}"))
    return state
