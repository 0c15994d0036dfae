# SPDX-License-Identifier: BSD-2-Clause
"""The operation that shows the input or output of an iallocator without any change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, Template
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_defaults
from ganeti.opcodes.test import AllocatorDirection, AllocatorMode, TestAllocator
from ganeti.operations.allocation.allocation_request import Placement
from ganeti.operations.allocation.candidates import candidates
from ganeti.operations.allocation.iallocator import format_request, make_request, room
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.allocation.policy_check import PolicySize
from ganeti.operations.allocation.scoring import explained
from ganeti.operations.allocation.sizes import make_placement
from ganeti.operations.allocation.target_node import relocation
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.device_specs import read_disks
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.refusals import already_exists
from ganeti.rpc.node import DescribeNode
from ganeti.schema.types import Value


@dataclass(frozen=True)
class AllocatorTest:
    """The text to show, which needs no locks."""

    text: str

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: TestAllocator, state: ClusterState) -> Sequence[NodeQuery]:
    return [room(state)]


def request_allocation(
    op: TestAllocator, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator, for the direction out."""
    if op.direction is AllocatorDirection.IN:
        return None
    return make_request(op.iallocator, _request(op, state), state)


def plan(op: TestAllocator, state: ClusterState, facts: NodeAnswers) -> AllocatorTest:
    """Plan the text to show."""
    request = _request(op, state)
    if op.direction is AllocatorDirection.IN:
        return AllocatorTest(format_request(request, state, facts))
    if facts.advice is None:
        return AllocatorTest(_explain_built_in(op, state, facts))
    if isinstance(facts.advice.answer, str):
        return AllocatorTest(facts.advice.answer)
    error = facts.advice.answer
    raise Refused(f"iallocator {facts.advice.name}: {error}", error.code or Code.RESOURCES)


def _request(op: TestAllocator, state: ClusterState) -> Mapping[str, Value]:
    return _REQUESTS[op.mode](op, state)


def _template(op: TestAllocator, state: ClusterState) -> Template:
    return op.disk_template or Template(state.cluster.enabled_disk_templates[0])


def _size(op: TestAllocator, state: ClusterState) -> PolicySize:
    defaults, template = be_defaults(state.cluster), _template(op, state)
    return PolicySize(
        memory=defaults["maxmem"] if op.memory is None else op.memory,
        vcpus=defaults["vcpus"] if op.vcpus is None else op.vcpus,
        disks=[disk.size for disk in read_disks(op.disks or (), template)],
        nics=len(op.nics or ()),
        spindles=op.spindle_use,
        template=template,
    )


def _allocate(op: TestAllocator, state: ClusterState) -> dict[str, object]:
    if state.knows(RecordKind.INSTANCE, op.name):
        raise already_exists(RecordKind.INSTANCE, op.name)
    return _make_spec(op, op.name, state)


def _make_spec(op: TestAllocator, name: str, state: ClusterState) -> dict[str, object]:
    size = _size(op, state)
    hypervisor = op.hypervisor.value if op.hypervisor else state.cluster.enabled_hypervisors[0]
    return {
        "type": "allocate",
        "name": name,
        "disk_template": size.template.value,
        "group_name": op.group_name,
        "tags": list(op.tags),
        "os": op.os or "",
        "vcpus": size.vcpus,
        "memory": size.memory,
        "spindle_use": size.spindles,
        "disks": [dict(disk) for disk in op.disks or ()],
        "disk_space_total": compute_disk_space(size.template, size.disks),
        "nics": [dict(nic) for nic in op.nics or ()],
        "required_nodes": _required_nodes(size),
        "hypervisor": hypervisor,
    }


def _required_nodes(size: PolicySize) -> int:
    return 2 if size.template in MIRRORED_TEMPLATES else 1


def _multi_allocate(op: TestAllocator, state: ClusterState) -> dict[str, object]:
    names = [f"{op.name}-{number}" for number in range(op.count)]
    return {
        "type": "multi-allocate",
        "instances": [_make_spec(op, name, state) for name in names],
    }


def _relocate(op: TestAllocator, state: ClusterState) -> dict[str, object]:
    subject = standing(state.instance(op.name), state)
    return relocation(subject, subject.secondaries or [subject.primary])


def _instances(op: TestAllocator, state: ClusterState) -> list[str]:
    return [state.instance(name).name for name in op.instances or (op.name,)]


def _evacuate(op: TestAllocator, state: ClusterState) -> dict[str, object]:
    if op.evac_mode is None:
        raise Refused("the parameter evac_mode is required for this mode", Code.INPUT)
    instances = _instances(op, state)
    return {"type": "node-evacuate", "instances": instances, "evac_mode": op.evac_mode.value}


def _change_group(op: TestAllocator, state: ClusterState) -> dict[str, object]:
    groups = [state.group(name).uuid for name in op.target_groups or ()]
    return {
        "type": "change-group",
        "instances": _instances(op, state),
        "target_groups": groups,
    }


def _secondary(op: TestAllocator, state: ClusterState) -> dict[str, object]:
    return {"type": "allocate-secondary", "name": state.instance(op.name).name}


_REQUESTS: Mapping[AllocatorMode, Callable[[TestAllocator, ClusterState], dict[str, object]]] = {
    AllocatorMode.ALLOCATE: _allocate,
    AllocatorMode.MULTI_ALLOCATE: _multi_allocate,
    AllocatorMode.RELOCATE: _relocate,
    AllocatorMode.NODE_EVACUATE: _evacuate,
    AllocatorMode.CHANGE_GROUP: _change_group,
    AllocatorMode.ALLOCATE_SECONDARY: _secondary,
}


def _explain_built_in(op: TestAllocator, state: ClusterState, facts: NodeAnswers) -> str:
    """Return the built-in allocator's decision for every node."""
    if op.mode is AllocatorMode.ALLOCATE:
        size = _size(op, state)
        group = None if op.group_name is None else state.group(op.group_name).uuid
        wish = Placement(
            name=op.name,
            memory=size.memory,
            vcpus=size.vcpus,
            disks=size.disks,
            template=size.template,
            wanted=_required_nodes(size),
            group=group,
        )
        return _explain(wish, list(state.nodes.values()), size, state, facts)
    if op.mode is AllocatorMode.RELOCATE:
        subject = standing(state.instance(op.name), state)
        away = [node.uuid for node in subject.nodes]
        wish = make_placement(subject.instance, subject.disks, state, away_from=away)
        members = list(state.list_nodes(state.groups[subject.primary.group]))
        return _explain(wish, members, None, state, facts)
    raise Refused(
        f"the built-in allocator cannot be tested with mode {op.mode.value}; use "
        "--dry-run with the command that moves the instances",
        Code.INPUT,
    )


def _explain(
    wish: Placement,
    nodes: Sequence[Node],
    size: PolicySize | None,
    state: ClusterState,
    facts: NodeAnswers,
) -> str:
    known = candidates(
        nodes, wish.template, state, lambda node: facts.known(node, DescribeNode), size=size
    )
    return explained(wish, known)


async def run(plan: AllocatorTest, tools: Tools) -> str:
    return plan.text


OPERATION = Operation(TestAllocator, plan, run, questions, request_allocation=request_allocation)
