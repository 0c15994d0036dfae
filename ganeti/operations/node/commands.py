# SPDX-License-Identifier: BSD-2-Clause
"""The operation that runs a restricted command on nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Invalid, Problem
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.node import RunRestrictedCommand as CommandOpcode
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.node import RunRestrictedCommandCall


@dataclass(frozen=True)
class CommandPlan:
    """A command and its nodes, in the order of the result."""

    op: CommandOpcode
    nodes: Sequence[Node]

    @property
    def locks(self) -> LockRequest:
        if not self.op.use_locking:
            return {}
        return request(exclusive=[node_lock(node.uuid) for node in self.nodes])


def plan(op: CommandOpcode, state: ClusterState, facts: NodeAnswers) -> CommandPlan:
    """Plan the nodes; whether they allow the command is checked on each node."""
    names = op.node_uuids or op.nodes
    if not names:
        raise Invalid([Problem("nodes", "must have at least one node")])
    return CommandPlan(op, [state.node(name) for name in names])


async def run(plan: CommandPlan, tools: Tools) -> list[list[object]]:
    """Return for each node whether the command succeeded, and its output or error."""
    online = [node for node in plan.nodes if not node.offline]
    asking = tools.nodes.ask_all(online, RunRestrictedCommandCall(cmd=plan.op.command))
    answers = await tools.progress.interruptible(asking)
    return [_row(node, answers.get(node.uuid)) for node in plan.nodes]


def _row(node: Node, answer: str | Failed | None) -> list[object]:
    if answer is None:
        return [False, f"node {node.name} is offline"]
    if isinstance(answer, Failed):
        return [False, str(answer)]
    return [True, answer]


def preview(plan: CommandPlan) -> list[str]:
    """Return the result of a dry run: the nodes that would run the command."""
    return [node.name for node in plan.nodes if not node.offline]


OPERATION = Operation(CommandOpcode, plan, run, preview=preview)
