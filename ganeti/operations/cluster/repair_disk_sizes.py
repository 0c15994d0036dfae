# SPDX-License-Identifier: BSD-2-Clause
"""Correcting the recorded sizes of disks by what their nodes say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.instances import sized
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest, instance_lock, request
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RepairDiskSizes
from ganeti.operations.guests import with_parameters
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, ResultWithCommit, Tools
from ganeti.rpc.disks import DescribeDisks


@dataclass(frozen=True)
class SizeDifference:
    """A disk, by number, whose size in MiB is another than the record says."""

    instance: Instance
    number: int
    disk: Disk
    size: int

    @property
    def row(self) -> list[Any]:
        """The form in which clients are told."""
        return [self.instance.name, self.number, "size", self.size]


@dataclass(frozen=True)
class SizeRepair:
    """The sizes to correct, and what could not be found out."""

    found: tuple[SizeDifference, ...]
    unknown: tuple[str, ...]

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[instance_lock(each.instance.uuid) for each in self.found])


def _by_node(
    op: RepairDiskSizes, state: ClusterState
) -> list[tuple[Node, list[tuple[Instance, int, Disk]]]]:
    """The disks to look at, by the node that their guest runs on."""
    named = [state.instance(name) for name in op.instances] or state.instances.values()
    wanted = {instance.uuid: instance for instance in named}
    found: dict[str, list[tuple[Instance, int, Disk]]] = {}
    for instance in sorted(wanted.values(), key=lambda each: each.name):
        for number, disk in enumerate(state.disks_of(instance)):
            found.setdefault(instance.primary_node, []).append((instance, number, disk))
    return [(state.nodes[uuid], disks) for uuid, disks in found.items()]


def questions(op: RepairDiskSizes, state: ClusterState) -> Sequence[NodeQuery]:
    return [
        NodeQuery(
            [node],
            DescribeDisks(
                disks=tuple(with_parameters(state, each, disk) for each, _, disk in disks)
            ),
        )
        for node, disks in _by_node(op, state)
        if not node.offline
    ]


def plan(op: RepairDiskSizes, state: ClusterState, facts: NodeAnswers) -> SizeRepair:
    """Find the disks whose recorded size is wrong."""
    found: list[SizeDifference] = []
    unknown: list[str] = []
    for node, disks in _by_node(op, state):
        if node.offline:
            unknown.append(f"node {node.name} is offline: its disks were not looked at")
            continue
        try:
            statuses = facts.of(node, DescribeDisks)
        except Refused as e:
            unknown.append(f"the disks on node {node.name} were not looked at: {e}")
            continue
        for (instance, number, disk), status in zip(disks, statuses, strict=True):
            if status is None or status.size is None:
                what = "is missing" if status is None else "does not tell its size"
                unknown.append(f"{disk.iv_name} of {instance.name} on {node.name} {what}")
            elif status.size != disk.size:
                found.append(SizeDifference(instance, number, disk, status.size))
    found.sort(key=lambda each: (each.instance.name, each.number))
    return SizeRepair(tuple(found), tuple(unknown))


async def run(plan: SizeRepair, tools: Tools) -> ResultWithCommit | list[Any]:
    for message in plan.unknown:
        tools.progress.say(message)
    for each in plan.found:
        tools.progress.say(
            f"{each.disk.iv_name} of {each.instance.name} has {each.size} MiB, and not "
            f"{each.disk.size} MiB"
        )
    if not plan.found:
        return []
    change = together(*(sized(each.disk, each.size) for each in plan.found))
    return ResultWithCommit(preview(plan), change)


def preview(plan: SizeRepair) -> list[list[Any]]:
    """What a dry run shows: the corrections, in the form of the result."""
    return [each.row for each in plan.found]


OPERATION = Operation(RepairDiskSizes, plan, run, questions, preview=preview)
