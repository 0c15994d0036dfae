# SPDX-License-Identifier: BSD-2-Clause
"""The node that an instance moves to, by what its disks allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, REACHED_FROM_ANYWHERE, Template
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.operations.allocation.candidates import candidates
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.iallocator import advised, consultation
from ganeti.operations.allocation.iallocator_protocol import disk_space
from ganeti.operations.allocation.scoring import choose
from ganeti.operations.allocation.sizes import placement_of, size_of
from ganeti.operations.instance.context import (
    AboutInstance,
    InstanceContext,
    require_online,
    subject_of,
)
from ganeti.operations.instance.disks.mirrors import ask_about
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery
from ganeti.rpc.node import DescribeNode


class MoveOpcode(AboutInstance, Protocol):
    """An opcode that moves an instance to another node."""

    @property
    def target_node(self) -> str | None: ...

    @property
    def target_node_uuid(self) -> str | None: ...

    @property
    def iallocator(self) -> str | None: ...

    @property
    def ignore_ipolicy(self) -> bool: ...


def template_of(subject: InstanceContext) -> Template:
    """What the subject's disks are made of."""
    return subject.disks[0].dev_type if subject.disks else Template.DISKLESS


def possible(op: MoveOpcode, subject: InstanceContext, state: ClusterState) -> list[Node]:
    """The nodes that the instance can move to as far as its disks are concerned.

    :raises Refused: there are none, or the one that is asked for is not among them.
    """
    instance, template = subject.instance, template_of(subject)
    named = op.target_node_uuid or op.target_node
    if named is not None and op.iallocator is not None:
        raise Refused("name either a target node or an allocator, not both", Code.INPUT)
    target = None if named is None else state.node(named)
    if target is not None and target.uuid == subject.primary.uuid:
        raise Refused(f"instance {instance.name} is on {target.name} already", Code.INPUT)
    if template in MIRRORED_BETWEEN_NODES:
        if target is not None and target not in subject.secondaries:
            others = ", ".join(node.name for node in subject.secondaries)
            raise Refused(
                f"instance {instance.name} has the second copy of its disks on {others}, and can "
                f"only move there; to have it on {target.name}: "
                f"gnt-instance replace-disks -n {target.name} {instance.name}",
                Code.INPUT,
            )
        return list(subject.secondaries)
    if template not in REACHED_FROM_ANYWHERE:
        raise Refused(
            f"the {template.value} disks of instance {instance.name} are only on "
            f"{subject.primary.name}; to stop it and copy them to another node: "
            f"gnt-instance move -n NODE {instance.name}"
        )
    if target is not None:
        return [target]
    group = state.groups[subject.primary.group]
    return [node for node in state.nodes_in(group) if node.uuid != subject.primary.uuid]


def move_questions(
    op: MoveOpcode, subject: InstanceContext, state: ClusterState
) -> list[NodeQuery]:
    """What has to be known of the instance's node and of those that it may move to."""
    nodes = possible(op, subject, state)
    online = [node for node in (subject.primary, *nodes) if not node.offline]
    asked = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    copies: Sequence[Node] = nodes if subject.instance.disks_active else ()
    return [
        NodeQuery(online, asked),
        *ask_about(state, subject.instance, subject.disks, copies),
    ]


def destination(
    op: MoveOpcode,
    subject: InstanceContext,
    state: ClusterState,
    facts: NodeAnswers,
    runs_with: GuestState | None = None,
) -> Node:
    """The node to move to.

    ``runs_with`` is of a guest that goes on running: what it has is needed there, whatever is
    configured for its next start.

    :raises Refused: there is none that will do; the message says why not, for each.
    """
    instance = subject.instance
    nodes = possible(op, subject, state)
    if len(nodes) == 1 and (op.target_node or op.target_node_uuid or subject.secondaries):
        [node] = nodes
        require_usable(node, f"instance {instance.name} cannot move there")
        facts.of(node, DescribeNode)
    elif (chosen := advised(facts, 1, state)) is not None:
        [node] = chosen
    else:
        wish = placement_of(instance, subject.disks, state, away_from=[subject.primary.uuid])
        if runs_with is not None:
            wish = replace(wish, memory=runs_with.memory, vcpus=runs_with.vcpus)
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


def consult_about_move(
    op: MoveOpcode, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Ask an allocator where the instance goes, if its disks leave a choice and nobody has made it.

    A target that is named, or a second copy of the disks, leaves none.
    """
    subject = subject_of(op, state)
    if subject.secondaries or op.target_node or op.target_node_uuid:
        return None
    request = relocation(subject, [subject.primary])
    return consultation(op.iallocator, request, state)


def relocation(subject: InstanceContext, away_from: Sequence[Node]) -> dict[str, Any]:
    """The request for another node instead of these, in the form of the allocators' protocol."""
    sizes = [disk.size for disk in subject.disks]
    return {
        "type": "relocate",
        "name": subject.instance.name,
        "disk_space_total": disk_space(template_of(subject), sizes),
        "required_nodes": 1,
        "relocate_from": [node.name for node in away_from],
    }


def require_usable(node: Node, what: str) -> None:
    """Refuse a node that takes no instances now; ``what`` says what it is needed for.

    :raises Refused: it is offline, drained, or not for instances at all.
    """
    require_online(node, what)
    if node.drained:
        raise Refused(
            f"node {node.name} is drained, so {what}; to use it again: "
            f"gnt-node modify --drained=no {node.name}"
        )
    if not node.vm_capable:
        raise Refused(
            f"node {node.name} does not take instances, so {what}; to let it: "
            f"gnt-node modify --vm-capable=yes {node.name}"
        )
