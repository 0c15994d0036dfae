# SPDX-License-Identifier: BSD-2-Clause
"""The operation that allocates nodes for several instances and submits their creation jobs.

Each instance is planned like its own job does, on a state that contains the instances before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, DiskMode
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.model.parameters.filling import backend_of
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance, CreationMode
from ganeti.operations.allocation.candidates import spent
from ganeti.operations.allocation.iallocator import get_allocator_result, make_request, room
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.instance.create import create
from ganeti.operations.instance.create.create import CreationPlan
from ganeti.operations.instance.disks.disk_layout import list_unit_sizes
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.schema import records


@dataclass(frozen=True)
class MultiAllocation:
    """The jobs to submit with the nodes of their instances, and the reasons for failed ones.

    Each job acquires its own locks.
    """

    jobs: tuple[CreateInstance, ...]
    nodes: tuple[tuple[Node, ...], ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: AllocateInstances, state: ClusterState) -> Sequence[NodeQuery]:
    online = [node for node in state.nodes.values() if not node.offline]
    return [room(state), NodeQuery(online, DescribeOSes())]


def plan(op: AllocateInstances, state: ClusterState, facts: NodeAnswers) -> MultiAllocation:
    """Allocate nodes for each instance; refuse all if one request is not valid."""
    _validate(op)
    chosen = _allocated_nodes(op, state, facts)
    # What the iallocator has chosen is given to each request as its nodes.
    reached, known = state, replace(facts, advice=None)
    jobs: list[CreateInstance] = []
    nodes: list[tuple[Node, ...]] = []
    failed: list[tuple[str, str]] = []
    problems: list[Problem] = []
    refused: list[tuple[str, Refused]] = []
    for number, each in enumerate(op.instances):
        name = each.instance_name
        wanted = (
            each if chosen is None or _has_nodes(each) else _set_nodes(each, chosen.get(name, ()))
        )
        if wanted is None:
            failed.append((name, "the iallocator has found no nodes for it"))
            continue
        # Identifiers are derived from it, so that each instance needs another one.
        identity = f"{facts.identity}/{number}"
        try:
            made = create.plan(
                _without_name_checks(wanted), reached, replace(known, identity=identity)
            )
        except Invalid as e:
            problems += _prefix_problems(number, e)
        except Refused as e:
            # A lack of resources does not prevent the creation of the others.
            if e.code is Code.RESOURCES:
                failed.append((name, str(e)))
            else:
                refused.append((name, e))
        else:
            jobs.append(_set_nodes(each, made.nodes) or each)
            nodes.append(made.nodes)
            reached, known = _add_instance(made, reached), _subtract_resources(made, known, reached)
    if problems:
        raise Invalid(problems)
    if refused:
        told = "; ".join(f"{name}: {error}" for name, error in refused)
        raise Refused(f"no instance was created: {told}", refused[0][1].code)
    return MultiAllocation(tuple(jobs), tuple(nodes), tuple(failed))


def _validate(op: AllocateInstances) -> None:
    """Check the requests.

    :raises Invalid: a request cannot be part of a multi-allocation.
    """
    problems = [] if op.instances else [Problem("instances", "must not be empty")]
    names = [each.instance_name for each in op.instances]
    for number, each in enumerate(op.instances):
        where = f"instances[{number}]"
        if each.mode is not CreationMode.CREATE:
            message = "must be create; import instances one by one with gnt-backup import"
            problems.append(Problem(f"{where}/mode", message))
        if each.commit:
            message = "creates one reserved instance; submit a job for each of them"
            problems.append(Problem(f"{where}/commit", message))
        if each.iallocator is not None:
            message = "must be given for the whole request"
            problems.append(Problem(f"{where}/iallocator", message))
        if each.instance_name in names[:number]:
            problems.append(Problem(f"{where}/instance_name", "is not unique in this request"))
    if problems:
        raise Invalid(problems)


def _prefix_problems(number: int, error: Invalid) -> list[Problem]:
    """Return the problems of one instance with their paths in the whole request."""
    return [Problem(f"instances[{number}]/{each.path}", each.message) for each in error.problems]


def _has_nodes(op: CreateInstance) -> bool:
    """Return whether the request has nodes."""
    return bool(op.pnode or op.pnode_uuid)


def _without_name_checks(op: CreateInstance) -> CreateInstance:
    """Return the request without name checks, which its job makes."""
    return records.replace(op, name_check=False, ip_check=False)


def _set_nodes(op: CreateInstance, nodes: Sequence[Node]) -> CreateInstance | None:
    """Return the request with these nodes unless it has some; None if there are no nodes."""
    if _has_nodes(op):
        return op
    if not nodes:
        return None
    secondary = nodes[1].name if len(nodes) > 1 else None
    return records.replace(op, pnode=nodes[0].name, snode=secondary)


def _add_instance(made: CreationPlan, state: ClusterState) -> ClusterState:
    """Return the state with the instance, as far as it affects other allocations."""
    # Addresses that will be generated are not known yet.
    nics = tuple(nic for nic in made.draft.nics if nic.mac)
    wanted = AdminState.UP if made.op.start else AdminState.DOWN
    disks = _mirrored_disks(made)
    for disk in disks:
        state = state.put(disk)
    uuids = tuple(disk.uuid for disk in disks)
    return state.put(records.replace(made.draft, nics=nics, disks=uuids, admin_state=wanted))


def _mirrored_disks(made: CreationPlan) -> list[Disk]:
    """Return the mirrored disks, whose secondary nodes reserve memory."""
    if made.order.template not in MIRRORED_TEMPLATES:
        return []
    return [
        Disk(
            uuid=f"{made.draft.uuid}/{number}",
            serial_no=1,
            ctime=0.0,
            mtime=0.0,
            dev_type=made.order.template,
            logical_id=(),
            children=(),
            nodes=tuple(node.uuid for node in made.nodes),
            iv_name=f"disk/{number}",
            size=wish.size,
            mode=DiskMode.READ_WRITE,
        )
        for number, wish in enumerate(made.order.disks)
    ]


def _subtract_resources(made: CreationPlan, facts: NodeAnswers, state: ClusterState) -> NodeAnswers:
    """Return the node answers with the instance's resources subtracted."""
    memory = backend_of(state.cluster, made.draft).maxmem if made.op.start else 0
    template = made.order.template
    group = state.groups[made.nodes[0].group]
    sizes = list_unit_sizes(made.order.disks, template, group, state.cluster)
    disk = compute_disk_space(template, sizes)
    answers = dict(facts.answers)
    for node in made.nodes:
        key = (node.uuid, DescribeNode)
        runs_there = node == made.nodes[0]
        if (known := facts.known(node, DescribeNode)) is not None:
            answers[key] = spent(known, template, memory=memory if runs_there else 0, disk=disk)
    return replace(facts, answers=answers)


