# SPDX-License-Identifier: BSD-2-Clause
"""A changing assignment of instances to nodes, whose score is known after every change.

A search asks for the score after a move many thousand times, so a question costs the same on all
sizes of cluster: the sums of the spreads are kept, and of the reserves of a node the three largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import TypeAlias

from ganeti.placement.cluster_model import (
    ClusterModel,
    InstanceModel,
    NodeModel,
    NodeState,
    Storage,
)
from ganeti.placement.score import (
    FAULT_WEIGHTS,
    RESERVE_WEIGHT,
    SPREAD_WEIGHTS,
    Fault,
    ScoreParts,
    Spread,
    deviation,
)
from ganeti.schema.records import replace

NOWHERE = -1
"""The index of the secondary node of an instance that has none."""

_SPREADS, _RESERVE = range(len(Spread)), int(Spread.RESERVE)
_TINY = 1e-9

Values: TypeAlias = tuple[float, float, float, float, float, float, float]


@dataclass(eq=False)
class NodeUse:
    """A node with what is left on it.

    ``peers`` has the reserved memory by the primary node for whose failure it is, and ``largest``
    the three largest of these with their nodes. ``share`` is its size in units of the average
    node of its group. ``values`` are those that spreads are made of.
    """

    model: NodeModel
    index: int
    group: GroupUse
    memory_free: int
    disk_free: int
    vcpus: int
    spindles: int = 0
    guests: int = 0
    copies: int = 0
    share: float = 1.0
    primaries: set[int] = field(default_factory=set)
    secondaries: set[int] = field(default_factory=set)
    tags: dict[str, int] = field(default_factory=dict)
    peers: dict[int, int] = field(default_factory=dict)
    largest: list[tuple[int, int]] = field(default_factory=list)
    values: Values = (0.0,) * 7

    def __post_init__(self) -> None:
        model = self.model
        self.usable = model.state is NodeState.USABLE
        self.online = model.state is not NodeState.OFFLINE
        self.domains = frozenset(model.domains)
        self.memory_size = max(model.memory, 1)
        self.disk_size = max(model.disk, 1)
        self.cpus = max(model.cpus, 1)
        self.spindle_limit = (model.spindle_ratio or 1.0) * max(model.spindles, 1)
        self.vcpu_limit = None if model.vcpu_ratio is None else model.vcpu_ratio * model.cpus

    @property
    def reserve(self) -> int:
        """The memory to keep free for the failure of any single other node."""
        return self.largest[0][0] if self.largest else 0

    def compute_values(
        self,
        free: int,
        disk: int,
        vcpus: int,
        spindles: int,
        reserve: int,
        guests: int,
        copies: int,
    ) -> Values:
        """Return the values for spreads with these resources."""
        return (
            free / self.memory_size,
            disk / self.disk_size,
            vcpus / self.cpus,
            spindles / self.spindle_limit,
            reserve / self.memory_size,
            guests / self.share,
            copies / self.share,
        )


@dataclass(eq=False)
class GroupUse:
    """A node group: the sums over its usable nodes, and its faults."""

    name: str
    nodes: list[NodeUse] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0] * len(Spread))
    squares: list[float] = field(default_factory=lambda: [0.0] * len(Spread))
    faults: list[float] = field(default_factory=lambda: [0.0] * len(Fault))
    usable: int = 0
    memory: int = 1


@dataclass(eq=False)
class Layout:
    """The assignment of all instances to nodes."""

    model: ClusterModel

    def __post_init__(self) -> None:
        groups: dict[str, GroupUse] = {}
        self.nodes: list[NodeUse] = []
        for index, each in enumerate(self.model.nodes):
            group = groups.setdefault(each.group, GroupUse(each.group))
            use = NodeUse(each, index, group, each.memory_free, each.disk_free, each.cpus_node)
            self.nodes.append(use)
            group.nodes.append(use)
        self.groups = list(groups.values())
        self.instances: Sequence[InstanceModel] = self.model.instances
        by_name = {node.model.name: node.index for node in self.nodes}
        self.primary = [by_name[each.primary] for each in self.instances]
        self.secondary = [
            NOWHERE if each.secondary is None else by_name[each.secondary]
            for each in self.instances
        ]
        for group in self.groups:
            sizes = [node.memory_size for node in group.nodes if node.usable]
            group.usable = len(sizes)
            group.memory = max(sum(sizes) // max(len(sizes), 1), 1)
            for node in group.nodes:
                node.share = node.memory_size / group.memory
        self._has_domains = any(node.domains for node in self.nodes)
        for number in range(len(self.instances)):
            self._count(number)
        for group in self.groups:
            for node in group.nodes:
                self._sort_peers(node)
                self._refresh(node, +1)

    # --- reading

    def score(self, group: GroupUse) -> float:
        """Return the group's score; see ``score``."""
        return _compute_score(group.usable, group.sums, group.squares, group.faults)

    def parts(self, group: GroupUse) -> ScoreParts:
        """Return the group's score with its parts, which are recounted without rounding errors."""
        used = [node for node in group.nodes if node.usable]
        columns = list(zip(*(node.values for node in used), strict=True)) or [()] * len(Spread)
        sums = [sum(column) for column in columns]
        squares = [sum(value * value for value in column) for column in columns]
        return ScoreParts(
            score=_compute_score(group.usable, sums, squares, group.faults),
            spreads={
                each.name.lower(): deviation(sums[each], squares[each], len(used))
                for each in Spread
            },
            faults={each.name.lower(): group.faults[each] for each in Fault},
            reserved=sums[Spread.RESERVE],
        )

    def movable(self, number: int) -> bool:
        """Return whether an instance can move at all: also not if its nodes are in two groups."""
        instance, secondary = self.instances[number], self.secondary[number]
        if not instance.movable or instance.storage is Storage.LOCAL:
            return False
        if instance.storage is Storage.SHARED:
            return True
        group = self.nodes[self.primary[number]].group
        return secondary != NOWHERE and self.nodes[secondary].group is group

    def members(self, group: GroupUse) -> Iterator[int]:
        """Yield the movable instances with the primary node in a group, by number."""
        for number, primary in enumerate(self.primary):
            if self.nodes[primary].group is group and self.movable(number):
                yield number

    def evaluate(self, number: int, primary: int, secondary: int) -> float | None:
        """Return the group's score after a move, or None if the move is not possible.

        A move may not use more than there is, nor break a rule on a node that it loads.
        """
        changed = self._change(number, primary, secondary)
        if changed is None:
            return None
        group = self.nodes[primary].group
        faults = group.faults[:]
        if not self._move_faults(number, primary, secondary, faults):
            return None
        for node, _, shortage in changed:
            lacked = node.reserve - node.memory_free
            if shortage > 0 or lacked > 0:
                faults[Fault.NO_RESERVE] += (shortage > 0) - (lacked > 0)
                faults[Fault.SHORTAGE] += (max(shortage, 0) - max(lacked, 0)) / group.memory
        pairs = [(node.values, values) for node, values, _ in changed]
        return _compute_score(group.usable, group.sums, group.squares, faults, pairs)

    def as_model(self) -> ClusterModel:
        """Return the cluster with the instances on their present nodes."""
        names = [node.model.name for node in self.nodes]
        places = zip(self.instances, self.primary, self.secondary, strict=True)
        return ClusterModel(
            nodes=tuple(
                replace(node.model, memory_free=node.memory_free, disk_free=node.disk_free)
                for node in self.nodes
            ),
            instances=tuple(
                replace(
                    instance,
                    primary=names[primary],
                    secondary=None if secondary == NOWHERE else names[secondary],
                )
                for instance, primary, secondary in places
            ),
        )

    # --- changing

    def move(self, number: int, primary: int, secondary: int) -> None:
        """Assign an instance to other nodes."""
        touched = {self.primary[number], self.secondary[number], primary, secondary} - {NOWHERE}
        nodes = [self.nodes[index] for index in touched]
        self._move_faults(number, primary, secondary, self.nodes[primary].group.faults)
        # Subtracted before the values change, which are those that were added.
        for node in nodes:
            self._refresh(node, -1)
        self._place(number, -1)
        self.primary[number], self.secondary[number] = primary, secondary
        self._place(number, +1)
        for node in nodes:
            self._sort_peers(node)
            self._refresh(node, +1)

    def _count(self, number: int) -> None:
        """Count an instance that is on its nodes already, in all but their free resources."""
        instance = self.instances[number]
        primary, secondary = self.primary[number], self.secondary[number]
        self._place(number, +1)
        node = self.nodes[primary]
        node.memory_free += instance.memory
        node.disk_free += instance.disk
        faults = node.group.faults
        faults[Fault.STRANDED] += 2 * (not node.usable)
        faults[Fault.EXCLUSION] += sum(node.tags[tag] > 1 for tag in instance.exclusion_tags)
        if secondary != NOWHERE:
            other = self.nodes[secondary]
            other.disk_free += instance.disk
            faults[Fault.STRANDED] += not other.usable
            faults[Fault.DOMAIN] += bool(node.domains & other.domains)

    def _place(self, number: int, sign: int) -> None:
        instance = self.instances[number]
        index, secondary = self.primary[number], self.secondary[number]
        node = self.nodes[index]
        node.memory_free -= sign * instance.memory
        node.vcpus += sign * instance.vcpus
        node.guests += sign
        for tag in instance.exclusion_tags:
            node.tags[tag] = node.tags.get(tag, 0) + sign
        (node.primaries.add if sign > 0 else node.primaries.discard)(number)
        holders = [node]
        if secondary != NOWHERE:
            other = self.nodes[secondary]
            holders.append(other)
            (other.secondaries.add if sign > 0 else other.secondaries.discard)(number)
            other.peers[index] = other.peers.get(index, 0) + sign * instance.reserved
            if not other.peers[index]:
                del other.peers[index]
        for each in holders:
            each.copies += sign
            each.disk_free -= sign * instance.disk
            each.spindles += sign * instance.spindles

    def _sort_peers(self, node: NodeUse) -> None:
        pairs = [(memory, index) for index, memory in node.peers.items()]
        node.largest = sorted(pairs, reverse=True)[:3]

    def _refresh(self, node: NodeUse, sign: int) -> None:
        """Add the node to the sums of its group, or with ``sign`` -1 take it out."""
        if not node.usable:
            return
        group, reserve = node.group, node.reserve
        if sign > 0:
            node.values = node.compute_values(
                node.memory_free,
                node.disk_free,
                node.vcpus,
                node.spindles,
                reserve,
                node.guests,
                node.copies,
            )
        for each, value in enumerate(node.values):
            group.sums[each] += sign * value
            group.squares[each] += sign * value * value
        shortage = reserve - node.memory_free
        if shortage > 0:
            group.faults[Fault.NO_RESERVE] += sign
            group.faults[Fault.SHORTAGE] += sign * shortage / group.memory

    # --- the effect of a move

    def _change(
        self, number: int, primary: int, secondary: int
    ) -> list[tuple[NodeUse, Values, int]] | None:
        """Return the values and the missing reserve of each usable node after a move."""
        instance = self.instances[number]
        before, copy = self.primary[number], self.secondary[number]
        changed = []
        for index in {before, copy, primary, secondary}:
            if index == NOWHERE:
                continue
            node = self.nodes[index]
            runs = (index == primary) - (index == before)
            holds = (index in (primary, secondary)) - (index in (before, copy))
            if not node.usable:
                if runs > 0 or holds > 0:
                    return None
                continue
            free = node.memory_free - runs * instance.memory
            disk = node.disk_free - holds * instance.disk
            vcpus = node.vcpus + runs * instance.vcpus
            spindles = node.spindles + holds * instance.spindles
            reserve = node.reserve
            if index in (copy, secondary):
                reserve = _compute_reserve(
                    node,
                    before if index == copy else NOWHERE,
                    primary if index == secondary else NOWHERE,
                    instance.reserved,
                )
            shortage = reserve - free
            # A shortage that was there before may stay or shrink.
            if shortage > 0 and shortage > node.reserve - node.memory_free:
                return None
            if runs > 0 and (free < 0 or _exceeds(node.vcpu_limit, vcpus)):
                return None
            if holds > 0 and (disk < 0 or self._is_overloaded(node, spindles, before, copy)):
                return None
            values = node.compute_values(
                free, disk, vcpus, spindles, reserve, node.guests + runs, node.copies + holds
            )
            changed.append((node, values, shortage))
        return changed

    def _is_overloaded(self, node: NodeUse, spindles: int, *left: int) -> bool:
        """Return whether a node gets more spindles in use than allowed, and than a node left.

        Many clusters exceed the default policy everywhere, and must still become more even.
        """
        if node.model.spindle_ratio is None or spindles <= node.spindle_limit:
            return False
        nodes = (self.nodes[index] for index in left if index != NOWHERE)
        return all(
            spindles / node.spindle_limit > each.spindles / each.spindle_limit for each in nodes
        )

    def _move_faults(self, number: int, primary: int, secondary: int, faults: list[float]) -> bool:
        """Change the faults by those of an instance; return whether no new conflict results."""
        before, copy = self.primary[number], self.secondary[number]
        old, new = self.nodes[before], self.nodes[primary]
        conflicts = 0
        if primary != before:
            faults[Fault.STRANDED] += 2 * (old.usable - new.usable)
            for tag in self.instances[number].exclusion_tags:
                conflicts += (new.tags.get(tag, 0) > 0) - (old.tags[tag] > 1)
            faults[Fault.EXCLUSION] += conflicts
        if secondary != NOWHERE:
            old_copy, new_copy = self.nodes[copy], self.nodes[secondary]
            faults[Fault.STRANDED] += old_copy.usable - new_copy.usable
            if self._has_domains:
                together = bool(new.domains & new_copy.domains)
                faults[Fault.DOMAIN] += together - bool(old.domains & old_copy.domains)
        return conflicts <= 0


