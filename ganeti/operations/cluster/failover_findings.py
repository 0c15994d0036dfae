# SPDX-License-Identifier: BSD-2-Clause
"""Nodes whose failure only an administrator could confirm, and nodes that are fenced."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.config.changes.failover import protects_guests
from ganeti.config.state import ClusterState
from ganeti.model.failover import FenceStage, GuardKind
from ganeti.model.parameters.filling import node_parameters_of
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding
from ganeti.rpc.guest_lease import MIN_ELECTORS


def failover_findings(state: ClusterState) -> Iterator[Finding]:
    """Yield a warning for each node with instances that are to fail over and could not."""
    online = sum(not node.offline for node in state.nodes.values())
    for node in sorted(state.nodes.values(), key=lambda node: node.name):
        fence = state.node_fences.get(node.uuid)
        if fence is not None:
            stage = "is fenced" if fence.stage is FenceStage.FENCED else "is being fenced"
            yield _warn(node.name, f"it {stage}: {fence.reason}; see gnt-cluster failover status")
            continue
        if node.offline or not protects_guests(state, node.uuid):
            continue
        guard = state.node_guards.get(node.uuid)
        helper = node_parameters_of(state.cluster, state.groups[node.group], node).oob_program
        if online < MIN_ELECTORS:
            yield _warn(
                node.name,
                f"its instances cannot fail over: the cluster has {online} nodes that are online,"
                f" and {MIN_ELECTORS} are needed; a witness is sufficient: gnt-node add --witness",
            )
        elif guard is None and not helper:
            yield _warn(
                node.name,
                "after its failure a person has to confirm that it is off: it has no out-of-band"
                " helper, and its guests have no guard; see gnt-cluster failover status",
            )
        elif guard is not None and guard.kind is GuardKind.PROCESS and not helper:
            yield _warn(
                node.name,
                "it has no watchdog device, so that only a process ends its guests when it is"
                " lost, which is weaker; load a driver, for example: modprobe softdog",
            )


def _warn(name: str, text: str) -> Finding:
    return Finding(Code.ECLUSTERCFG, "node", name, text, warning=True)
