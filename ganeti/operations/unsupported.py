# SPDX-License-Identifier: BSD-2-Clause
"""What this software leaves to others: each is refused with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.opcodes.cluster import ActivateMasterIP, DeactivateMasterIP
from ganeti.opcodes.node import PowercycleNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import NodeAnswers, Operation, Tools

_ADDRESS = (
    "the cluster's address is recorded, and put on no network device; let the system of the "
    "master's host do that"
)

INSTEAD: Mapping[type[Opcode], str] = {
    ActivateMasterIP: _ADDRESS,
    DeactivateMasterIP: _ADDRESS,
    PowercycleNode: (
        "a node does not restart its own host; let its out-of-band helper do it: "
        "gnt-node power cycle NODE"
    ),
}
"""What to do instead of each."""


def plan(op: Opcode, state: ClusterState, facts: NodeAnswers) -> NoReturn:
    """:raises Refused: always, with what to do instead."""
    raise Refused(f"{op.op_id} is not offered: {INSTEAD[type(op)]}")


async def run(plan: Any, tools: Tools) -> None:
    """Never called, as there is no plan."""


OPERATIONS: tuple[Operation[Any, Any], ...] = tuple(Operation(kind, plan, run) for kind in INSTEAD)
