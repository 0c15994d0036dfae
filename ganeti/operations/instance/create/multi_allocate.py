# SPDX-License-Identifier: BSD-2-Clause
"""Finding places for several new instances at once, and submitting the jobs that make them.

Each is planned as its own job will plan it, on a cluster in which those before it are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk, DiskMode
from ganeti.model.instance import Wanted
from ganeti.model.node import Node
from ganeti.model.parameters.filling import be_filled
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance, CreationMode
from ganeti.operations.allocation.candidates import spent
from ganeti.operations.allocation.iallocator import advised_result, consultation, room
from ganeti.operations.allocation.iallocator_protocol import disk_space
from ganeti.operations.instance.create import create
from ganeti.operations.instance.create.create import Create
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.schema import records


@dataclass(frozen=True)
class MultiAllocation:
    """The jobs to submit, each with its instance's nodes, and why others have no place.

    Each job locks what it needs.
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
    """Find a place for each, or refuse all if one of them cannot be made anywhere."""
    _require_sense(op)
    chosen = _advised(op, state, facts)
    reached, known = state, replace(facts, advice=None)
    jobs: list[CreateInstance] = []
    nodes: list[tuple[Node, ...]] = []
    failed: list[tuple[str, str]] = []
    problems: list[Problem] = []
    refused: list[tuple[str, Refused]] = []
    for number, each in enumerate(op.instances):
        name = each.instance_name
        wanted = each if chosen is None or _placed(each) else _on(each, chosen.get(name, ()))
        if wanted is None:
            failed.append((name, "the allocator has found no place for it"))
            continue
        identity = f"{facts.identity}/{number}"
        try:
            made = create.plan(_unchecked(wanted), reached, replace(known, identity=identity))
        except Invalid as e:
            problems += _inside(number, e)
        except Refused as e:
            if e.code is Code.RESOURCES:
                failed.append((name, str(e)))
            else:
                refused.append((name, e))
        else:
            jobs.append(_on(each, made.nodes) or each)
            nodes.append(made.nodes)
            reached, known = _with(made, reached), _less(made, known, reached)
    if problems:
        raise Invalid(problems)
    if refused:
        told = "; ".join(f"{name}: {error}" for name, error in refused)
        raise Refused(f"nothing is created, because of {told}", refused[0][1].code)
    return MultiAllocation(tuple(jobs), tuple(nodes), tuple(failed))


def _require_sense(op: AllocateInstances) -> None:
    """:raises Invalid: what is asked for cannot be done for several at once."""
    problems = [] if op.instances else [Problem("instances", "must name at least one")]
    names = [each.instance_name for each in op.instances]
    for number, each in enumerate(op.instances):
        where = f"instances[{number}]"
        if each.mode is not CreationMode.CREATE:
            message = "must be create; others are brought in one by one: gnt-backup import"
            problems.append(Problem(f"{where}/mode", message))
        if each.iallocator is not None:
            message = "is named for all of them together"
            problems.append(Problem(f"{where}/iallocator", message))
        if each.instance_name in names[:number]:
            problems.append(Problem(f"{where}/instance_name", "is that of another one, too"))
    if problems:
        raise Invalid(problems)


def _inside(number: int, error: Invalid) -> list[Problem]:
    """The problems of one of the instances, each with its path in the whole request."""
    return [Problem(f"instances[{number}]/{each.path}", each.message) for each in error.problems]


def _placed(op: CreateInstance) -> bool:
    """Whether nodes are named for the instance."""
    return bool(op.pnode or op.pnode_uuid)


def _unchecked(op: CreateInstance) -> CreateInstance:
    """The request without the checks of the name, which are those of the job."""
    return records.replace(op, name_check=False, ip_check=False)


def _on(op: CreateInstance, nodes: Sequence[Node]) -> CreateInstance | None:
    """The request with these nodes named, if it names none itself; None without nodes."""
    if _placed(op):
        return op
    if not nodes:
        return None
    secondary = nodes[1].name if len(nodes) > 1 else None
    return records.replace(op, pnode=nodes[0].name, snode=secondary)


