# SPDX-License-Identifier: BSD-2-Clause
"""Choice of the target node of a move, depending on the instance's disks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES, Template
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.operations.allocation.candidates import ON_PAPER, candidates, storage_units
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.iallocator import advised, make_request
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.allocation.scoring import choose
from ganeti.operations.allocation.sizes import make_placement, size_of
from ganeti.operations.instance.context import (
    InstanceContext,
    InstanceOpcode,
    check_online,
    subject_of,
)
from ganeti.operations.instance.disks.mirrors import mirror_queries
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery
from ganeti.rpc.node import DescribeNode


class MoveOpcode(InstanceOpcode, Protocol):
    """An opcode that moves an instance to another node."""

    @property
    def target_node(self) -> str | None: ...

    @property
    def target_node_uuid(self) -> str | None: ...

    @property
    def iallocator(self) -> str | None: ...

    @property
    def ignore_ipolicy(self) -> bool: ...


def get_template(subject: InstanceContext) -> Template:
    """Return the template of the instance's disks."""
    return subject.disks[0].dev_type if subject.disks else Template.DISKLESS


NOTHING_COPIED: Collection[Template] = ()


def possible(
    op: MoveOpcode,
    subject: InstanceContext,
    state: ClusterState,
    copied: Collection[Template] = NOTHING_COPIED,
) -> list[Node]:
    """Return the nodes that the instance's disks allow as targets.

    Disks of the templates ``copied`` are copied, and so can be anywhere.

    :raises Refused: there are none, or the requested one is not among them.
    """
    instance, template = subject.instance, get_template(subject)
    named = op.target_node_uuid or op.target_node
    if named is not None and op.iallocator is not None:
        raise Refused("give either a target node or an iallocator, not both", Code.INPUT)
    target = None if named is None else state.node(named)
    if target is not None and target.uuid == subject.primary.uuid:
        raise Refused(f"instance {instance.name} is already on node {target.name}", Code.INPUT)
    if template in MIRRORED_TEMPLATES:
        if target is not None and target not in subject.secondaries:
            others = ", ".join(node.name for node in subject.secondaries)
            raise Refused(
                f"instance {instance.name} can only move to its secondary node {others}; to use "
                f"{target.name} instead, replace the secondary node first: "
                f"gnt-instance replace-disks -n {target.name} {instance.name}",
                Code.INPUT,
            )
        return list(subject.secondaries)
    if template not in SHARED_TEMPLATES and template not in copied:
        raise Refused(
            f"the {template.value} disks of instance {instance.name} are only on node "
            f"{subject.primary.name}; to stop it and copy them to another node: "
            f"gnt-instance move -n NODE {instance.name}"
        )
    if target is not None:
        return [target]
    group = state.groups[subject.primary.group]
    return [node for node in state.list_nodes(group) if node.uuid != subject.primary.uuid]


def move_queries(
    op: MoveOpcode,
    subject: InstanceContext,
    state: ClusterState,
    copied: Collection[Template] = NOTHING_COPIED,
) -> list[NodeQuery]:
    """Return the queries for the instance's node and its possible targets."""
    nodes = possible(op, subject, state, copied)
    online = [node for node in (subject.primary, *nodes) if not node.offline]
    storage = storage_units(state.cluster) if get_template(subject) in copied else ()
    asked = DescribeNode(hypervisors=(subject.instance.hypervisor,), storage=storage)
    copies: Sequence[Node] = nodes if subject.instance.disks_active else ()
    return [
        NodeQuery(online, asked),
        *mirror_queries(state, subject.instance, subject.disks, copies),
    ]


def destination(
    op: MoveOpcode,
    subject: InstanceContext,
    state: ClusterState,
    facts: NodeAnswers,
    runs_with: GuestState | None = None,
    copied: Collection[Template] = NOTHING_COPIED,
) -> Node:
    """Choose the target node.

    ``runs_with`` is the state of a guest that keeps running: its running memory and processors
    count there, not those that are configured for its next start.

    :raises Refused: no node is suitable; the message has the reason for each.
    """
    instance = subject.instance
    nodes = possible(op, subject, state, copied)
    if len(nodes) == 1 and (op.target_node or op.target_node_uuid or subject.secondaries):
        [node] = nodes
        require_usable(node, f"instance {instance.name} cannot move there")
        facts.answer_of(node, DescribeNode)
    elif (chosen := advised(facts, 1, state)) is not None:
        [node] = chosen
        if node not in nodes:
            raise Refused(
                f"the iallocator chose node {node.name}, where instance {instance.name} cannot"
                f" move; possible: {', '.join(sorted(each.name for each in nodes))}",
                Code.ENVIRONMENT,
            )
    else:
        wish = make_placement(instance, subject.disks, state, away_from=[subject.primary.uuid])
        if runs_with is not None:
            vcpus = 0 if instance.hypervisor in ON_PAPER else runs_with.vcpus
            wish = replace(wish, memory=runs_with.memory, vcpus=vcpus)
        size = None if op.ignore_ipolicy else size_of(instance, subject.disks, state)
        known = candidates(
            nodes,
            wish.template,
            state,
            lambda node: facts.known(node, DescribeNode),
            size=size,
        )
        node = choose(wish, known).nodes[0]
    require_group(node, subject, subject.disks, state, ignore_ipolicy=op.ignore_ipolicy)
    return node


def request_move_allocation(
    op: MoveOpcode, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator for a target, if its disks leave a choice.

    A given target node or a secondary node leaves none.
    """
    subject = subject_of(op, state)
    if subject.secondaries or op.target_node or op.target_node_uuid:
        return None
    request = relocation(subject, [subject.primary])
    return make_request(op.iallocator, request, state)


def relocation(subject: InstanceContext, away_from: Sequence[Node]) -> dict[str, object]:
    """Return the request to replace the nodes ``away_from``, in the form of the protocol."""
    sizes = [disk.size for disk in subject.disks]
    return {
        "type": "relocate",
        "name": subject.instance.name,
        "disk_space_total": compute_disk_space(get_template(subject), sizes),
        "required_nodes": 1,
        "relocate_from": [node.name for node in away_from],
    }


def require_usable(node: Node, what: str) -> None:
    """Check that a node accepts instances; ``what`` is the consequence for the message.

    :raises Refused: it is offline, drained, or not vm_capable.
    """
    check_online(node, what)
    if node.drained:
        raise Refused(
            f"node {node.name} is drained, so {what}; to use it again: "
            f"gnt-node modify --drained=no {node.name}"
        )
    if not node.vm_capable:
        raise Refused(
            f"node {node.name} is not vm_capable, so {what}; to change this: "
            f"gnt-node modify --vm-capable=yes {node.name}"
        )
