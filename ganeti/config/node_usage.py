# SPDX-License-Identifier: BSD-2-Clause
"""What instances and disks use of each node by configuration, kept up to date by each change.

Backend parameters have defaults that the cluster can change. Sums therefore keep the number of
instances that use the default apart, so that a new default costs nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias, TypeVar

import msgspec
from immutables import Map

from ganeti.model.disk import DRBD_METADATA_SIZE, MIRRORED_TEMPLATES, Disk, Template, get_pool
from ganeti.model.instance import AdminState, Instance


class Amount(msgspec.Struct, frozen=True):
    """The sum of a backend parameter over some instances.

    ``own`` is the sum of values that instances set themselves, ``defaulted`` the number of
    instances that use the default.
    """

    own: int = 0
    defaulted: int = 0

    def total(self, default: int) -> int:
        """Return the sum, given the cluster's default of the parameter."""
        return self.own + self.defaulted * default

    def plus(self, other: Amount, times: int = 1) -> Amount:
        """Return the sum of this amount and ``times`` the other one."""
        return Amount(self.own + times * other.own, self.defaulted + times * other.defaulted)


NOTHING = Amount()

K = TypeVar("K")
V = TypeVar("V")

SpareKey: TypeAlias = tuple[str, bool | None]
"""The UUID of a primary node, and the parameter ``auto_balance`` of instances; None if default."""


class NodeUsage(msgspec.Struct, frozen=True):
    """The configured use of one node.

    ``instances`` counts the primary instances, ``up`` those of them that are configured to run;
    ``memory`` is the sum of ``maxmem`` of the latter. ``vcpus`` (by hypervisor) and ``spindles``
    are of all primary instances. ``disk`` is the space of disks in MiB by template. ``spare`` is
    the sum of ``minmem`` of the instances that have the node as a secondary node. ``held`` is the
    sum of ``maxmem`` of reserved (forthcoming) instances, and ``held_disk`` the space of their
    disks by template: nodes report both as free.
    """

    instances: int = 0
    up: int = 0
    memory: Amount = NOTHING
    spindles: Amount = NOTHING
    vcpus: Map[str, Amount] = Map()
    disk: Map[Template, int] = Map()
    spare: Map[SpareKey, Amount] = Map()
    held: Amount = NOTHING
    held_disk: Map[Template, int] = Map()

    def plus(self, other: NodeUsage, times: int = 1) -> NodeUsage:
        """Return the sum of this usage and ``times`` the other one."""
        return NodeUsage(
            instances=self.instances + times * other.instances,
            up=self.up + times * other.up,
            memory=self.memory.plus(other.memory, times),
            spindles=self.spindles.plus(other.spindles, times),
            vcpus=_merge_amounts(self.vcpus, other.vcpus, times),
            disk=_merge_sizes(self.disk, other.disk, times),
            spare=_merge_amounts(self.spare, other.spare, times),
            held=self.held.plus(other.held, times),
            held_disk=_merge_sizes(self.held_disk, other.held_disk, times),
        )

    def reserved(self, minmem: int, auto_balance: bool, *, without: str | None = None) -> int:
        """Return the memory in MiB to reserve for a failure of another node (N+1 redundancy).

        This is the largest sum over the primary nodes of the instances that would come here, except
        the node ``without`` (a UUID). The other arguments are the cluster's defaults of backend
        parameters.
        """
        return _largest_sum(self.spare, minmem, auto_balance, without) if self.spare else 0

    def spare_by_peer(self, minmem: int, auto_balance: bool) -> Mapping[str, int]:
        """Return the memory in MiB that the node needs if another node fails, by its UUID."""
        return _sum_by_peer(self.spare, minmem, auto_balance)


Usage: TypeAlias = Map[str, NodeUsage]
"""The configured use of nodes by UUID; nodes that nothing uses are missing."""

UNUSED = NodeUsage()


@lru_cache(maxsize=4096)
def _largest_sum(
    spare: Map[SpareKey, Amount], minmem: int, auto_balance: bool, without: str | None
) -> int:
    # Cached: each placement looks at all nodes, few of which have changed since the last one.
    sums = _sum_by_peer(spare, minmem, auto_balance)
    return max((total for peer, total in sums.items() if peer != without), default=0)


def _sum_by_peer(spare: Map[SpareKey, Amount], minmem: int, auto_balance: bool) -> Counter[str]:
    by_peer: Counter[str] = Counter()
    for (peer, balanced), amount in spare.items():
        if auto_balance if balanced is None else balanced:
            by_peer[peer] += amount.total(minmem)
    return by_peer


def _merge_amounts(one: Map[K, Amount], other: Map[K, Amount], times: int) -> Map[K, Amount]:
    for key, amount in other.items():
        merged = one.get(key, NOTHING).plus(amount, times)
        if merged != NOTHING:
            one = one.set(key, merged)
        elif key in one:
            one = one.delete(key)
    return one


def _merge_sizes(
    one: Map[Template, int], other: Map[Template, int], times: int
) -> Map[Template, int]:
    for key, size in other.items():
        merged = one.get(key, 0) + times * size
        if merged:
            one = one.set(key, merged)
        elif key in one:
            one = one.delete(key)
    return one


class _Shape(msgspec.Struct, frozen=True):
    """What an instance contributes to the use of nodes depends on; few values are different."""

    hypervisor: str
    up: bool
    maxmem: int | None
    minmem: int | None
    vcpus: int | None
    spindle_use: int | None
    auto_balance: bool | None
    forthcoming: bool


