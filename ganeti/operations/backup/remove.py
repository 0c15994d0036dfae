# SPDX-License-Identifier: BSD-2-Clause
"""The operation that removes the exports of an instance, which need not exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.backup import RemoveExport
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc import transfers as calls


@dataclass(frozen=True)
class ExportRemoval:
    """An export and its nodes."""

    name: str
    nodes: tuple[Node, ...]

    @property
    def locks(self) -> LockRequest:
        return request(shared=[node_lock(node.uuid) for node in self.nodes])


def questions(op: RemoveExport, state: ClusterState) -> Sequence[NodeQuery]:
    return [NodeQuery([node for node in state.nodes.values() if not node.offline], _LIST)]


_LIST = calls.ListExports()


def plan(op: RemoveExport, state: ClusterState, facts: NodeAnswers) -> ExportRemoval:
    """Plan the removal on all nodes that have an export."""
    try:
        name = state.instance(op.instance_uuid or op.instance_name).name
    except Refused:
        # Exports remain after the removal of their instance.
        name = op.instance_name
    nodes = tuple(
        node
        for node in state.nodes.values()
        if not node.offline and name in (facts.known(node, calls.ListExports) or ())
    )
    if not nodes:
        raise Refused(
            f"no reachable node has an export of {name}; see gnt-backup list",
            Code.UNKNOWN,
        )
    return ExportRemoval(name, nodes)


async def run(plan: ExportRemoval, tools: Tools) -> None:
    for node in plan.nodes:
        await tools.nodes.ask(node, calls.RemoveExportCall(name=plan.name))


OPERATION = Operation(RemoveExport, plan, run, questions)
