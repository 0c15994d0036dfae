# SPDX-License-Identifier: BSD-2-Clause
"""Node groups come, change their settings, name and members, and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.objects import add, remove, together, update
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, group_lock, node_lock, request
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.node import Node
from ganeti.model.parameters.filling import policy_filled
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import checked, consistent
from ganeti.model.parameters.policy import Policy
from ganeti.opcodes.group import AddGroup, AssignNodes, ModifyGroup, RemoveGroup, RenameGroup
from ganeti.operations.cluster.settings import disk_parameters
from ganeti.operations.name_rules import require_label
from ganeti.operations.operation import HookCall, NodeAnswers, Operation, ResultWithCommit, Tools
from ganeti.rpc.node import HookDirectory
from ganeti.schema.records import replace

_SETTINGS = ("alloc_policy", "ndparams", "diskparams", "ipolicy")
_EMPTY: dict[str, Any] = {"ndparams": {}, "ipolicy": {}, "diskparams": {}}


@dataclass(frozen=True)
class GroupEdit:
    """A change of the configuration, what is locked for it, and what the opcode answers."""

    change: Change
    locks: LockRequest
    result: Any = None
    hooks: HookCall | None = None


async def run(plan: GroupEdit, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(plan.result, plan.change)


def hooks(plan: GroupEdit, state: ClusterState) -> HookCall | None:
    return plan.hooks


def _hooks(
    directory: HookDirectory, state: ClusterState, more: dict[str, str], nodes: Sequence[str] = ()
) -> HookCall:
    here = [state.cluster.master_node, *nodes]
    return HookCall(directory, "GROUP", more, here, here)


def _require_free(name: str, path: str, state: ClusterState) -> None:
    require_label(name, path)
    if state.knows(RecordKind.GROUP, name):
        raise Refused(f"there is a node group named {name} already", Code.EXISTS)


def _settings(op: AddGroup | ModifyGroup, before: Group | None, state: ClusterState) -> Any:
    """The fields of the group's record that ``op`` sets.

    :raises Invalid: with every problem of the request.
    """
    was: dict[str, Any] = _EMPTY if before is None else {n: getattr(before, n) for n in _EMPTY}
    fields: dict[str, Any] = {}
    problems: list[Problem] = []

    def tried(name: str, read: Any) -> None:
        try:
            fields[name] = read()
        except Invalid as e:
            problems.extend(e.problems)

    if op.alloc_policy is not None:
        fields["alloc_policy"] = op.alloc_policy
    if (ndparams := op.ndparams) is not None:
        onto = was["ndparams"]
        tried("ndparams", lambda: checked(NodeParameters, ndparams, path="ndparams", onto=onto))
    if (diskparams := op.diskparams) is not None:
        tried("diskparams", lambda: disk_parameters(diskparams, was["diskparams"]))
    if op.ipolicy is not None:
        tried("ipolicy", lambda: _policy(op, was["ipolicy"], state))
    if problems:
        raise Invalid(problems)
    return fields


def _policy(op: AddGroup | ModifyGroup, before: Any, state: ClusterState) -> Any:
    found = checked(Policy, op.ipolicy or {}, path="ipolicy", onto=before, for_one=True)
    filled = {**policy_filled(state.cluster), **found}
    if filled["minmax"]:
        # The usual instance is that of the whole cluster, and need not be one for this group.
        filled["std"] = filled["minmax"][0]["min"]
    consistent(Policy, filled, path="ipolicy")
    return found


def plan_add(op: AddGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide what the new group is, or refuse."""
    _require_free(op.group_name, "group_name", state)
    fields = {
        **_EMPTY,
        "alloc_policy": AllocPolicy.PREFERRED,
        "networks": {},
        **_settings(op, None, state),
    }
    group = Group(
        uuid=facts.identity,
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        tags=(),
        name=op.group_name,
        **fields,
    )
    locks = request(exclusive=[group_lock(op.group_name), group_lock(group.uuid)])
    named = _hooks("group-add", state, {"GROUP_NAME": op.group_name})
    return GroupEdit(add(group), locks, hooks=named)