def _compute_score(
    count: int,
    sums: Sequence[float],
    squares: Sequence[float],
    faults: Sequence[float],
    changes: Sequence[tuple[Values, Values]] = (),
) -> float:
    """Return the score of ``count`` nodes; ``changes`` has old and new values of some of them."""
    score = 0.0
    for amount, weight in zip(faults, FAULT_WEIGHTS, strict=True):
        score += amount * weight
    if not count:
        return score
    for each in _SPREADS:
        total, square = sums[each], squares[each]
        for old, new in changes:
            was, now = old[each], new[each]
            if now != was:
                total += now - was
                square += now * now - was * was
        mean = total / count
        variance = square / count - mean * mean
        if variance > _TINY:
            score += SPREAD_WEIGHTS[each] * sqrt(variance)
        if each == _RESERVE:
            score += RESERVE_WEIGHT * total
    return score


def _exceeds(limit: float | None, value: int) -> bool:
    return limit is not None and value > limit


def _compute_reserve(node: NodeUse, without: int, plus: int, memory: int) -> int:
    """Return the reserve with ``memory`` less for one primary node, and more for another."""
    peers = node.peers
    largest = 0
    for amount, index in node.largest:
        if index not in (without, plus):
            largest = amount
            break
    if without == plus:
        # The primary node stays the same, and so does its amount.
        return max(largest, peers.get(plus, 0))
    if without != NOWHERE:
        largest = max(largest, peers.get(without, 0) - memory)
    if plus != NOWHERE:
        largest = max(largest, peers.get(plus, 0) + memory)
    return largest
