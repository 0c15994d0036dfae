# SPDX-License-Identifier: BSD-2-Clause
"""The operation that replaces one side of mirrored disks, on the same or another node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.operations.allocation.candidates import candidates, storage_units
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.allocation.iallocator import advised, make_request
from ganeti.operations.allocation.scoring import against, choose
from ganeti.operations.allocation.sizes import make_placement
from ganeti.operations.allocation.target_node import get_template, relocation, require_usable
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_finally
from ganeti.operations.instance.disks.mirror_rebuild import (
    MirrorRebuild,
    MirrorRelocation,
    rebuild_copies,
    relocate_copies,
)
from ganeti.operations.instance.disks.mirrors import check_current, find_outdated, mirror_queries
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
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
_NO_CURRENT_COPY = "without them the other copies cannot be rebuilt"


@dataclass(frozen=True)
class ReplacementPlan:
    """Disks of an instance, and the node where their copies are rebuilt.

    ``new`` is true if the node has none of them yet.
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
    subject = _get_mirrored_context(op, state)
    found = presence_queries(subject, state)
    if subject.instance.disks_active:
        found += mirror_queries(state, subject.instance, subject.disks, subject.nodes)
    if op.mode is ReplacementMode.NEW_SECONDARY:
        nodes = [node for node in _eligible_nodes(op, subject, state) if not node.offline]
        found.append(NodeQuery(nodes, DescribeNode(hypervisors=(), storage=_storage_units(state))))
    return found


def _storage_units(state: ClusterState) -> tuple[tuple[str, str], ...]:
    return storage_units(state.cluster)


def _get_mirrored_context(op: ReplaceDisks, state: ClusterState) -> InstanceContext:
    subject = subject_of(op, state)
    template = get_template(subject)
    if template not in MIRRORED_TEMPLATES or not subject.secondaries:
        raise Refused(
            f"instance {subject.instance.name} has {template.value} disks, which have no second "
            "copy to replace",
            Code.INPUT,
        )
    return subject


def _eligible_nodes(op: ReplaceDisks, subject: InstanceContext, state: ClusterState) -> list[Node]:
    """Return the nodes that may become the new secondary node."""
    named = op.remote_node_uuid or op.remote_node
    if named is not None:
        return [state.node(named)]
    group = state.groups[subject.primary.group]
    return [node for node in state.list_nodes(group) if node not in subject.nodes]


def plan(op: ReplaceDisks, state: ClusterState, facts: NodeAnswers) -> ReplacementPlan:
    """Plan the copies to replace and their node."""
    subject = _get_mirrored_context(op, state)
    _validate(op)
    disks = _requested_disks(op, subject)
    check_online(subject.primary, "its copies of the disks are unavailable")
    check_nowhere_else(determine_presence(subject, state, facts))
    active = subject.instance.disks_active
    match op.mode:
        case ReplacementMode.AUTO:
            return _plan_automatic(op, subject, facts)
        case ReplacementMode.NEW_SECONDARY:
            if active:
                check_current(subject.primary, subject.disks, facts, _NO_CURRENT_COPY)
            target = _choose_secondary(op, subject, state, facts)
            return ReplacementPlan(op, subject, subject.disks, target, new=True)
        case ReplacementMode.ON_PRIMARY:
            node, other = subject.primary, subject.secondaries[0]
        case ReplacementMode.ON_SECONDARY:
            node, other = subject.secondaries[0], subject.primary
    for each in subject.nodes:
        check_online(each, "its copies of the disks are unavailable")
    if active:
        check_current(other, subject.disks, facts, _NO_CURRENT_COPY)
    return ReplacementPlan(op, subject, disks, node)


def _validate(op: ReplaceDisks) -> None:
    """Check that the parameters match the mode.

    :raises Refused: they do not.
    """
    named = [
        name for name in ("remote_node", "remote_node_uuid", "iallocator") if getattr(op, name)
    ]
    if op.mode is ReplacementMode.NEW_SECONDARY:
        if not named:
            raise Refused(
                "give the new secondary node (remote_node) or an iallocator",
                Code.INPUT,
            )
        if op.iallocator and len(named) > 1:
            raise Refused("give either the new secondary node or an iallocator", Code.INPUT)
        if op.disks:
            raise Refused("a new secondary node gets all disks; omit the disks", Code.INPUT)
    elif named:
        raise Refused(
            f"{named[0]} is only valid for mode {ReplacementMode.NEW_SECONDARY}", Code.INPUT
        )
    if op.mode is ReplacementMode.AUTO and op.disks:
        raise Refused("mode replace_auto detects faulty disks; omit the disks", Code.INPUT)


