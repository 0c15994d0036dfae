# SPDX-License-Identifier: BSD-2-Clause
"""Unsupported opcodes, which are refused with the alternative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.opcodes.node import PowercycleNode
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.operation import AnyOperation, NodeAnswers, Operation, Tools

ALTERNATIVES: Mapping[type[Opcode], str] = {
    PowercycleNode: (
        "nodes do not powercycle their own host; use the node's out-of-band program: "
        "gnt-node power cycle NODE"
    ),
}
"""The alternative to each opcode."""


def plan(op: Opcode, state: ClusterState, facts: NodeAnswers) -> NoReturn:
    """Refuse the opcode.

    :raises Refused: always, with the alternative.
    """
    raise Refused(f"{op.op_id} is not supported: {ALTERNATIVES[type(op)]}")


async def run(plan: object, tools: Tools) -> None:
    """Do nothing; this is never called, as planning always refuses."""


OPERATIONS: tuple[AnyOperation, ...] = tuple(Operation(kind, plan, run) for kind in ALTERNATIVES)
