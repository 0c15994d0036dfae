# SPDX-License-Identifier: BSD-2-Clause
"""Looking at the disks of the instances of a node group: those missing, broken, not in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.opcodes.cluster import VerifyDisks
from ganeti.opcodes.group import VerifyGroupDisks
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.guests import with_parameters
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.disks import DescribeDisks, DiskStatus


@dataclass(frozen=True)
class DisksOfInstance:
    """A disk of an instance as a node sees it; ``status`` is None if it is not there."""

    instance: Instance
    disk: Disk
    node: Node
    status: DiskStatus | None

    @property
    def usable(self) -> bool:
        return self.status is not None and bool(self.status.path)


def disk_questions(group: Group, state: ClusterState) -> list[NodeQuery]:
    """One question to each node of the group that is online, about all disks that it has."""
    found = []
    for node in state.nodes_in(group):
        if not node.offline and (disks := _disks_on(node, state)):
            asked = tuple(with_parameters(state, instance, disk) for instance, disk in disks)
            found.append(NodeQuery([node], DescribeDisks(disks=asked)))
    return found


def _disks_on(node: Node, state: ClusterState) -> list[tuple[Instance, Disk]]:
    here = {each.uuid: each for each in (*state.primaries_on(node), *state.secondaries_on(node))}
    return [
        (instance, disk)
        for instance in here.values()
        for disk in state.disks_of(instance)
        if instance.primary_node == node.uuid or node.uuid in disk.nodes
    ]


def looked_at(group: Group, state: ClusterState, facts: NodeAnswers) -> Iterator[DisksOfInstance]:
    """Every disk on a node that has answered."""
    for node in state.nodes_in(group):
        statuses = facts.known(node, DescribeDisks)
        if statuses is None:
            continue
        for (instance, disk), status in zip(_disks_on(node, state), statuses, strict=True):
            yield DisksOfInstance(instance, disk, node, status)


def disk_findings(group: Group, state: ClusterState, facts: NodeAnswers) -> Iterator[Finding]:
    """What is wrong with the disks of the group's instances."""
    for each in looked_at(group, state, facts):
        found = _finding(each)
        if found is not None:
            code, message = found
            yield Finding(code, "instance", each.instance.name, message)


def _finding(looked: DisksOfInstance) -> tuple[Code, str] | None:
    status, what = looked.status, f"{looked.disk.iv_name} on {looked.node.name}"
    if status is None:
        return Code.EINSTANCEMISSINGDISK, f"{what} is missing"
    if looked.disk.dev_type not in MIRRORED_BETWEEN_NODES or not looked.instance.disks_active:
        return None
    if status.local == "faulty":
        return Code.EINSTANCEFAULTYDISK, f"{what} is faulty; see gnt-instance replace-disks --auto"
    if not status.path:
        return Code.EINSTANCEFAULTYDISK, f"{what} is not active; see gnt-instance activate-disks"
    if status.degraded and status.sync_percent is None:
        return Code.EINSTANCEFAULTYDISK, f"{what} is degraded: the other copy cannot be relied on"
    return None


@dataclass(frozen=True)
class GroupDisksVerification:
    """The disks of a group as they were found."""

    group: Group
    state: ClusterState
    facts: NodeAnswers

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: VerifyGroupDisks, state: ClusterState) -> Sequence[NodeQuery]:
    return disk_questions(state.group(op.group_name), state)


def plan(op: VerifyGroupDisks, state: ClusterState, facts: NodeAnswers) -> GroupDisksVerification:
    """Find the group."""
    return GroupDisksVerification(state.group(op.group_name), state, facts)


async def run(plan: GroupDisksVerification, tools: Tools) -> list[Any]:
    """Nodes that did not answer, instances with disks to activate, and disks that are missing."""
    silent = {
        plan.state.nodes[uuid].name: str(answer)
        for (uuid, _), answer in plan.facts.answers.items()
        if isinstance(answer, Failed)
    }
    passive: set[str] = set()
    missing: dict[str, list[list[str]]] = {}
    for each in looked_at(plan.group, plan.state, plan.facts):
        name = each.instance.name
        if each.status is None:
            missing.setdefault(name, []).append([each.node.name, each.disk.iv_name])
        elif each.instance.disks_active and not each.usable:
            passive.add(name)
    return [silent, sorted(passive - set(missing)), missing]


@dataclass(frozen=True)
class VerifyDiskJobs:
    """The jobs that look at every group."""

    jobs: tuple[tuple[Opcode, ...], ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def plan_all(op: VerifyDisks, state: ClusterState, facts: NodeAnswers) -> VerifyDiskJobs:
    """A job for each group, or for the one that is named."""
    groups = [state.group(op.group_name)] if op.group_name else list(state.groups.values())
    names = sorted(group.name for group in groups)
    return VerifyDiskJobs(tuple((VerifyGroupDisks(group_name=name),) for name in names))


async def run_all(plan: VerifyDiskJobs, tools: Tools) -> dict[str, Any]:
    return {"jobs": [list(row) for row in await tools.submit(plan.jobs)]}


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(VerifyGroupDisks, plan, run, questions),
    Operation(VerifyDisks, plan_all, run_all),
)
