# SPDX-License-Identifier: BSD-2-Clause
"""Hooks of operations for nodes; hooks interface, version 2."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.state import ClusterState
from ganeti.model.node import Node
from ganeti.operations.operation import HookCall
from ganeti.rpc.node import HookDirectory


def membership_hooks(
    directory: HookDirectory, node: Node, state: ClusterState, *, after: Sequence[str] = ()
) -> HookCall:
    """Return the hooks for adding or removing a node, on all other nodes.

    Post hooks also run on ``after``.
    """
    others = [uuid for uuid in state.nodes if uuid != node.uuid]
    environment = {
        "OP_TARGET": node.name,
        "NODE_NAME": node.name,
        "NODE_PIP": node.primary_ip,
        "NODE_SIP": node.secondary_ip,
        "MASTER_CAPABLE": str(node.master_capable),
        "VM_CAPABLE": str(node.vm_capable),
    }
    return HookCall(directory, "NODE", environment, others, [*others, *after])
