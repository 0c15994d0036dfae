# SPDX-License-Identifier: BSD-2-Clause
"""The operation that queries and changes the power state of nodes by out-of-band programs.

The program of a node is its parameter ``oob_program``. It runs on the master's node, so that it
works when the node itself is down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ganeti.config.changes.objects import update
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.node import Node
from ganeti.model.parameters.filling import node_parameters_of
from ganeti.opcodes.node import CommandPower, PowerCommand
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.node import RunPowerHelper
from ganeti.schema.documents import UNREADABLE

_RS_NORMAL, _RS_NODATA, _RS_UNAVAIL = 0, 2, 3
"""Result statuses of a value as in queries: available, failed to fetch, and not available."""

_DISRUPTIVE = frozenset({PowerCommand.POWER_OFF, PowerCommand.POWER_CYCLE})
_POWER_AFTER: Mapping[PowerCommand, bool] = {
    PowerCommand.POWER_ON: True,
    PowerCommand.POWER_OFF: False,
}
"""The power state of a node after a command."""
_MAX_TIMEOUT = 600
"""Maximum time-out of a program in seconds."""
_STATUSES = frozenset({"OK", "WARNING", "CRITICAL", "UNKNOWN"})


@dataclass(frozen=True)
class Target:
    """A node and its out-of-band program, or an empty string."""

    node: Node
    program: str


@dataclass(frozen=True)
class PowerPlan:
    """The command and its target nodes."""

    op: CommandPower
    targets: tuple[Target, ...]

    @property
    def locks(self) -> LockRequest:
        if self.op.command in (PowerCommand.POWER_STATUS, PowerCommand.HEALTH):
            return {}
        return request(exclusive=[node_lock(each.node.uuid) for each in self.targets])


def plan(op: CommandPower, state: ClusterState, facts: NodeAnswers) -> PowerPlan:
    """Plan the target nodes; refuse to power off the master."""
    if not 0 < op.timeout <= _MAX_TIMEOUT:
        raise Invalid([Problem("timeout", f"must be from 1 to {_MAX_TIMEOUT} seconds")])
    named = op.node_uuids or op.node_names
    nodes = [state.node(name) for name in named]
    if not nodes:
        nodes = sorted(state.nodes.values(), key=lambda node: node.name)
    if op.command in _DISRUPTIVE:
        # A request for all nodes means all but the master.
        if named and state.master in nodes:
            raise Refused(
                f"node {state.master.name} is the master and cannot power itself off; make another "
                "node the master first: gnt-cluster master-failover"
            )
        nodes = [node for node in nodes if node != state.master]
    targets = tuple(Target(node, _oob_program(node, state)) for node in nodes)
    alive = [each.node.name for each in targets if each.program and not each.node.offline]
    if op.command is PowerCommand.POWER_OFF and alive and not op.ignore_status:
        raise Refused(
            f"nodes {', '.join(alive)} are not marked offline; first run: gnt-node modify "
            f"--offline=yes {alive[0]}, or use --ignore-status"
        )
    return PowerPlan(op, targets)


def _oob_program(node: Node, state: ClusterState) -> str:
    return node_parameters_of(state.cluster, state.groups[node.group], node).oob_program


async def run(plan: PowerPlan, tools: Tools) -> list[list[list[object]]]:
    """Return a row for each node: its name and the program's output, each with its status."""
    rows: list[list[list[object]]] = []
    switched = False
    for target in plan.targets:
        name = [_RS_NORMAL, target.node.name]
        if not target.program:
            rows.append([name, [_RS_UNAVAIL, None]])
            continue
        tools.progress.may_stop()
        if switched and plan.op.command is PowerCommand.POWER_ON:
            # Powering on many hosts at once may exceed the current limit of a circuit.
            await tools.time.sleep(plan.op.power_delay)
        try:
            said = await _run_program(plan.op, target, tools)
        except (Failed, Refused) as e:
            tools.progress.log_message(f"{plan.op.command} of {target.node.name} failed: {e}")
            rows.append([name, [_RS_NODATA, None]])
        else:
            rows.append([name, [_RS_NORMAL, said]])
        switched = True
    return rows


async def _run_program(op: CommandPower, target: Target, tools: Tools) -> object:
    """Run the program of a node, return its output, and record a changed power state.

    :raises Failed: the program failed, or its output is malformed.
    """
    node = target.node
    ask = RunPowerHelper(
        oob_program=target.program,
        command=op.command.value,
        remote_node=node.name,
        timeout=float(op.timeout),
    )
    text = await tools.nodes.ask(tools.config.state().master, ask)
    said = parse_output(op.command, text)
    if (powered := _POWER_AFTER.get(op.command)) is not None and powered != node.powered:
        await tools.config.change(update(node, powered=powered))
    if op.command is PowerCommand.POWER_STATUS and said["powered"] != node.powered:
        has, flag = ("on", "yes") if said["powered"] else ("off", "no")
        tools.progress.log_message(
            f"node {node.name} is powered {has}, unlike its recorded state; to correct it: "
            f"gnt-node modify --node-powered={flag} {node.name}"
        )
    if op.command is PowerCommand.HEALTH:
        for item, status in said:
            if status != "OK":
                tools.progress.log_message(f"node {node.name}: {item} is {status}")
    return said


def parse_output(command: PowerCommand, text: str) -> Any:
    """Parse the output of a program; return None for commands without output.

    :raises Failed: the output is malformed, see the out-of-band interface.
    """
    understood = _CHECKS.get(command)
    if understood is None:
        return None
    try:
        said = msgspec.json.decode(text)
    except UNREADABLE as e:
        raise Failed(
            f"output of the out-of-band program is not JSON: {e}", Code.ENVIRONMENT
        ) from None
    if not understood(said):
        raise Failed(
            f"invalid output of the out-of-band program for {command}: {said}", Code.ENVIRONMENT
        )
    return said


def _is_status(said: object) -> bool:
    return isinstance(said, dict) and isinstance(said.get("powered"), bool)


def _is_health(said: object) -> bool:
    return isinstance(said, list) and all(
        isinstance(each, list)
        and len(each) == 2
        and isinstance(each[0], str)
        and each[1] in _STATUSES
        for each in said
    )


_CHECKS: Mapping[PowerCommand, Callable[[object], bool]] = {
    PowerCommand.POWER_STATUS: _is_status,
    PowerCommand.HEALTH: _is_health,
}


def preview(plan: PowerPlan) -> dict[str, object]:
    """Return the result of a dry run: the programs that would run."""
    return {each.node.name: each.program or None for each in plan.targets}


OPERATION = Operation(CommandPower, plan, run, preview=preview)
