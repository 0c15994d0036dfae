# SPDX-License-Identifier: BSD-2-Clause
"""The operation that changes the role, flags and parameters of a node."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.changes.authorities import was_candidate
from ganeti.config.changes.networks import keep_from_pools
from ganeti.config.changes.nodes import FLAGS, set_role
from ganeti.config.changes.nodes import certificate_of as recorded_certificate
from ganeti.config.changes.objects import together, update
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node, NodeRole
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import checked
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.member_list import distribute_member_list, replace_secrets
from ganeti.operations.name_rules import check_address, require_node_addresses
from ganeti.operations.node.add import certificate_of
from ganeti.operations.operation import HookCall, NodeAnswers, Operation, Tools
from ganeti.operations.refusals import nothing_to_change
from ganeti.schema.records import FieldValues, replace

_SETTINGS = frozenset(ModifyNode.__struct_fields__) - {
    *("node_name", "node_uuid", "force", "auto_promote", "hv_state", "disk_state"),
    *Opcode.__struct_fields__,
}
_FLAGS = {
    "master_candidate": NodeRole.CANDIDATE,
    "drained": NodeRole.DRAINED,
    "offline": NodeRole.OFFLINE,
}


@dataclass(frozen=True)
class NodeModification:
    """A node, its new role, and its other changed fields."""

    node: Node
    role: NodeRole
    was: NodeRole
    promoted: tuple[Node, ...]
    fields: FieldValues

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[node_lock(each.uuid) for each in (self.node, *self.promoted)])


def plan(op: ModifyNode, state: ClusterState, facts: NodeAnswers) -> NodeModification:
    """Plan the new role and fields of the node."""
    node = state.node(op.node_uuid or op.node_name)
    if all(getattr(op, name) is None for name in _SETTINGS):
        raise nothing_to_change()
    check_address(op.secondary_ip, "secondary_ip")
    was = node.role(state.cluster.master_node)
    role = _new_role(op, node, was)
    if was is NodeRole.MASTER and role is not NodeRole.MASTER:
        raise Refused(
            f"node {node.name} is the master; make another node the master first: "
            "gnt-cluster master-failover"
        )
    if was is NodeRole.OFFLINE and role is not was:
        _check_certificate(node, state)
    if role is NodeRole.CANDIDATE and not _new_or_old(op.master_capable, node.master_capable):
        raise Refused(f"node {node.name} is not master_capable and cannot be a master candidate")
    living = [
        each.name
        for each in (*state.list_primary_instances(node), *state.list_secondary_instances(node))
    ]
    if op.vm_capable is False and living:
        raise Refused(
            f"node {node.name} still has instances: {', '.join(sorted(living))}; "
            f"move them away first: gnt-node evacuate {node.name}"
        )
    if op.secondary_ip is not None:
        require_node_addresses(replace(node, secondary_ip=op.secondary_ip), state)
    promoted = _nodes_to_promote(op, node, was, role, state)
    fields: FieldValues = {
        name: getattr(op, name)
        for name in ("master_capable", "vm_capable", "secondary_ip", "powered")
        if getattr(op, name) is not None
    }
    if op.ndparams is not None:
        fields["ndparams"] = checked(
            NodeParameters, op.ndparams, path="ndparams", onto=node.ndparams, for_one=True
        )
    return NodeModification(node, role, was, promoted, fields)


def _check_certificate(node: Node, state: ClusterState) -> None:
    if state.authorities is not None and recorded_certificate(state, node) is None:
        raise Refused(
            f"node {node.name} was offline when the cluster's certificate authority was replaced,"
            f" so its certificate is no longer valid; readd it: gnt-node add --readd {node.name}"
        )


def _new_or_old(given: bool | None, before: bool) -> bool:
    return before if given is None else given


def _new_role(op: ModifyNode, node: Node, was: NodeRole) -> NodeRole:
    asked = {name: getattr(op, name) for name in _FLAGS}
    wanted = [_FLAGS[name] for name, value in asked.items() if value]
    if len(wanted) > 1:
        raise Refused("only one of master_candidate, drained and offline can be set", Code.INPUT)
    if wanted:
        # The master is always a candidate.
        return was if was is NodeRole.MASTER and wanted[0] is NodeRole.CANDIDATE else wanted[0]
    ended = {_FLAGS[name] for name, value in asked.items() if value is False}
    return NodeRole.REGULAR if was in ended else was


def _nodes_to_promote(
    op: ModifyNode, node: Node, was: NodeRole, role: NodeRole, state: ClusterState
) -> tuple[Node, ...]:
    """Return the nodes that become candidates to replace this one."""
    if was is not NodeRole.CANDIDATE or role is NodeRole.CANDIDATE:
        return ()
    left = [n for n in state.nodes.values() if n.master_candidate and n.uuid != node.uuid]
    able = [
        each
        for each in sorted(state.nodes.values(), key=lambda each: each.name)
        if each.uuid != node.uuid
        and each.master_capable
        and each.role(state.cluster.master_node) is NodeRole.REGULAR
    ]
    # Nodes that cannot be promoted are no reason to refuse.
    missing = min(state.cluster.candidate_pool_size - len(left), len(able))
    if missing <= 0:
        return ()
    if op.auto_promote:
        return tuple(able[:missing])
    if op.force:
        return ()
    raise Refused(
        f"without node {node.name} the cluster has too few master candidates; use --auto-promote "
        f"to promote {able[0].name}, or --force to accept fewer"
    )


async def run(plan: NodeModification, tools: Tools) -> list[list[object]]:
    state = tools.config.state()
    held = plan.was is NodeRole.CANDIDATE or was_candidate(state, plan.node.uuid)
    changes = [update(plan.node, **plan.fields)] if plan.fields else []
    if "secondary_ip" in plan.fields:
        changes.append(keep_from_pools(plan.fields["secondary_ip"]))
    result: list[list[object]] = [[name, value] for name, value in plan.fields.items()]
    if plan.role is not plan.was:
        certificate = None
        if plan.role is NodeRole.CANDIDATE:
            # A candidate is no longer offline, so the node can be queried.
            certificate = await _get_certificate(replace(plan.node, offline=False), state, tools)
        changes.append(set_role(plan.node, plan.role, certificate))
        result += [
            [name, str(plan.role is flag)]
            for name, flag in _FLAGS.items()
            if flag in (plan.role, plan.was)
        ]
    for each in plan.promoted:
        changes.append(
            set_role(each, NodeRole.CANDIDATE, await _get_certificate(each, state, tools))
        )
        tools.progress.log_message(f"node {each.name} becomes a master candidate")
    # In one change, so that the cluster is not short of candidates in between.
    await tools.config.change(together(*changes))
    if plan.role is not plan.was:
        await distribute_member_list(tools)
    if plan.was is NodeRole.CANDIDATE and plan.role is NodeRole.OFFLINE:
        tools.progress.log_message(
            f"node {plan.node.name} still has the secrets of a master candidate; if the host may be"
            " compromised, remove the node from the cluster"
        )
    elif held and plan.role not in (plan.was, NodeRole.CANDIDATE, NodeRole.OFFLINE):
        # The former candidate knows them, also one that was offline meanwhile.
        await replace_secrets(plan.node.name, tools)
    return result


async def _get_certificate(node: Node, state: ClusterState, tools: Tools) -> str:
    """Return the recorded fingerprint of a node's certificate, or query the node for it."""
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
    # A node that is marked offline may be down, so no hooks run there.
    here = master if plan.role is NodeRole.OFFLINE else [*master, node.uuid]
    return HookCall("node-modify", "NODE", environment, here, here)


OPERATION = Operation(ModifyNode, plan, run, hooks=hooks)
