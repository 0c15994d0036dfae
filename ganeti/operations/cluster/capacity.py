# SPDX-License-Identifier: BSD-2-Clause
"""The operation that counts how many more instances fit."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import SHARED_TEMPLATES, Template
from ganeti.model.group import Group
from ganeti.model.parameters.filling import policy_of
from ganeti.opcodes.placement import CountCapacity
from ganeti.operations.allocation.iallocator import room
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.allocation.placement_model import build_model, storage_of
from ganeti.operations.allocation.policy_check import PolicySize, violations
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.placement.capacity import Capacity, Size, SizeCapacity
from ganeti.placement.solver import CapacityQuestion


@dataclass(frozen=True)
class CapacityCount:
    """The counts, which need no locks."""

    sizes: tuple[SizeCapacity, ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: CountCapacity, state: ClusterState) -> Sequence[NodeQuery]:
    return [room(state)]


def search(
    op: CountCapacity, state: ClusterState, facts: NodeAnswers
) -> Generator[None, None, CapacityQuestion]:
    """Return the question about the sizes, each in the groups that allow it."""
    sizes = _list_sizes(op, state)
    model = yield from build_model(state, facts)
    return CapacityQuestion(model=model, sizes=sizes)


def _list_sizes(op: CountCapacity, state: ClusterState) -> tuple[Size, ...]:
    """Return the different sizes that the opcode means in the groups."""
    groups = list(state.groups.values()) if op.group_name is None else [state.group(op.group_name)]
    wanted = dict.fromkeys(_complete(op, group, state) for group in groups)
    return tuple(_make_size(size, groups, state) for size in wanted)


def _complete(
    op: CountCapacity, group: Group, state: ClusterState
) -> tuple[int, int, int, int, Template]:
    """Return memory, disk, processors, spindles and template, as the group's standard has them."""
    std = policy_of(state.cluster, group).std
    template = op.disk_template or Template(state.cluster.enabled_disk_templates[0])
    given = ((op.memory, std.memory_size), (op.disk_size, std.disk_size))
    memory, disk = (usual if value is None else value for value, usual in given)
    vcpus = std.cpu_count if op.vcpus is None else op.vcpus
    spindles = std.spindle_use if op.spindle_use is None else op.spindle_use
    return memory, disk, vcpus, spindles, template


def _make_size(
    wanted: tuple[int, int, int, int, Template], groups: Sequence[Group], state: ClusterState
) -> Size:
    memory, disk, vcpus, spindles, template = wanted
    disks = [] if template is Template.DISKLESS else [disk]
    size = PolicySize(
        memory=memory, vcpus=vcpus, disks=disks, nics=1, spindles=spindles, template=template
    )
    shared = template in SHARED_TEMPLATES
    allowed = (each for each in groups if not violations(size, policy_of(state.cluster, each)))
    return Size(
        name=template.value,
        memory=memory,
        disk=0 if shared else compute_disk_space(template, disks),
        vcpus=vcpus,
        storage=storage_of(template),
        spindles=0 if shared else spindles,
        groups=tuple(group.name for group in allowed),
    )


def plan(op: CountCapacity, state: ClusterState, facts: NodeAnswers) -> CapacityCount:
    """Return the counts of the requested groups."""
    if not isinstance(facts.solution, Capacity):
        raise Refused("the count of instances is missing; try again", Code.INTERNAL)
    return CapacityCount(facts.solution.sizes)


def describe(plan: CapacityCount) -> list[dict[str, object]]:
    """Return the counts in JSON types."""
    return [
        {
            "disk_template": each.size.name,
            "memory": each.size.memory,
            "vcpus": each.size.vcpus,
            "disk_space": each.size.disk,
            "count": each.count,
            "groups": [
                {"name": group.group, "count": group.count, "limits": group.limits}
                for group in each.groups
            ],
        }
        for each in plan.sizes
    ]


async def run(plan: CapacityCount, tools: Tools) -> list[dict[str, object]]:
    return describe(plan)


OPERATION = Operation(CountCapacity, plan, run, questions, preview=describe, search=search)
