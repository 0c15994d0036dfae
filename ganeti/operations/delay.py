# SPDX-License-Identifier: BSD-2-Clause
"""The operation that only waits, for tests of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.opcodes.test import Delay
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.node import DelayCall

STEP = 1.0
"""Seconds between two checks whether the job was canceled."""


@dataclass(frozen=True)
class DelayPlan:
    """A delay on the master, on nodes, or both."""

    op: Delay
    nodes: tuple[Node, ...]

    @property
    def locks(self) -> LockRequest:
        if self.op.no_locks:
            return {}
        return request(shared=[node_lock(node.uuid) for node in self.nodes])


def plan(op: Delay, state: ClusterState, facts: NodeAnswers) -> DelayPlan:
    """Find the nodes to wait on."""
    if op.duration < 0:
        raise Refused(f"duration: {op.duration:g} seconds is not valid; give 0 or more", Code.INPUT)
    return DelayPlan(op, tuple(state.node(name) for name in op.on_node_uuids or op.on_nodes))


async def run(plan: DelayPlan, tools: Tools) -> None:
    times = max(plan.op.repeat, 1)
    for number in range(times):
        if plan.op.repeat:
            tools.progress.log_message(f"delay {number + 1} of {times}")
        await _delay_once(plan, tools)


async def _delay_once(plan: DelayPlan, tools: Tools) -> None:
    if plan.op.on_master:
        left = plan.op.duration
        while left > 0:
            tools.progress.may_stop()
            await tools.time.sleep(min(left, STEP))
            left -= STEP
    if plan.nodes:
        there = tools.nodes.ask_all(plan.nodes, DelayCall(duration=plan.op.duration))
        answers = await tools.progress.interruptible(there)
        for trouble in answers.values():
            if isinstance(trouble, Failed):
                raise trouble


OPERATION = Operation(Delay, plan, run)