def _shape(instance: Instance) -> _Shape:
    own = instance.beparams.get
    return _Shape(
        instance.hypervisor,
        instance.admin_state is AdminState.UP,
        _read_value(int, own("maxmem")),
        _read_value(int, own("minmem")),
        _read_value(int, own("vcpus")),
        _read_value(int, own("spindle_use")),
        _read_value(bool, own("auto_balance")),
        instance.forthcoming,
    )


def _read_value(kind: type[V], value: object) -> V | None:
    """Return a parameter that an instance sets.

    An invalid value, as only a file that was edited or imported can have, counts as the default:
    jobs that need the parameter report it.
    """
    if value is None or type(value) is kind:
        return value
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return None


def _amount(own: int | None) -> Amount:
    return Amount(defaulted=1) if own is None else Amount(own=own)


@lru_cache(maxsize=1024)
def _primary_usage(shape: _Shape) -> NodeUsage:
    """Return what an instance adds to the use of its primary node."""
    return NodeUsage(
        instances=1,
        up=int(shape.up),
        memory=_amount(shape.maxmem) if shape.up else NOTHING,
        spindles=_amount(shape.spindle_use),
        vcpus=Map({shape.hypervisor: _amount(shape.vcpus)}),
        held=_amount(shape.maxmem) if shape.forthcoming else NOTHING,
    )


@lru_cache(maxsize=4096)
def _secondary_usage(shape: _Shape, primary: str) -> NodeUsage:
    """Return what an instance adds to the use of each secondary node."""
    return NodeUsage(spare=Map({(primary, shape.auto_balance): _amount(shape.minmem)}))


def _disk_usage(disk: Disk) -> NodeUsage:
    """Return what a disk adds to the use of each of its nodes."""
    space = Map({disk.dev_type: _space(disk)})
    return NodeUsage(disk=space, held_disk=space if _is_held(disk) else Map())


def _is_held(disk: Disk) -> bool:
    """Return whether a disk will take space that its nodes report as free.

    A thin pool has taken its space already, and only its node knows what is left there.
    """
    return disk.forthcoming and not get_pool(disk)


def _space(disk: Disk) -> int:
    return disk.size + (DRBD_METADATA_SIZE if disk.dev_type in MIRRORED_TEMPLATES else 0)


def _secondaries(instance: Instance, disks: Mapping[str, Disk]) -> Iterable[str]:
    if not instance.disks:
        return ()
    found: dict[str, None] = {}
    for uuid in instance.disks:
        disk = disks.get(uuid)  # it may not have been added yet
        if disk is not None and disk.dev_type in MIRRORED_TEMPLATES:
            found.update(dict.fromkeys(disk.nodes))
    found.pop(instance.primary_node, None)
    return found


def with_instance(
    usage: Usage, instance: Instance, disks: Mapping[str, Disk], times: int = 1
) -> Usage:
    """Return the usage with ``times`` an instance added: 1 to add it, -1 to remove it."""
    shape, primary = _shape(instance), instance.primary_node
    usage = _add(usage, primary, _primary_usage(shape), times)
    for node in _secondaries(instance, disks):
        usage = _add(usage, node, _secondary_usage(shape, primary), times)
    return usage


def with_secondaries(
    usage: Usage, instance: Instance, disks: Mapping[str, Disk], times: int = 1
) -> Usage:
    """Return the usage with what an instance adds to its secondary nodes only."""
    for node in _secondaries(instance, disks):
        added = _secondary_usage(_shape(instance), instance.primary_node)
        usage = _add(usage, node, added, times)
    return usage


def with_disk(usage: Usage, disk: Disk, times: int = 1) -> Usage:
    """Return the usage with the space of a disk added, ``times`` 1, or removed, -1."""
    for node in disk.nodes:
        usage = _add(usage, node, _disk_usage(disk), times)
    return usage


def _add(usage: Usage, node: str, added: NodeUsage, times: int) -> Usage:
    total = usage.get(node, UNUSED).plus(added, times)
    if total != UNUSED:
        return usage.set(node, total)
    return usage.delete(node) if node in usage else usage


def count_usage(instances: Iterable[Instance], disks: Mapping[str, Disk]) -> Usage:
    """Return the usage of nodes by these instances and disks, counted in one step."""
    primaries: Counter[tuple[str, _Shape]] = Counter()
    secondaries: Counter[tuple[str, str, _Shape]] = Counter()
    for instance in instances:
        shape = _shape(instance)
        primaries[instance.primary_node, shape] += 1
        for node in _secondaries(instance, disks):
            secondaries[node, instance.primary_node, shape] += 1
    found: dict[str, NodeUsage] = {}
    for (node, shape), times in primaries.items():
        found[node] = found.get(node, UNUSED).plus(_primary_usage(shape), times)
    for (node, primary, shape), times in secondaries.items():
        found[node] = found.get(node, UNUSED).plus(_secondary_usage(shape, primary), times)
    for node, sizes in _count_space(disks.values()).items():
        found[node] = found.get(node, UNUSED).plus(NodeUsage(disk=Map(sizes)))
    held = (disk for disk in disks.values() if _is_held(disk))
    for node, sizes in _count_space(held).items():
        found[node] = found.get(node, UNUSED).plus(NodeUsage(held_disk=Map(sizes)))
    return Map({node: usage for node, usage in found.items() if usage != UNUSED})


def _count_space(disks: Iterable[Disk]) -> Mapping[str, Counter[Template]]:
    found: dict[str, Counter[Template]] = {}
    for disk in disks:
        for node in disk.nodes:
            found.setdefault(node, Counter())[disk.dev_type] += _space(disk)
    return found
