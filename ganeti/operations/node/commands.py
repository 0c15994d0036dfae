# SPDX-License-Identifier: BSD-2-Clause
"""Running a command on nodes that their administrators allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Invalid, Problem
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.node import RunRestrictedCommand as CommandOpcode
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.node import RunRestrictedCommandCall


@dataclass(frozen=True)
class CommandPlan:
    """A command, and the nodes that are to run it, in the order of the answer."""

    op: CommandOpcode
    nodes: Sequence[Node]

    @property
    def locks(self) -> LockRequest:
        if not self.op.use_locking:
            return {}
        return request(exclusive=[node_lock(node.uuid) for node in self.nodes])


def plan(op: CommandOpcode, state: ClusterState, facts: NodeAnswers) -> CommandPlan:
    """Find the nodes; what they allow, only they know."""
    names = op.node_uuids or op.nodes
    if not names:
        raise Invalid([Problem("nodes", "must name at least one")])
    return CommandPlan(op, [state.node(name) for name in names])


async def run(plan: CommandPlan, tools: Tools) -> list[list[Any]]:
    """For each node whether the command went well, and what it wrote, or why it did not."""
    online = [node for node in plan.nodes if not node.offline]
    asking = tools.nodes.ask_all(online, RunRestrictedCommandCall(cmd=plan.op.command))
    answers = await tools.progress.interruptible(asking)
    return [_row(node, answers.get(node.uuid)) for node in plan.nodes]


def _row(node: Node, answer: str | Failed | None) -> list[Any]:
    if answer is None:
        return [False, f"node {node.name} is offline"]
    if isinstance(answer, Failed):
        return [False, str(answer)]
    return [True, answer]


def preview(plan: CommandPlan) -> list[str]:
    """What a dry run shows: the nodes that would be asked."""
    return [node.name for node in plan.nodes if not node.offline]


OPERATION = Operation(CommandOpcode, plan, run, preview=preview)
