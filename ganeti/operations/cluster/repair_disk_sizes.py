# SPDX-License-Identifier: BSD-2-Clause
"""The operation that corrects recorded disk sizes to the actual ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import sized
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest, instance_lock, request
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RepairDiskSizes
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.operations.instance.context import check_exists
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, ResultWithCommit, Tools
from ganeti.rpc.disks import DescribeDisks


@dataclass(frozen=True)
class SizeDifference:
    """A disk whose actual size in MiB differs from the recorded one."""

    instance: Instance
    number: int
    disk: Disk
    size: int

    @property
    def row(self) -> list[object]:
        """The row of the result."""
        return [self.instance.name, self.number, "size", self.size]


@dataclass(frozen=True)
class SizeRepair:
    """The sizes to correct, and messages about disks that could not be checked."""

    found: tuple[SizeDifference, ...]
    unknown: tuple[str, ...]

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[instance_lock(each.instance.uuid) for each in self.found])


def _disks_by_node(
    op: RepairDiskSizes, state: ClusterState
) -> list[tuple[Node, list[tuple[Instance, int, Disk]]]]:
    """Return the disks to check by primary node."""
    named = [state.instance(name) for name in op.instances]
    for instance in named:
        check_exists(instance)
    wanted = {
        instance.uuid: instance
        for instance in named or state.instances.values()
        if not instance.forthcoming
    }
    found: dict[str, list[tuple[Instance, int, Disk]]] = {}
    for instance in sorted(wanted.values(), key=lambda each: each.name):
        for number, disk in enumerate(state.get_disks(instance)):
            found.setdefault(instance.primary_node, []).append((instance, number, disk))
    return [(state.nodes[uuid], disks) for uuid, disks in found.items()]


def questions(op: RepairDiskSizes, state: ClusterState) -> Sequence[NodeQuery]:
    return [
        NodeQuery(
            [node],
            DescribeDisks(
                disks=tuple(fill_disk_parameters(state, each, disk) for each, _, disk in disks)
            ),
        )
        for node, disks in _disks_by_node(op, state)
        if not node.offline
    ]


def plan(op: RepairDiskSizes, state: ClusterState, facts: NodeAnswers) -> SizeRepair:
    """Plan the corrections."""
    found: list[SizeDifference] = []
    unknown: list[str] = []
    for node, disks in _disks_by_node(op, state):
        if node.offline:
            unknown.append(f"node {node.name} is offline; its disks were not checked")
            continue
        try:
            statuses = facts.answer_of(node, DescribeDisks)
        except Refused as e:
            unknown.append(f"cannot check the disks on node {node.name}: {e}")
            continue
        for (instance, number, disk), status in zip(disks, statuses, strict=True):
            if status is None or status.size is None:
                what = "is missing" if status is None else "has an unknown size"
                unknown.append(f"{disk.iv_name} of {instance.name} on {node.name} {what}")
            elif status.size != disk.size:
                found.append(SizeDifference(instance, number, disk, status.size))
    found.sort(key=lambda each: (each.instance.name, each.number))
    return SizeRepair(tuple(found), tuple(unknown))


async def run(plan: SizeRepair, tools: Tools) -> ResultWithCommit | list[object]:
    for message in plan.unknown:
        tools.progress.log_message(message)
    for each in plan.found:
        tools.progress.log_message(
            f"{each.disk.iv_name} of {each.instance.name} has {each.size} MiB instead of "
            f"{each.disk.size} MiB"
        )
    if not plan.found:
        return []
    change = together(*(sized(each.disk, each.size) for each in plan.found))
    return ResultWithCommit(preview(plan), change)


def preview(plan: SizeRepair) -> list[list[object]]:
    """Return the result of a dry run: the corrections."""
    return [each.row for each in plan.found]


OPERATION = Operation(RepairDiskSizes, plan, run, questions, preview=preview)
