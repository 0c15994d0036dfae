# SPDX-License-Identifier: BSD-2-Clause
"""How many more instances of a size fit into a cluster, and what stops the next one.

Instances are added to the nodes with the most resources left, until none fits anywhere. Many are
added at a time while there is much left, and fewer near the end, so that the time depends on the
number of nodes and not on the number of instances.

No instance is counted that could be placed but not survive the failure of a node (N+1): the
secondary node of a mirrored instance keeps memory free for it, and if instances have shared disks,
the others of the group must be able to run all that any one node runs. Instances with local disks
cannot run elsewhere, and nothing is reserved for them. A node that lacks memory for a failure
already gets none.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace

from ganeti.placement.cluster_model import ClusterModel, Storage
from ganeti.placement.layout import GroupUse, Layout, NodeUse
from ganeti.schema.records import Record

FEW_NODES = 24
"""The number of nodes up to which the best nodes are found for each single instance."""


class Size(Record):
    """The size of an instance; ``disk`` is the space on each of its nodes.

    Only ``groups`` allow it, whose instance policies decide that.
    """

    name: str
    memory: int
    disk: int
    vcpus: int
    storage: Storage
    spindles: int = 0
    groups: tuple[str, ...] = ()


class Limit(enum.StrEnum):
    """What stops the next instance on a node."""

    STATE = "node is drained or offline"
    POLICY = "instance policy of the group"
    MEMORY = "memory"
    RESERVE = "memory for the failure of a node (N+1)"
    DISK = "disk space"
    CPU = "virtual processors"
    SPINDLES = "spindles"
    SECONDARY = "secondary node"


class GroupCapacity(Record):
    """How many instances fit into a group, and the number of nodes by what stops the next one."""

    group: str
    count: int
    limits: dict[str, int]


class SizeCapacity(Record):
    """How many instances of a size fit."""

    size: Size
    count: int
    groups: tuple[GroupCapacity, ...]


class Capacity(Record):
    """The answers for each size; each is about an otherwise unchanged cluster."""

    sizes: tuple[SizeCapacity, ...]


@dataclass(eq=False)
class _Room:
    """What is left on a node; ``peers`` and ``reserve`` as in ``NodeUse``."""

    use: NodeUse
    memory: int
    disk: int
    vcpus: float
    spindles: float
    reserve: int
    peers: dict[int, int]
    added: int = 0
    guests: list[int] = field(default_factory=list)

    def fits(self, size: Size, count: int, *, runs: bool) -> bool:
        """Return whether instances fit; with ``runs``, as their primary node."""
        if self.disk < count * size.disk or self.spindles < count * size.spindles:
            return False
        if not runs:
            return True
        memory = self.memory - count * size.memory
        return memory >= self.reserve and self.vcpus >= count * size.vcpus

    def take(self, size: Size, count: int, *, runs: bool) -> None:
        """Use the resources of instances; a negative count gives them back."""
        self.disk -= count * size.disk
        self.spindles -= count * size.spindles
        if runs:
            self.memory -= count * size.memory
            self.vcpus -= count * size.vcpus
            self.added += count

    def reserve_with(self, peer: int, memory: int) -> int:
        """Return the reserve if this node backs up ``memory`` more of the node ``peer``."""
        return max(self.reserve, self.peers.get(peer, 0) + memory)

    def limit(self, size: Size) -> Limit | None:
        """Return what stops an instance with this primary node, as far as the node is concerned."""
        if self.memory < size.memory:
            return Limit.MEMORY
        if self.memory - size.memory < self.reserve:
            return Limit.RESERVE
        if self.disk < size.disk:
            return Limit.DISK
        if self.vcpus < size.vcpus:
            return Limit.CPU
        return Limit.SPINDLES if self.spindles < size.spindles else None


def compute_capacity(model: ClusterModel, sizes: Sequence[Size]) -> Capacity:
    """Return how many instances of each size fit into each group."""
    layout = Layout(model)
    return Capacity(sizes=tuple(_compute_size(layout, size) for size in sizes))


def _compute_size(layout: Layout, size: Size) -> SizeCapacity:
    groups = tuple(_compute_group(layout, group, size) for group in layout.groups)
    return SizeCapacity(size=size, count=sum(each.count for each in groups), groups=groups)


def _compute_group(layout: Layout, group: GroupUse, size: Size) -> GroupCapacity:
    if group.name not in size.groups:
        limits = {Limit.POLICY.value: len(group.nodes)}
        return GroupCapacity(group=group.name, count=0, limits=limits)
    rooms = _rooms(layout, group)
    otherwise = Limit.RESERVE
    if size.storage is Storage.MIRRORED:
        count = _fill_pairs(rooms, size)
        otherwise = Limit.SECONDARY
    else:
        count = _fill(rooms, size, None)
        if size.storage is Storage.SHARED:
            count = _largest_restartable(layout, group, size, count)
            rooms = _rooms(layout, group)
            _fill(rooms, size, count)
            if len(rooms) <= FEW_NODES:
                count += _add_restartable(rooms, size)
    stopped = Counter(room.limit(size) or otherwise for room in rooms)
    absent = len(group.nodes) - len(rooms)
    limits = {limit.value: number for limit, number in stopped.most_common()}
    if absent:
        limits[Limit.STATE.value] = absent
    return GroupCapacity(group=group.name, count=count, limits=limits)


def _rooms(layout: Layout, group: GroupUse) -> list[_Room]:
    return [
        _Room(
            use=node,
            memory=node.memory_free,
            disk=node.disk_free,
            vcpus=float("inf") if node.vcpu_limit is None else node.vcpu_limit - node.vcpus,
            spindles=(
                float("inf")
                if node.model.spindle_ratio is None
                else node.spindle_limit - node.spindles
            ),
            reserve=node.reserve,
            peers=dict(node.peers),
            guests=sorted(
                (
                    layout.instances[number].memory
                    for number in node.primaries
                    if layout.instances[number].storage is Storage.SHARED
                ),
                reverse=True,
            ),
        )
        for node in group.nodes
        if node.usable
    ]


# --- one node


def _slots(room: _Room, size: Size) -> int:
    """Return how many instances fit on a node, without a mirror."""
    found = [
        left // needed
        for left, needed in (
            (room.memory - room.reserve, size.memory),
            (room.disk, size.disk),
            (room.vcpus, size.vcpus),
            (room.spindles, size.spindles),
        )
        if needed
    ]
    # A size that needs nothing has no limit; what is counted then is not of interest.
    return max(int(min(found)), 0) if found and min(found) != float("inf") else 0


def _fill(rooms: Sequence[_Room], size: Size, count: int | None) -> int:
    """Add ``count`` instances, or all that fit, evenly by what is left; return their number."""
    slots = [_slots(room, size) for room in rooms]
    wanted = sum(slots) if count is None else min(count, sum(slots))
    # All nodes are left with the same number of free slots, as far as they have more.
    low, high = 0, max(slots, default=0)
    while low < high:
        level = (low + high) // 2
        if sum(max(each - level, 0) for each in slots) <= wanted:
            high = level
        else:
            low = level + 1
    rest = wanted - sum(max(each - low, 0) for each in slots)
    for room, each in zip(rooms, slots, strict=True):
        more = max(each - low, 0)
        if rest and low and each >= low:
            more, rest = more + 1, rest - 1
        room.take(size, more, runs=True)
    return wanted


def _largest_restartable(layout: Layout, group: GroupUse, size: Size, most: int) -> int:
    """Return the largest number of instances with which every node may fail."""
    low, high = 0, most
    while low < high:
        count = (low + high + 1) // 2
        rooms = _rooms(layout, group)
        _fill(rooms, size, count)
        if _survives(rooms, size):
            low = count
        else:
            high = count - 1
    return low


def _add_restartable(rooms: Sequence[_Room], size: Size) -> int:
    """Add instances one by one, also where that is uneven; return their number.

    Nodes that must be kept for a large instance do not fill as the others do.
    """
    total = 0
    while True:
        for room in sorted(rooms, key=lambda room: -_slots(room, size)):
            if not _slots(room, size):
                return total
            room.take(size, 1, runs=True)
            if _survives(rooms, size):
                total += 1
                break
            room.take(size, -1, runs=True)
        else:
            return total


def _survives(rooms: Sequence[_Room], size: Size) -> bool:
    """Return whether the others can run what any single node runs from shared disks."""
    largest = max([size.memory, *(memory for room in rooms for memory in room.guests[:1])])
    places = [max(room.memory - room.reserve, 0) // max(largest, 1) for room in rooms]
    total = sum(places)
    return all(
        # The first is sufficient, and quicker.
        total - own >= len(room.guests) + room.added or _restarts(room, rooms, size)
        for room, own in zip(rooms, places, strict=True)
    )


def _restarts(failed: _Room, rooms: Sequence[_Room], size: Size) -> bool:
    """Return whether the instances of a node fit elsewhere, the largest first.

    The rest of memory is looked at, not of processors, which run more guests slower.
    """
    free = [-(room.memory - room.reserve) for room in rooms if room is not failed]
    memories = sorted([*failed.guests, *[size.memory] * failed.added], reverse=True)
    # This quickly excludes what cannot fit in any order.
    if sum(memories) > -sum(min(each, 0) for each in free):
        return False
    heapify(free)
    for memory in memories:
        if not free or -free[0] < memory:
            return False
        heapreplace(free, free[0] + memory)
    return True


# --- pairs of nodes


def _fill_pairs(rooms: Sequence[_Room], size: Size) -> int:
    """Add mirrored instances until none fits; return their number."""
    total = _fill_rings(rooms, size) if len(rooms) > FEW_NODES else 0
    while (pair := _best_pair(rooms, size)) is not None:
        _add_pair(*pair, size, 1)
        total += 1
    return total


def _fill_rings(rooms: Sequence[_Room], size: Size) -> int:
    """Add instances to each node and the one at some distance, for one distance after the other.

    So each node backs up a little of every other one, which reserves least; and no step looks at
    all nodes.
    """
    total, nodes = 0, len(rooms)
    batch = max(max(_slots(room, size) for room in rooms) // (4 * nodes), 1)
    while batch:
        found = 0
        for distance in range(1, nodes):
            # Nodes with much left come first, until there are none.
            enough = max(_slots(room, size) for room in rooms) // 2
            for index, primary in enumerate(rooms):
                secondary = rooms[(index + distance) % nodes]
                if _slots(primary, size) >= max(enough, batch) and _backs_up(
                    primary, secondary, size, batch
                ):
                    _add_pair(primary, secondary, size, batch)
                    found += batch
        total += found
        if not found:
            batch //= 2
    return total


def _backs_up(primary: _Room, secondary: _Room, size: Size, count: int) -> bool:
    """Return whether a node can be the secondary node of instances."""
    if not secondary.fits(size, count, runs=False):
        return False
    reserve = secondary.reserve_with(primary.use.index, count * size.memory)
    return secondary.memory >= reserve


def _best_pair(rooms: Sequence[_Room], size: Size) -> tuple[_Room, _Room] | None:
    """Return the primary node with the most left, and the secondary node that loses least."""
    primaries = [room for room in rooms if room.fits(size, 1, runs=True)]
    primaries.sort(key=lambda room: -_slots(room, size))
    for primary in primaries:
        index = primary.use.index

        # The default keeps the index of this turn of the loop.
        def cost(room: _Room, index: int = index) -> tuple[int, int, int]:
            reserve = room.reserve_with(index, size.memory)
            return reserve - room.reserve, -room.disk, reserve - room.memory

        able = [room for room in rooms if room is not primary and _backs_up(primary, room, size, 1)]
        if able:
            return primary, min(able, key=cost)
    return None


def _add_pair(primary: _Room, secondary: _Room, size: Size, count: int) -> None:
    primary.take(size, count, runs=True)
    secondary.take(size, count, runs=False)
    index, memory = primary.use.index, count * size.memory
    secondary.reserve = secondary.reserve_with(index, memory)
    secondary.peers[index] = secondary.peers.get(index, 0) + memory
