# SPDX-License-Identifier: BSD-2-Clause
"""Building one side of an instance's mirrored disks anew, in place or on another node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.operations.allocation.candidates import candidates, storage_units
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.iallocator import advised, consultation
from ganeti.operations.allocation.scoring import against, choose
from ganeti.operations.allocation.sizes import placement_of
from ganeti.operations.allocation.target_node import relocation, require_usable, template_of
from ganeti.operations.instance.context import InstanceContext, require_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.disks.mirror_rebuild import (
    MirrorRebuild,
    Relocation,
    rebuild,
    relocate,
)
from ganeti.operations.instance.disks.mirrors import ask_about, broken_on, require_current
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.running_check import (
    presence,
    presence_questions,
    require_nowhere_else,
)
from ganeti.operations.operation import (
    HookCall,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Tools,
)
from ganeti.rpc.node import DescribeNode

_BROKEN = frozenset({"missing", "faulty"})
_CANNOT = "without them there is no current copy to build the others from"


@dataclass(frozen=True)
class Replace:
    """Disks of an instance, and the node on which their copies are built anew.

    ``new`` says that this node has none of them yet.
    """

    op: ReplaceDisks
    subject: InstanceContext
    disks: tuple[Disk, ...]
    node: Node
    new: bool = False

    @property
    def locks(self) -> LockRequest:
        return {**request(shared=[node_lock(self.node.uuid)]), **self.subject.locks}


def questions(op: ReplaceDisks, state: ClusterState) -> Sequence[NodeQuery]:
    subject = _mirrored(op, state)
    found = presence_questions(subject, state)
    if subject.instance.disks_active:
        found += ask_about(state, subject.instance, subject.disks, subject.nodes)
    if op.mode is ReplacementMode.NEW_SECONDARY:
        nodes = [node for node in _eligible(op, subject, state) if not node.offline]
        found.append(NodeQuery(nodes, DescribeNode(hypervisors=(), storage=_units(state))))
    return found


def _units(state: ClusterState) -> tuple[tuple[str, str], ...]:
    return storage_units(state.cluster)


def _mirrored(op: ReplaceDisks, state: ClusterState) -> InstanceContext:
    subject = subject_of(op, state)
    template = template_of(subject)
    if template not in MIRRORED_BETWEEN_NODES or not subject.secondaries:
        raise Refused(
            f"the disks of instance {subject.instance.name} are {template.value}, and have no "
            "second copy that could be replaced",
            Code.INPUT,
        )
    return subject


def _eligible(op: ReplaceDisks, subject: InstanceContext, state: ClusterState) -> list[Node]:
    """The nodes that may become the new secondary."""
    named = op.remote_node_uuid or op.remote_node
    if named is not None:
        return [state.node(named)]
    group = state.groups[subject.primary.group]
    return [node for node in state.nodes_in(group) if node not in subject.nodes]


def plan(op: ReplaceDisks, state: ClusterState, facts: NodeAnswers) -> Replace:
    """Decide which copies are built anew and where, or refuse."""
    subject = _mirrored(op, state)
    _check(op)
    disks = _wanted(op, subject)
    require_online(subject.primary, "its copies of the disks are out of reach")
    require_nowhere_else(presence(subject, state, facts))
    active = subject.instance.disks_active
    match op.mode:
        case ReplacementMode.AUTO:
            return _automatic(op, subject, facts)
        case ReplacementMode.NEW_SECONDARY:
            if active:
                require_current(subject.primary, subject.disks, facts, _CANNOT)
            target = _new_secondary(op, subject, state, facts)
            return Replace(op, subject, subject.disks, target, new=True)
        case ReplacementMode.ON_PRIMARY:
            node, other = subject.primary, subject.secondaries[0]
        case ReplacementMode.ON_SECONDARY:
            node, other = subject.secondaries[0], subject.primary
    for each in subject.nodes:
        require_online(each, "its copies of the disks are out of reach")
    if active:
        require_current(other, subject.disks, facts, _CANNOT)
    return Replace(op, subject, disks, node)


def _check(op: ReplaceDisks) -> None:
    """Refuse what the mode does not go with."""
    named = [
        name for name in ("remote_node", "remote_node_uuid", "iallocator") if getattr(op, name)
    ]
    if op.mode is ReplacementMode.NEW_SECONDARY:
        if not named:
            raise Refused(
                "name the new secondary node by remote_node, or an iallocator that chooses it",
                Code.INPUT,
            )
        if op.iallocator and len(named) > 1:
            raise Refused("name either the new secondary node or an allocator", Code.INPUT)
        if op.disks:
            raise Refused("a new secondary node takes all disks; name none of them", Code.INPUT)
    elif named:
        raise Refused(f"{named[0]} goes with {ReplacementMode.NEW_SECONDARY} only", Code.INPUT)
    if op.mode is ReplacementMode.AUTO and op.disks:
        raise Refused("which disks are broken is found out; name none of them", Code.INPUT)


def _wanted(op: ReplaceDisks, subject: InstanceContext) -> tuple[Disk, ...]:
    count = len(subject.disks)
    if beyond := [index for index in op.disks if index >= count]:
        raise Refused(
            f"instance {subject.instance.name} has {count} disks, from 0 on; there is no disk "
            f"{', '.join(map(str, beyond))}",
            Code.INPUT,
        )
    indexes = sorted(set(op.disks)) or range(count)
    return tuple(subject.disks[index] for index in indexes)


def _automatic(op: ReplaceDisks, subject: InstanceContext, facts: NodeAnswers) -> Replace:
    """Find the one side that is broken."""
    if not subject.instance.disks_active:
        raise Refused(
            f"the disks of instance {subject.instance.name} are not active, so that nobody knows "
            f"which are broken; first: gnt-instance activate-disks {subject.instance.name}"
        )
    found: list[tuple[Node, tuple[Disk, ...]]] = []
    for node in subject.nodes:
        require_online(
            node, "its copies cannot be looked at; use a new secondary node instead of it"
        )
        broken = broken_on(node, subject.disks, facts)
        if disks := tuple(disk for disk, word in broken if word in _BROKEN):
            found.append((node, disks))
    if len(found) > 1:
        raise Refused(
            f"disks of instance {subject.instance.name} are broken on both of its nodes; say "
            "which to replace, one side after the other"
        )
    if not found:
        return Replace(op, subject, (), subject.primary)
    [(node, disks)] = found
    return Replace(op, subject, disks, node)


def _new_secondary(
    op: ReplaceDisks, subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> Node:
    instance, nodes = subject.instance, _eligible(op, subject, state)
    away = [node.uuid for node in subject.nodes]
    wish = placement_of(instance, subject.disks, state, away_from=away, runs_there=False)
    known = candidates(nodes, wish.template, state, lambda node: facts.known(node, DescribeNode))
    if op.remote_node_uuid or op.remote_node:
        [node] = nodes
        if node in subject.nodes:
            raise Refused(f"instance {instance.name} is on {node.name} already", Code.INPUT)
        require_usable(node, f"instance {instance.name} cannot have its copies there")
        facts.of(node, DescribeNode)
        if (reason := against(wish, known[0])) is not None:
            raise Refused(
                f"node {node.name} cannot take instance {instance.name}: it {reason}",
                Code.RESOURCES,
            )
    elif (chosen := advised(facts, 1, state)) is not None:
        [node] = chosen
        if node in subject.nodes:
            raise Refused(f"instance {instance.name} is on {node.name} already", Code.ENVIRONMENT)
    else:
        node = choose(wish, known).nodes[0]
    require_group(node, subject, subject.disks, state, ignore_ipolicy=op.ignore_ipolicy)
    return node


def consult(op: ReplaceDisks, state: ClusterState, facts: NodeAnswers) -> IAllocatorRequest | None:
    """Ask an allocator for the new secondary node, if that is what it is to choose."""
    if op.mode is not ReplacementMode.NEW_SECONDARY or op.iallocator is None:
        return None
    subject = _mirrored(op, state)
    return consultation(op.iallocator, relocation(subject, subject.secondaries), state)


async def run(plan: Replace, tools: Tools) -> None:
    instance, disks = plan.subject.instance, plan.subject.disks
    if not plan.disks:
        tools.progress.say(f"no disk of {instance.name} is broken; there is nothing to do")
        return
    if not instance.disks_active:
        state = tools.config.state()
        await attach_disks(state, instance, disks, tools, ignore_secondaries=True)
    try:
        if plan.new:
            [old] = plan.subject.secondaries
            relocation = Relocation(instance, plan.disks, plan.subject.primary, old, plan.node)
            await relocate(relocation, plan.op.early_release, tools)
        else:
            [other] = [node for node in plan.subject.nodes if node != plan.node]
            rebuilding = MirrorRebuild(instance, plan.disks, plan.node, other)
            await rebuild(rebuilding, plan.op.early_release, tools)
    finally:
        if not instance.disks_active:
            now = tools.config.state()
            current = now.instances[instance.uuid]
            await detach_disks(now, current, now.disks_of(current), tools)


def hooks(plan: Replace, state: ClusterState) -> HookCall:
    old = " ".join(node.name for node in plan.subject.secondaries)
    more = {
        "MODE": plan.op.mode.value,
        "OLD_SECONDARY": old,
        "NEW_SECONDARY": plan.node.name if plan.new else "",
    }
    here = [state.cluster.master_node, plan.subject.primary.uuid]
    here += [plan.node.uuid] if plan.new else []
    return instance_hooks("mirrors-replace", plan.subject, state, more, before=here, after=here)


OPERATION = Operation(ReplaceDisks, plan, run, questions, hooks, consult=consult)
