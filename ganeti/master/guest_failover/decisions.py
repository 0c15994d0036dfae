# SPDX-License-Identifier: BSD-2-Clause
"""The decisions about nodes that are silent, as pure functions of the state and of what is known.

``doc/failover.md`` has the rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ganeti.config.changes.failover import may_be_fenced, protects_guests, wants_failover
from ganeti.config.state import ClusterState
from ganeti.model.failover import FenceMethod, FenceStage, GuardKind, NodeGuard
from ganeti.model.node import Node
from ganeti.model.parameters.filling import node_parameters_of
from ganeti.rpc.guest_lease import (
    MAX_ELECTORS,
    MIN_ELECTORS,
    Elector,
    GuardReport,
)


def choose_electors(state: ClusterState) -> tuple[Elector, ...]:
    """Return the nodes that can extend leases while the master is away, candidates first.

    There are none if there are too few nodes: a lease that ends with the failure of one other node
    would do more harm than good.
    """
    online = [node for node in state.nodes.values() if not node.offline]
    online.sort(key=lambda node: (not node.master_candidate, node.name))
    if len(online) < MIN_ELECTORS:
        return ()
    # An odd number: a majority of an even number survives no more failures.
    number = min(len(online) - 1 + len(online) % 2, MAX_ELECTORS)
    return tuple(Elector(name=node.name, address=node.primary_ip) for node in online[:number])


def needs_lease(state: ClusterState, node: Node) -> bool:
    """Return whether guests of a node may run only with a lease."""
    return (
        not node.offline
        and protects_guests(state, node.uuid)
        and may_be_fenced(state, node.uuid)
        and bool(choose_electors(state))
    )


def guard_of(
    report: GuardReport, uuid: str, wanted: Sequence[Elector], before: NodeGuard | None
) -> NodeGuard | None:
    """Return what is to be recorded about a node that has answered; None if it is not guarded.

    While the electors of a node change, a majority of the old ones and of the new ones has to
    refuse, as it is not known which the node asks.
    """
    if not report.protected or report.guard is None or not report.electors:
        return None
    names = tuple(elector.name for elector in wanted)
    groups = {report.electors, names}
    if before is not None and report.electors != names:
        groups |= set(before.electors)
    return NodeGuard(
        uuid=uuid, kind=report.guard, timeout=report.timeout, electors=tuple(sorted(groups))
    )


def find_guard_method(state: ClusterState, guard: NodeGuard) -> FenceMethod | None:
    """Return what the guard of a node would confirm, or None if that is not sufficient."""
    if guard.kind is GuardKind.DEVICE:
        return FenceMethod.DEVICE
    return None if state.failover_settings.require_device else FenceMethod.PROCESS


@dataclass(frozen=True)
class FenceChoice:
    """The silent nodes to fence, and those not to fence, with the reasons; by UUID."""

    fence: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)


def choose_fences(
    state: ClusterState, silent: Collection[str], reached: Collection[str], now: float
) -> FenceChoice:
    """Decide which of the silent nodes are fenced without a person.

    ``reached`` are nodes, by UUID, that a majority of their electors hears. ``now`` is in seconds
    since the epoch. Several failures at once are more often one of the network, or a mistake of
    an administrator, than of the nodes; so a person decides about more than the limit.
    """
    settings, held, wanted = state.failover_settings, dict[str, str](), list[str]()
    for uuid in sorted(silent, key=lambda uuid: state.nodes[uuid].name):
        name = state.nodes[uuid].name
        if uuid in state.node_fences:
            continue
        if settings.maintenance:
            held[uuid] = "the cluster is in maintenance"
        elif uuid in state.node_maintenance:
            held[uuid] = f"node {name} is in maintenance"
        elif uuid == state.cluster.master_node:
            held[uuid] = f"{name} is the master's own node; start its node daemon"
        elif not protects_guests(state, uuid):
            held[uuid] = f"no instance on node {name} is to fail over"
        elif uuid in reached:
            held[uuid] = f"other nodes reach node {name}, so its guests run on"
        elif not can_be_confirmed(state, uuid):
            held[uuid] = (
                f"nothing can confirm that node {name} is off: it has no out-of-band helper, and"
                " its watchdog is not known to work; power it off, and run: gnt-node confirm-off"
                f" {name}"
            )
        else:
            wanted.append(uuid)
    recent = sum(1 for at in state.fence_history.times if at > now - settings.window)
    if recent + len(wanted) > settings.max_nodes:
        for uuid in wanted:
            held[uuid] = (
                f"{recent + len(wanted)} nodes have failed within {settings.window} seconds, and at"
                f" most {settings.max_nodes} are fenced automatically; check them, power them off,"
                f" and run: gnt-node confirm-off {state.nodes[uuid].name}"
            )
        wanted = []
    return FenceChoice(tuple(wanted), held)


def can_be_confirmed(state: ClusterState, uuid: str) -> bool:
    """Return whether something else than a person can confirm that nothing runs on a node."""
    guard = state.node_guards.get(uuid)
    if guard is not None and find_guard_method(state, guard) is not None:
        return True
    return bool(find_power_helper(state, state.nodes[uuid]))


def find_power_helper(state: ClusterState, node: Node) -> str:
    """Return the path of a node's out-of-band helper; empty if it has none."""
    return node_parameters_of(state.cluster, state.groups[node.group], node).oob_program


def list_lost_instances(state: ClusterState) -> dict[str, int]:
    """Return the instances to start elsewhere, by name, with their ranks.

    They are those with the policy on nodes that are certainly off.
    """
    from_nodes = [
        state.nodes[uuid]
        for uuid, fence in state.node_fences.items()
        if fence.stage is FenceStage.FENCED and uuid in state.nodes
    ]
    return {
        instance.name: state.failover_policies[instance.uuid].rank
        for node in from_nodes
        for instance in state.list_primary_instances(node)
        if wants_failover(state, instance.uuid)
    }
