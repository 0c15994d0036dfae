# SPDX-License-Identifier: BSD-2-Clause
"""Operations that find missing, faulty and inactive disks of a node group's instances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.opcodes.cluster import VerifyDisks
from ganeti.opcodes.group import VerifyGroupDisks
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.operations.operation import AnyOperation, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.disks import DescribeDisks, DiskStatus


@dataclass(frozen=True)
class DiskOnNode:
    """A disk of an instance on a node; ``status`` is None if it is missing."""

    instance: Instance
    disk: Disk
    node: Node
    status: DiskStatus | None

    @property
    def usable(self) -> bool:
        return self.status is not None and bool(self.status.path)


def disk_queries(group: Group, state: ClusterState) -> Iterator[NodeQuery | None]:
    """Yield a query to each online node of the group for the status of all its disks.

    None marks points where work can pause.
    """
    for node in state.list_nodes(group):
        if not node.offline and (disks := _disks_on(node, state)):
            asked = tuple(fill_disk_parameters(state, instance, disk) for instance, disk in disks)
            yield NodeQuery([node], DescribeDisks(disks=asked))
        yield None


def _disks_on(node: Node, state: ClusterState) -> list[tuple[Instance, Disk]]:
    here = {
        each.uuid: each
        for each in (*state.list_primary_instances(node), *state.list_secondary_instances(node))
    }
    return [
        (instance, disk)
        for instance in here.values()
        for disk in state.get_disks(instance)
        if (instance.primary_node == node.uuid or node.uuid in disk.nodes) and not disk.forthcoming
    ]


def list_disks(group: Group, state: ClusterState, facts: NodeAnswers) -> Iterator[DiskOnNode]:
    """Yield every disk on the nodes that have answered."""
    for node in state.list_nodes(group):
        statuses = facts.known(node, DescribeDisks)
        if statuses is None:
            continue
        for (instance, disk), status in zip(_disks_on(node, state), statuses, strict=True):
            yield DiskOnNode(instance, disk, node, status)


def check_disks(group: Group, state: ClusterState, facts: NodeAnswers) -> Iterator[Finding]:
    """Yield findings about the disks of the group's instances."""
    for each in list_disks(group, state, facts):
        found = _check_disk(each)
        if found is not None:
            code, message = found
            yield Finding(code, "instance", each.instance.name, message)


def _check_disk(looked: DiskOnNode) -> tuple[Code, str] | None:
    status, what = looked.status, f"{looked.disk.iv_name} on {looked.node.name}"
    if status is None:
        return Code.EINSTANCEMISSINGDISK, f"{what} is missing"
    if looked.disk.dev_type not in MIRRORED_TEMPLATES or not looked.instance.disks_active:
        return None
    if status.local == "faulty":
        return Code.EINSTANCEFAULTYDISK, f"{what} is faulty; use gnt-instance replace-disks --auto"
    if not status.path:
        return Code.EINSTANCEFAULTYDISK, f"{what} is not active; use gnt-instance activate-disks"
    if status.degraded and status.sync_percent is None:
        return (
            Code.EINSTANCEFAULTYDISK,
            f"{what} is degraded: the other copy is outdated or disconnected",
        )
    return None


@dataclass(frozen=True)
class GroupDisksVerification:
    """The group and the status of its disks."""

    group: Group
    state: ClusterState
    facts: NodeAnswers

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: VerifyGroupDisks, state: ClusterState) -> Iterator[NodeQuery | None]:
    return disk_queries(state.group(op.group_name), state)


def plan(op: VerifyGroupDisks, state: ClusterState, facts: NodeAnswers) -> GroupDisksVerification:
    """Plan the check of the group."""
    return GroupDisksVerification(state.group(op.group_name), state, facts)


async def run(plan: GroupDisksVerification, tools: Tools) -> list[object]:
    """Return unreachable nodes, instances with inactive disks, and missing disks."""
    silent = {
        plan.state.nodes[uuid].name: str(answer)
        for (uuid, _), answer in plan.facts.answers.items()
        if isinstance(answer, Failed)
    }
    passive: set[str] = set()
    missing: dict[str, list[list[str]]] = {}
    for each in list_disks(plan.group, plan.state, plan.facts):
        name = each.instance.name
        if each.status is None:
            missing.setdefault(name, []).append([each.node.name, each.disk.iv_name])
        elif each.instance.disks_active and not each.usable:
            passive.add(name)
    # The disks of an instance that lacks some of them cannot be activated.
    return [silent, sorted(passive - set(missing)), missing]


@dataclass(frozen=True)
class VerifyDiskJobs:
    """The jobs that check each group."""

    jobs: tuple[tuple[Opcode, ...], ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def plan_all(op: VerifyDisks, state: ClusterState, facts: NodeAnswers) -> VerifyDiskJobs:
    """Plan a job for each group, or for the given one."""
    groups = [state.group(op.group_name)] if op.group_name else list(state.groups.values())
    names = sorted(group.name for group in groups)
    return VerifyDiskJobs(tuple((VerifyGroupDisks(group_name=name),) for name in names))


async def run_all(plan: VerifyDiskJobs, tools: Tools) -> dict[str, object]:
    return {"jobs": [list(row) for row in await tools.submit(plan.jobs)]}


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(VerifyGroupDisks, plan, run, questions),
    Operation(VerifyDisks, plan_all, run_all),
)