def _requested_disks(op: ReplaceDisks, subject: InstanceContext) -> tuple[Disk, ...]:
    count = len(subject.disks)
    if beyond := [index for index in op.disks if index >= count]:
        raise Refused(
            f"disk {', '.join(map(str, beyond))} does not exist; instance {subject.instance.name}"
            f" has {count} disks, from 0",
            Code.INPUT,
        )
    indexes = sorted(set(op.disks)) or range(count)
    return tuple(subject.disks[index] for index in indexes)


def _plan_automatic(
    op: ReplaceDisks, subject: InstanceContext, facts: NodeAnswers
) -> ReplacementPlan:
    """Plan the replacement of the only faulty side."""
    if not subject.instance.disks_active:
        raise Refused(
            f"the disks of instance {subject.instance.name} are not active, so faulty ones cannot "
            f"be detected; first run: gnt-instance activate-disks {subject.instance.name}"
        )
    found: list[tuple[Node, tuple[Disk, ...]]] = []
    for node in subject.nodes:
        check_online(node, "its copies cannot be checked; replace it by a new secondary node")
        broken = find_outdated(node, subject.disks, facts)
        if disks := tuple(disk for disk, word in broken if word in _BROKEN):
            found.append((node, disks))
    if len(found) > 1:
        raise Refused(
            f"disks of instance {subject.instance.name} are faulty on both nodes; replace one side "
            "after the other explicitly"
        )
    if not found:
        return ReplacementPlan(op, subject, (), subject.primary)
    [(node, disks)] = found
    return ReplacementPlan(op, subject, disks, node)


def _choose_secondary(
    op: ReplaceDisks, subject: InstanceContext, state: ClusterState, facts: NodeAnswers
) -> Node:
    instance, nodes = subject.instance, _eligible_nodes(op, subject, state)
    away = [node.uuid for node in subject.nodes]
    wish = make_placement(instance, subject.disks, state, away_from=away, runs_there=False)
    known = candidates(nodes, wish.template, state, lambda node: facts.known(node, DescribeNode))
    if op.remote_node_uuid or op.remote_node:
        [node] = nodes
        if node in subject.nodes:
            raise Refused(f"instance {instance.name} is already on node {node.name}", Code.INPUT)
        require_usable(node, f"instance {instance.name} cannot have copies there")
        facts.answer_of(node, DescribeNode)
        if (reason := against(wish, known[0])) is not None:
            raise Refused(
                f"node {node.name} cannot host instance {instance.name}: it {reason}",
                Code.RESOURCES,
            )
    elif (chosen := advised(facts, 1, state)) is not None:
        [node] = chosen
        if node in subject.nodes:
            raise Refused(
                f"instance {instance.name} is already on node {node.name}", Code.ENVIRONMENT
            )
    else:
        node = choose(wish, known).nodes[0]
    require_group(node, subject, subject.disks, state, ignore_ipolicy=op.ignore_ipolicy)
    return node


def request_allocation(
    op: ReplaceDisks, state: ClusterState, facts: NodeAnswers
) -> IAllocatorRequest | None:
    """Return the request to the iallocator for a new secondary node, if one is given."""
    if op.mode is not ReplacementMode.NEW_SECONDARY or op.iallocator is None:
        return None
    subject = _get_mirrored_context(op, state)
    return make_request(op.iallocator, relocation(subject, subject.secondaries), state)


async def run(plan: ReplacementPlan, tools: Tools) -> None:
    instance, disks = plan.subject.instance, plan.subject.disks
    if not plan.disks:
        tools.progress.log_message(f"instance {instance.name} has no faulty disks; nothing to do")
        return
    try:
        if not instance.disks_active:
            state = tools.config.state()
            await attach_disks(state, instance, disks, tools, ignore_secondaries=True)
        if plan.new:
            [old] = plan.subject.secondaries
            relocation = MirrorRelocation(
                instance, plan.disks, plan.subject.primary, old, plan.node
            )
            await relocate_copies(relocation, plan.op.early_release, tools)
        else:
            [other] = [node for node in plan.subject.nodes if node != plan.node]
            rebuilding = MirrorRebuild(instance, plan.disks, plan.node, other)
            await rebuild_copies(rebuilding, plan.op.early_release, tools)
    finally:
        if not instance.disks_active:
            # The disks as they are now: they may have been moved to another node.
            now = tools.config.state()
            current = now.instances[instance.uuid]
            await detach_finally(now, current, now.get_disks(current), tools)


def hooks(plan: ReplacementPlan, state: ClusterState) -> HookCall:
    old = " ".join(node.name for node in plan.subject.secondaries)
    more = {
        "MODE": plan.op.mode.value,
        "OLD_SECONDARY": old,
        "NEW_SECONDARY": plan.node.name if plan.new else "",
    }
    here = [state.cluster.master_node, plan.subject.primary.uuid]
    here += [plan.node.uuid] if plan.new else []
    return instance_hooks("mirrors-replace", plan.subject, state, more, before=here, after=here)


OPERATION = Operation(
    ReplaceDisks, plan, run, questions, hooks, request_allocation=request_allocation
)
