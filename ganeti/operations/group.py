# SPDX-License-Identifier: BSD-2-Clause
"""Operations that add, modify, rename and remove node groups and assign nodes to them."""

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
from ganeti.model.parameters.filling import fill_policy
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import check_consistency, checked
from ganeti.model.parameters.policy import Policy
from ganeti.opcodes.group import AddGroup, AssignNodes, ModifyGroup, RemoveGroup, RenameGroup
from ganeti.operations.cluster.settings import validate_diskparams
from ganeti.operations.name_rules import check_label
from ganeti.operations.operation import (
    AnyOperation,
    HookCall,
    NodeAnswers,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.operations.refusals import already_exists, nothing_to_change
from ganeti.rpc.node import HookDirectory
from ganeti.schema.records import FieldValues, replace

_SETTINGS = ("alloc_policy", "ndparams", "diskparams", "ipolicy")
_NO_SETTINGS: FieldValues = {"ndparams": {}, "ipolicy": {}, "diskparams": {}}


@dataclass(frozen=True)
class GroupEdit:
    """A change of the configuration with its locks, hooks and result."""

    change: Change
    locks: LockRequest
    result: object = None
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


def _check_name_unused(name: str, path: str, state: ClusterState) -> None:
    check_label(name, path)
    if state.knows(RecordKind.GROUP, name):
        raise already_exists(RecordKind.GROUP, name)


def _read_settings(op: AddGroup | ModifyGroup, before: Group | None, state: ClusterState) -> Any:
    """Return the fields of the group's record that ``op`` sets.

    :raises Invalid: with every problem of the request.
    """
    was: FieldValues = (
        _NO_SETTINGS if before is None else {n: getattr(before, n) for n in _NO_SETTINGS}
    )
    fields: FieldValues = {}
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
        tried("diskparams", lambda: validate_diskparams(diskparams, was["diskparams"]))
    if op.ipolicy is not None:
        tried("ipolicy", lambda: _read_policy(op, was["ipolicy"], state))
    if problems:
        raise Invalid(problems)
    return fields


def _read_policy(op: AddGroup | ModifyGroup, before: Any, state: ClusterState) -> Any:
    found = checked(Policy, op.ipolicy or {}, path="ipolicy", onto=before, for_one=True)
    filled = {**fill_policy(state.cluster), **found}
    if filled["minmax"]:
        # The standard instance belongs to the cluster, and need not fit the group's ranges.
        filled["std"] = filled["minmax"][0]["min"]
    check_consistency(Policy, filled, path="ipolicy")
    return found


def plan_add(op: AddGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the new group."""
    _check_name_unused(op.group_name, "group_name", state)
    fields = {
        **_NO_SETTINGS,
        "alloc_policy": AllocPolicy.PREFERRED,
        "networks": {},
        **_read_settings(op, None, state),
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
    """Plan the changes of the group."""
    group = state.group(op.group_name)
    fields = _read_settings(op, group, state)
    if not fields:
        raise nothing_to_change()
    policy = op.alloc_policy.value if op.alloc_policy else ""
    more = {"GROUP_NAME": group.name, "NEW_ALLOC_POLICY": policy}
    locks = request(exclusive=[group_lock(group.uuid)])
    changed = [[name, getattr(op, name)] for name in _SETTINGS if getattr(op, name) is not None]
    return GroupEdit(update(group, **fields), locks, changed, _hooks("group-modify", state, more))


def plan_rename(op: RenameGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the new name of the group, which must be unused."""
    group = state.group(op.group_name)
    if op.new_name != group.name:
        _check_name_unused(op.new_name, "new_name", state)
    more = {"OLD_NAME": group.name, "NEW_NAME": op.new_name}
    members = [node.uuid for node in state.list_nodes(group)]
    return GroupEdit(
        update(group, name=op.new_name),
        request(exclusive=[group_lock(group.uuid)]),
        op.new_name,
        _hooks("group-rename", state, more, members),
    )


def plan_remove(op: RemoveGroup, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the removal of the group, which must not have nodes."""
    group = state.group(op.group_name)
    if members := sorted(node.name for node in state.list_nodes(group)):
        raise Refused(
            f"node group {group.name} has nodes: {', '.join(members)}; assign them to another "
            f"group first: gnt-group assign-nodes GROUP {' '.join(members)}"
        )
    if len(state.groups) == 1:
        raise Refused(f"node group {group.name} is the last one and cannot be removed")
    more = {"GROUP_NAME": group.name}
    locks = request(exclusive=[group_lock(group.uuid)])
    return GroupEdit(remove(group), locks, hooks=_hooks("group-remove", state, more))


def plan_assign(op: AssignNodes, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the assignment of nodes; refuse to split mirrored instances unless forced."""
    group = state.group(op.group_name)
    nodes = [state.node(name) for name in op.node_uuids or op.nodes]
    if not nodes:
        raise Refused(f"give the nodes to assign to group {group.name}", Code.INPUT)
    moved = [node for node in nodes if node.group != group.uuid]
    if not op.force and (split := _find_split_instances(moved, group, state)):
        raise Refused(
            f"mirrored disks of {', '.join(split)} would be split over two groups; assign "
            "the other nodes of these instances, too, or use --force"
        )
    locks = request(
        shared=[group_lock(uuid) for uuid in {group.uuid, *(node.group for node in moved)}],
        exclusive=[node_lock(node.uuid) for node in moved],
    )
    changes = [update(node, group=group.uuid) for node in moved]
    return GroupEdit(together(*changes), locks)


def _find_split_instances(moved: Sequence[Node], group: Group, state: ClusterState) -> list[str]:
    """Return the names of instances whose disks would newly be in two groups."""
    after = {node.uuid: replace(node, group=group.uuid) for node in moved}
    found = set()
    for node in moved:
        for instance in (
            *state.list_primary_instances(node),
            *state.list_secondary_instances(node),
        ):
            uuids = (instance.primary_node, *state.get_secondaries(instance))
            were = {state.nodes[uuid].group for uuid in uuids}
            will = {after.get(uuid, state.nodes[uuid]).group for uuid in uuids}
            if len(will) > 1 and len(were) == 1:
                found.add(instance.name)
    return sorted(found)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddGroup, plan_add, run, hooks=hooks),
    Operation(ModifyGroup, plan_modify, run, hooks=hooks),
    Operation(RenameGroup, plan_rename, run, hooks=hooks),
    Operation(RemoveGroup, plan_remove, run, hooks=hooks),
    Operation(AssignNodes, plan_assign, run),
)
