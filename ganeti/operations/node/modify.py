# SPDX-License-Identifier: BSD-2-Clause
"""Changing the role, flags and parameters of a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.networks import keep_from_pools
from ganeti.config.changes.nodes import FLAGS, set_role
from ganeti.config.changes.nodes import certificate_of as recorded_certificate
from ganeti.config.changes.objects import together, update
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node, Role
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import checked
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.member_list import enforce_members, replace_secrets
from ganeti.operations.name_rules import require_address, require_node_addresses
from ganeti.operations.node.add import certificate_of
from ganeti.operations.operation import HookCall, NodeAnswers, Operation, Tools
from ganeti.schema.records import replace

_SETTINGS = frozenset(ModifyNode.__struct_fields__) - {
    *("node_name", "node_uuid", "force", "auto_promote", "hv_state", "disk_state"),
    *Opcode.__struct_fields__,
}
_FLAGS = {
    "master_candidate": Role.CANDIDATE,
    "drained": Role.DRAINED,
    "offline": Role.OFFLINE,
}


@dataclass(frozen=True)
class NodeModification:
    """A node with its new role, and the other fields that change."""

    node: Node
    role: Role
    was: Role
    promoted: tuple[Node, ...]
    fields: dict[str, Any]

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[node_lock(each.uuid) for each in (self.node, *self.promoted)])


def plan(op: ModifyNode, state: ClusterState, facts: NodeAnswers) -> NodeModification:
    """Decide what the node becomes, or refuse."""
    node = state.node(op.node_uuid or op.node_name)
    if all(getattr(op, name) is None for name in _SETTINGS):
        raise Refused("no changes requested; give at least one parameter", Code.INPUT)
    require_address(op.secondary_ip, "secondary_ip")
    was = node.role(state.cluster.master_node)
    role = _new_role(op, node, was)
    if was is Role.MASTER and role is not Role.MASTER:
        raise Refused(
            f"node {node.name} is the master; make another node the master first: "
            "gnt-cluster master-failover"
        )
    if was is Role.OFFLINE and role is not was:
        _require_certificate(node, state)
    if role is Role.CANDIDATE and not _stays(op.master_capable, node.master_capable):
        raise Refused(f"node {node.name} is not master capable, so it cannot be a candidate")
    living = [each.name for each in (*state.primaries_on(node), *state.secondaries_on(node))]
    if op.vm_capable is False and living:
        raise Refused(
            f"node {node.name} still has instances: {', '.join(sorted(living))}; "
            f"move them away first: gnt-node evacuate {node.name}"
        )
    if op.secondary_ip is not None:
        require_node_addresses(replace(node, secondary_ip=op.secondary_ip), state)
    promoted = _promoted(op, node, was, role, state)
    fields: dict[str, Any] = {
        name: getattr(op, name)
        for name in ("master_capable", "vm_capable", "secondary_ip", "powered")
        if getattr(op, name) is not None
    }
    if op.ndparams is not None:
        fields["ndparams"] = checked(
            NodeParameters, op.ndparams, path="ndparams", onto=node.ndparams, for_one=True
        )
    return NodeModification(node, role, was, promoted, fields)


def _require_certificate(node: Node, state: ClusterState) -> None:
    if state.authorities is not None and recorded_certificate(state, node) is None:
        raise Refused(
            f"node {node.name} was offline when the cluster's certificate authority was replaced,"
            " so its certificate is not valid any more; let it join again: gnt-node add --readd"
            f" {node.name}"
        )


def _stays(given: bool | None, before: bool) -> bool:
    return before if given is None else given


def _new_role(op: ModifyNode, node: Node, was: Role) -> Role:
    asked = {name: getattr(op, name) for name in _FLAGS}
    wanted = [_FLAGS[name] for name, value in asked.items() if value]
    if len(wanted) > 1:
        raise Refused("a node is at most one of master candidate, drained and offline", Code.INPUT)
    if wanted:
        return was if was is Role.MASTER and wanted[0] is Role.CANDIDATE else wanted[0]
    ended = {_FLAGS[name] for name, value in asked.items() if value is False}
    return Role.REGULAR if was in ended else was


def _promoted(
    op: ModifyNode, node: Node, was: Role, role: Role, state: ClusterState
) -> tuple[Node, ...]:
    """Nodes that become candidates because this one ceases to be one."""
    if was is not Role.CANDIDATE or role is Role.CANDIDATE:
        return ()
    left = [n for n in state.nodes.values() if n.master_candidate and n.uuid != node.uuid]
    able = [
        each
        for each in sorted(state.nodes.values(), key=lambda each: each.name)
        if each.uuid != node.uuid
        and each.master_capable
        and each.role(state.cluster.master_node) is Role.REGULAR
    ]
    missing = min(state.cluster.candidate_pool_size - len(left), len(able))
    if missing <= 0:
        return ()
    if op.auto_promote:
        return tuple(able[:missing])
    if op.force:
        return ()
    raise Refused(
        f"without {node.name} the cluster has too few master candidates, and "
        f"{able[0].name} could be one; use --auto-promote, or --force to have fewer"
    )


async def run(plan: NodeModification, tools: Tools) -> list[list[Any]]:
    state = tools.config.state()
    changes = [update(plan.node, **plan.fields)] if plan.fields else []
    if "secondary_ip" in plan.fields:
        changes.append(keep_from_pools(plan.fields["secondary_ip"]))
    result: list[list[Any]] = [[name, value] for name, value in plan.fields.items()]
    if plan.role is not plan.was:
        certificate = None
        if plan.role is Role.CANDIDATE:
            # As a candidate it is not offline any more.
            certificate = await _recorded(replace(plan.node, offline=False), state, tools)
        changes.append(set_role(plan.node, plan.role, certificate))
        result += [
            [name, str(plan.role is flag)]
            for name, flag in _FLAGS.items()
            if flag in (plan.role, plan.was)
        ]
    for each in plan.promoted:
        changes.append(set_role(each, Role.CANDIDATE, await _recorded(each, state, tools)))
        tools.progress.say(f"node {each.name} becomes a master candidate")
    await tools.config.change(together(*changes))
    if plan.role is not plan.was:
        await enforce_members(tools)
    if plan.was is Role.CANDIDATE and plan.role is Role.OFFLINE:
        tools.progress.say(
            f"node {plan.node.name} keeps the secrets of a candidate until it is back; if it fell"
            " into other hands, remove it from the cluster"
        )
    elif plan.was is Role.CANDIDATE and plan.role is not Role.CANDIDATE:
        await replace_secrets(plan.node.name, tools)
    return result


async def _recorded(node: Node, state: ClusterState, tools: Tools) -> str:
    """The fingerprint of a node's certificate; one of which none is recorded is asked."""
    return recorded_certificate(state, node) or await certificate_of(node, state, tools)


def hooks(plan: NodeModification, state: ClusterState) -> HookCall:
    candidate, offline, drained = FLAGS[plan.role]
    node = replace(
        plan.node,
        master_candidate=candidate,
        offline=offline,
        drained=drained,
        **plan.fields,
    )
    environment = {
        "OP_TARGET": node.name,
        "MASTER_CANDIDATE": str(node.master_candidate),
        "OFFLINE": str(node.offline),
        "DRAINED": str(node.drained),
        "MASTER_CAPABLE": str(node.master_capable),
        "VM_CAPABLE": str(node.vm_capable),
    }
    master = [state.cluster.master_node]
    # A node that goes offline may be dead already, and is not contacted afterwards either.
    here = master if plan.role is Role.OFFLINE else [*master, node.uuid]
    return HookCall("node-modify", "NODE", environment, here, here)


OPERATION = Operation(ModifyNode, plan, run, hooks=hooks)