def plan_modify(op: ModifyGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide what changes of the group, or refuse."""
    group = state.group(op.group_name)
    fields = _settings(op, group, state)
    if not fields:
        raise Refused("no changes requested; give at least one parameter", Code.INPUT)
    policy = op.alloc_policy.value if op.alloc_policy else ""
    more = {"GROUP_NAME": group.name, "NEW_ALLOC_POLICY": policy}
    locks = request(exclusive=[group_lock(group.uuid)])
    changed = [[name, getattr(op, name)] for name in _SETTINGS if getattr(op, name) is not None]
    return GroupEdit(update(group, **fields), locks, changed, _hooks("group-modify", state, more))


def plan_rename(op: RenameGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide whether the group can have the name, or refuse."""
    group = state.group(op.group_name)
    if op.new_name != group.name:
        _require_free(op.new_name, "new_name", state)
    more = {"OLD_NAME": group.name, "NEW_NAME": op.new_name}
    members = [node.uuid for node in state.nodes_in(group)]
    return GroupEdit(
        update(group, name=op.new_name),
        request(exclusive=[group_lock(group.uuid)]),
        op.new_name,
        _hooks("group-rename", state, more, members),
    )


def plan_remove(op: RemoveGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide whether the group may go, or say what keeps it."""
    group = state.group(op.group_name)
    if members := sorted(node.name for node in state.nodes_in(group)):
        raise Refused(
            f"node group {group.name} has nodes: {', '.join(members)}; give them to another "
            f"group first: gnt-group assign-nodes GROUP {' '.join(members)}"
        )
    if len(state.groups) == 1:
        raise Refused(f"node group {group.name} is the only one; there must be one")
    more = {"GROUP_NAME": group.name}
    locks = request(exclusive=[group_lock(group.uuid)])
    return GroupEdit(remove(group), locks, hooks=_hooks("group-remove", state, more))


def plan_assign(op: AssignNodes, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide which nodes change their group, or refuse what would split instances."""
    group = state.group(op.group_name)
    nodes = [state.node(name) for name in op.node_uuids or op.nodes]
    if not nodes:
        raise Refused(f"name the nodes to assign to group {group.name}", Code.INPUT)
    moved = [node for node in nodes if node.group != group.uuid]
    if not op.force and (split := _split(moved, group, state)):
        raise Refused(
            f"the mirrored disks of {', '.join(split)} would be split over two groups; assign "
            "the other nodes of these instances as well, or use --force"
        )
    locks = request(
        shared=[group_lock(uuid) for uuid in {group.uuid, *(node.group for node in moved)}],
        exclusive=[node_lock(node.uuid) for node in moved],
    )
    changes = [update(node, group=group.uuid) for node in moved]
    return GroupEdit(together(*changes), locks)


def _split(moved: Sequence[Node], group: Group, state: ClusterState) -> list[str]:
    """The instances whose disks would be in two groups, and are not now."""
    after = {node.uuid: replace(node, group=group.uuid) for node in moved}
    found = set()
    for node in moved:
        for instance in (*state.primaries_on(node), *state.secondaries_on(node)):
            uuids = (instance.primary_node, *state.secondaries_of(instance))
            were = {state.nodes[uuid].group for uuid in uuids}
            will = {after.get(uuid, state.nodes[uuid]).group for uuid in uuids}
            if len(will) > 1 and len(were) == 1:
                found.add(instance.name)
    return sorted(found)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(AddGroup, plan_add, run, hooks=hooks),
    Operation(ModifyGroup, plan_modify, run, hooks=hooks),
    Operation(RenameGroup, plan_rename, run, hooks=hooks),
    Operation(RemoveGroup, plan_remove, run, hooks=hooks),
    Operation(AssignNodes, plan_assign, run),
)
