# SPDX-License-Identifier: BSD-2-Clause
"""Asking about and switching the power of nodes, by helpers that reach them from outside.

The helper of a node is the program that its parameter ``oob_program`` names; it runs on the
master's node and works when the node itself does not.
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
from ganeti.model.parameters.filling import nd_filled
from ganeti.opcodes.node import CommandPower, PowerCommand
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.node import RunPowerHelper
from ganeti.schema.documents import UNREADABLE

_NORMAL, _NO_DATA, _UNAVAILABLE = 0, 2, 3
"""How clients are told of a value, of one that could not be had, and of one that there is not."""

_INTERRUPTS = frozenset({PowerCommand.POWER_OFF, PowerCommand.POWER_CYCLE})
_LEAVES: Mapping[PowerCommand, bool] = {
    PowerCommand.POWER_ON: True,
    PowerCommand.POWER_OFF: False,
}
"""Whether a node has power after a command."""
_MAX = 600
"""For how many seconds a helper is waited for at most."""
_STATUSES = frozenset({"OK", "WARNING", "CRITICAL", "UNKNOWN"})


@dataclass(frozen=True)
class Target:
    """A node, and its helper; empty text if it has none."""

    node: Node
    program: str


@dataclass(frozen=True)
class Power:
    """What is asked of the helpers of some nodes."""

    op: CommandPower
    targets: tuple[Target, ...]

    @property
    def locks(self) -> LockRequest:
        if self.op.command in (PowerCommand.POWER_STATUS, PowerCommand.HEALTH):
            return {}
        return request(exclusive=[node_lock(each.node.uuid) for each in self.targets])


def plan(op: CommandPower, state: ClusterState, facts: NodeAnswers) -> Power:
    """Decide which helpers are asked, or refuse what would take the cluster down."""
    if not 0 < op.timeout <= _MAX:
        raise Invalid([Problem("timeout", f"must be from 1 to {_MAX} seconds")])
    named = op.node_uuids or op.node_names
    nodes = [state.node(name) for name in named]
    if not nodes:
        nodes = sorted(state.nodes.values(), key=lambda node: node.name)
    if op.command in _INTERRUPTS:
        if named and state.master in nodes:
            raise Refused(
                f"{state.master.name} is the master, which cannot do this to itself; make another "
                "node the master first: gnt-cluster master-failover"
            )
        nodes = [node for node in nodes if node != state.master]
    targets = tuple(Target(node, _program(node, state)) for node in nodes)
    alive = [each.node.name for each in targets if each.program and not each.node.offline]
    if op.command is PowerCommand.POWER_OFF and alive and not op.ignore_status:
        raise Refused(
            f"{', '.join(alive)} may be in use; first: gnt-node modify --offline=yes "
            f"{alive[0]}, or use --ignore-status"
        )
    return Power(op, targets)


def _program(node: Node, state: ClusterState) -> str:
    return str(nd_filled(state.cluster, state.groups[node.group], node)["oob_program"])


async def run(plan: Power, tools: Tools) -> list[list[list[Any]]]:
    """A row for each node: its name and what its helper says, each with its status."""
    rows: list[list[list[Any]]] = []
    switched = False
    for target in plan.targets:
        name = [_NORMAL, target.node.name]
        if not target.program:
            rows.append([name, [_UNAVAILABLE, None]])
            continue
        tools.progress.may_stop()
        if switched and plan.op.command is PowerCommand.POWER_ON:
            # All at once might take more current than a fuse bears.
            await tools.time.sleep(plan.op.power_delay)
        try:
            said = await _asked(plan.op, target, tools)
        except (Failed, Refused) as e:
            tools.progress.say(f"{plan.op.command} of {target.node.name} failed: {e}")
            rows.append([name, [_NO_DATA, None]])
        else:
            rows.append([name, [_NORMAL, said]])
        switched = True
    return rows


async def _asked(op: CommandPower, target: Target, tools: Tools) -> Any:
    """What the helper of a node says, noted as far as it changes what is known of the node.

    :raises Failed: it could not, or cannot be understood.
    """
    node = target.node
    ask = RunPowerHelper(
        oob_program=target.program,
        command=op.command.value,
        remote_node=node.name,
        timeout=float(op.timeout),
    )
    text = await tools.nodes.ask(tools.config.state().master, ask)
    said = said_of(op.command, text)
    if (powered := _LEAVES.get(op.command)) is not None and powered != node.powered:
        await tools.config.change(update(node, powered=powered))
    if op.command is PowerCommand.POWER_STATUS and said["powered"] != node.powered:
        has, flag = ("has", "yes") if said["powered"] else ("has no", "no")
        tools.progress.say(
            f"node {node.name} {has} power, and the configuration says otherwise; to correct it: "
            f"gnt-node modify --node-powered={flag} {node.name}"
        )
    if op.command is PowerCommand.HEALTH:
        for item, status in said:
            if status != "OK":
                tools.progress.say(f"node {node.name}: {item} is {status}")
    return said


def said_of(command: PowerCommand, text: str) -> Any:
    """What the text that a helper writes on a command means; None where nothing is awaited.

    :raises Failed: it is not in the form of the protocol.
    """
    understood = _FORMS.get(command)
    if understood is None:
        return None
    try:
        said = msgspec.json.decode(text)
    except UNREADABLE as e:
        raise Failed(f"the helper did not answer in JSON: {e}", Code.ENVIRONMENT) from None
    if not understood(said):
        raise Failed(f"the helper's answer to {command} is none: {said}", Code.ENVIRONMENT)
    return said


def _is_status(said: Any) -> bool:
    return isinstance(said, dict) and isinstance(said.get("powered"), bool)


def _is_health(said: Any) -> bool:
    return isinstance(said, list) and all(
        isinstance(each, list)
        and len(each) == 2
        and isinstance(each[0], str)
        and each[1] in _STATUSES
        for each in said
    )


_FORMS: Mapping[PowerCommand, Callable[[Any], bool]] = {
    PowerCommand.POWER_STATUS: _is_status,
    PowerCommand.HEALTH: _is_health,
}


def preview(plan: Power) -> dict[str, Any]:
    """What a dry run shows: the helpers that would be called."""
    return {each.node.name: each.program or None for each in plan.targets}


OPERATION = Operation(CommandPower, plan, run, preview=preview)
