# SPDX-License-Identifier: BSD-2-Clause
"""The operation that removes a node from the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.changes.nodes import remove_node
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.locking.names import LockLevel, LockRequest, all_of, request
from ganeti.model.node import Node
from ganeti.opcodes.node import RemoveNode
from ganeti.opcodes.opcode import op_id
from ganeti.operations.hook_execution import run_on_leaving
from ganeti.operations.member_list import distribute_member_list, replace_secrets
from ganeti.operations.node.node_hooks import membership_hooks
from ganeti.operations.operation import HookCall, NodeAnswers, Operation, Tools
from ganeti.rpc.node import LeaveCluster


@dataclass(frozen=True)
class NodeRemoval:
    """A node to remove."""

    node: Node

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[all_of(LockLevel.NODE)])


def plan(op: RemoveNode, state: ClusterState, facts: NodeAnswers) -> NodeRemoval:
    """Plan the removal of a node that has no instances and is not the master."""
    node = state.node(op.node_uuid or op.node_name)
    if node.uuid == state.cluster.master_node:
        raise Refused(
            f"node {node.name} is the master; make another node the master first: "
            "gnt-cluster master-failover"
        )
    living = [
        each.name
        for each in (*state.list_primary_instances(node), *state.list_secondary_instances(node))
    ]
    if living:
        raise Refused(
            f"node {node.name} still has instances: {', '.join(sorted(living))}; "
            f"move them away first: gnt-node evacuate {node.name}"
        )
    stored = [each.name for each in state.backup_repositories.values() if each.node == node.uuid]
    if stored:
        raise Refused(
            f"node {node.name} has the backup repositories {', '.join(sorted(stored))}; remove them"
            f" from the cluster first: gnt-backup repository remove {min(stored)}"
        )
    return NodeRemoval(node)


async def run(plan: NodeRemoval, tools: Tools) -> None:
    state = tools.config.state()
    await run_on_leaving(hooks(plan, state), plan.node, op_id(RemoveNode), state, tools)
    await tools.config.change(remove_node(plan.node))
    await distribute_member_list(tools)
    if plan.node.offline:
        tools.progress.log_message(
            f"node {plan.node.name} is offline; {_format_leftovers(plan.node)}"
        )
    else:
        # Only when its removal is recorded, as the node loses its certificate by this call.
        await _leave_cluster(plan.node, tools)
    # An offline node may have been a candidate until it failed, which its flags no longer tell.
    if plan.node.master_candidate or plan.node.offline:
        await replace_secrets(plan.node.name, tools)


async def _leave_cluster(node: Node, tools: Tools) -> None:
    try:
        await tools.nodes.ask(node, LeaveCluster())
    except Failed as e:
        tools.progress.log_message(f"{e}; {_format_leftovers(node)}")


def _format_leftovers(node: Node) -> str:
    """Return the manual steps for a node that could not be contacted."""
    return (
        f"node {node.name} is no longer a member, but its node daemon may still be running: "
        "stop it and remove its certificates there"
    )


def hooks(plan: NodeRemoval, state: ClusterState) -> HookCall:
    return membership_hooks("node-remove", plan.node, state)


OPERATION = Operation(RemoveNode, plan, run, hooks=hooks)