def _with(made: Create, state: ClusterState) -> ClusterState:
    """The cluster in which the instance is there: as much of it as others have to respect."""
    nics = tuple(nic for nic in made.draft.nics if nic.mac)
    wanted = Wanted.UP if made.op.start else Wanted.DOWN
    disks = _mirrored(made)
    for disk in disks:
        state = state.put(disk)
    uuids = tuple(disk.uuid for disk in disks)
    return state.put(records.replace(made.draft, nics=nics, disks=uuids, admin_state=wanted))


def _mirrored(made: Create) -> list[Disk]:
    """Disks with a second copy, for which the node that has it keeps memory."""
    if made.order.template not in MIRRORED_BETWEEN_NODES:
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


def _less(made: Create, facts: NodeAnswers, state: ClusterState) -> NodeAnswers:
    """What the nodes would say if the instance were there."""
    memory = int(be_filled(state.cluster, made.draft)["maxmem"]) if made.op.start else 0
    template = made.order.template
    disk = disk_space(template, [wish.size for wish in made.order.disks])
    answers = dict(facts.answers)
    for node in made.nodes:
        key = (node.uuid, DescribeNode)
        runs_there = node == made.nodes[0]
        if (known := facts.known(node, DescribeNode)) is not None:
            answers[key] = spent(known, template, memory=memory if runs_there else 0, disk=disk)
    return replace(facts, answers=answers)


def consult(
    op: AllocateInstances, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Ask an allocator for places for those for which no nodes are named."""
    _require_sense(op)
    wanted: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, each in enumerate(op.instances):
        if not _placed(each):
            try:
                wanted.append(create.allocation(each, state, facts.busy))
            except Invalid as e:
                problems += _inside(number, e)
    if problems:
        raise Invalid(problems)
    if not wanted:
        return None
    return consultation(op.iallocator, {"type": "multi-allocate", "instances": wanted}, state)


def _advised(
    op: AllocateInstances, state: ClusterState, facts: NodeAnswers
) -> Mapping[str, tuple[Node, ...]] | None:
    """The nodes that an external allocator has chosen, by instance; None if none was asked.

    :raises Refused: its answer cannot be understood.
    """
    if facts.advice is None:
        return None
    name, found = facts.advice.name, {}
    match advised_result(facts):
        case [list(placed), list()]:
            pass
        case _:
            raise Refused(f"allocator {name} did not answer with places", Code.ENVIRONMENT)
    for each in placed:
        match each:
            case [str(instance), list(nodes)]:
                found[instance] = tuple(_node(str(node), name, state) for node in nodes)
            case _:
                raise Refused(f"allocator {name} says {each} of an instance", Code.ENVIRONMENT)
    return found


def _node(node: str, allocator: str, state: ClusterState) -> Node:
    try:
        return state.node(node)
    except Refused as e:
        raise Refused(f"allocator {allocator}: {e}", Code.ENVIRONMENT) from None


async def run(plan: MultiAllocation, tools: Tools) -> dict[str, Any]:
    for name, reason in plan.failed:
        tools.progress.say(f"there is no place for {name}: {reason}")
    submitted = await tools.submit([(job,) for job in plan.jobs]) if plan.jobs else []
    return _result(plan, [list(row) for row in submitted])


def preview(plan: MultiAllocation) -> dict[str, Any]:
    """What a dry run shows: the result without jobs, where each would go, and why others not."""
    pairs = zip(plan.jobs, plan.nodes, strict=True)
    return {
        **_result(plan, []),
        "nodes": {job.instance_name: [node.name for node in nodes] for job, nodes in pairs},
        "reasons": dict(plan.failed),
    }


def _result(plan: MultiAllocation, jobs: list[Any]) -> dict[str, Any]:
    """What clients expect, whether jobs were submitted or not."""
    return {
        "jobs": jobs,
        "allocatable": [job.instance_name for job in plan.jobs],
        "failed": [name for name, _ in plan.failed],
    }


OPERATION = Operation(AllocateInstances, plan, run, questions, preview=preview, consult=consult)