def request_allocation(
    op: AllocateInstances, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator for instances without nodes."""
    _validate(op)
    wanted: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, each in enumerate(op.instances):
        if not _has_nodes(each):
            try:
                wanted.append(create.allocation(each, state, facts.busy))
            except Invalid as e:
                problems += _prefix_problems(number, e)
    if problems:
        raise Invalid(problems)
    if not wanted:
        return None
    return make_request(op.iallocator, {"type": "multi-allocate", "instances": wanted}, state)


def _allocated_nodes(
    op: AllocateInstances, state: ClusterState, facts: NodeAnswers
) -> Mapping[str, tuple[Node, ...]] | None:
    """Return the nodes by instance that an external iallocator chose, or None if none was used.

    :raises Refused: its result is malformed.
    """
    if facts.advice is None:
        return None
    name, found = facts.advice.name, {}
    match get_allocator_result(facts):
        case [list(placed), list()]:
            pass
        case _:
            raise Refused(
                f"result of iallocator {name} does not have the form [allocated, failed]",
                Code.ENVIRONMENT,
            )
    for each in placed:
        match each:
            case [str(instance), list(nodes)]:
                found[instance] = tuple(_get_node(str(node), name, state) for node in nodes)
            case _:
                raise Refused(
                    f"result of iallocator {name} has an invalid entry: {each}", Code.ENVIRONMENT
                )
    return found


def _get_node(node: str, allocator: str, state: ClusterState) -> Node:
    try:
        return state.node(node)
    except Refused as e:
        raise Refused(f"iallocator {allocator}: {e}", Code.ENVIRONMENT) from None


async def run(plan: MultiAllocation, tools: Tools) -> dict[str, object]:
    for name, reason in plan.failed:
        tools.progress.log_message(f"cannot allocate nodes for {name}: {reason}")
    submitted = await tools.submit([(job,) for job in plan.jobs]) if plan.jobs else []
    return _make_result(plan, [list(row) for row in submitted])


def preview(plan: MultiAllocation) -> dict[str, object]:
    """Return the result of a dry run: the result without jobs, with nodes and reasons."""
    pairs = zip(plan.jobs, plan.nodes, strict=True)
    return {
        **_make_result(plan, []),
        "nodes": {job.instance_name: [node.name for node in nodes] for job, nodes in pairs},
        "reasons": dict(plan.failed),
    }


def _make_result(plan: MultiAllocation, jobs: list[object]) -> dict[str, object]:
    """Return the result in the form that clients expect."""
    return {
        "jobs": jobs,
        "allocatable": [job.instance_name for job in plan.jobs],
        "failed": [name for name, _ in plan.failed],
    }


OPERATION = Operation(
    AllocateInstances, plan, run, questions, preview=preview, request_allocation=request_allocation
)
