# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the settings for failover of guests, and of what is recorded about fenced nodes."""

from __future__ import annotations

from immutables import Map

from ganeti.config.changes.objects import current
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change
from ganeti.model.failover import (
    FailoverPolicy,
    FailoverSettings,
    FenceMethod,
    FenceStage,
    InstanceFailover,
    NodeFence,
    NodeGuard,
    NodeMaintenance,
)
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.schema.records import replace

MAX_HISTORY = 100
"""The number of fenced nodes whose times are kept for the limit."""


def set_policy(policy: InstanceFailover) -> Change:
    """Set the failover policy of an instance; the default needs no record."""

    def change(state: ClusterState) -> ClusterState:
        if policy.uuid not in state.instances:
            return state
        if policy == InstanceFailover(uuid=policy.uuid):
            return _without(state, RecordKind.INSTANCE_FAILOVER, policy.uuid)
        # From now on, masters look after the leases of nodes.
        return state.put(policy).put(state.failover_settings)

    return change


def update_settings(**fields: object) -> Change:
    """Set fields of the cluster's settings.

    A maintenance takes the guards away in the same commit: nodes are then told that they need not
    end their guests, and until all of them know, none may be fenced because its lease has ended.
    """

    def change(state: ClusterState) -> ClusterState:
        settings: FailoverSettings = replace(state.failover_settings, **fields)
        state = state.put(settings)
        if settings.maintenance:
            for uuid in list(state.node_guards):
                state = forget_guard(uuid)(state)
        return state

    return change


def set_maintenance(uuid: str, since: float | None) -> Change:
    """Begin the maintenance of a node at the time ``since``, or with None end it."""

    def change(state: ClusterState) -> ClusterState:
        if since is None:
            return _without(state, RecordKind.NODE_MAINTENANCE, uuid)
        state = forget_guard(uuid)(state)
        return state.put(NodeMaintenance(uuid=uuid, since=since))

    return change


def set_guard(guard: NodeGuard) -> Change:
    """Record that a node is guarded, unless it has left, is fenced or in maintenance by now."""

    def change(state: ClusterState) -> ClusterState:
        node = state.nodes.get(guard.uuid)
        wanted = node is not None and not node.offline and may_be_fenced(state, guard.uuid)
        return state.put(guard) if wanted else state

    return change


def may_be_fenced(state: ClusterState, uuid: str) -> bool:
    """Return whether a node may be guarded and fenced: no maintenance, and not fenced yet."""
    return not (
        state.failover_settings.maintenance
        or uuid in state.node_maintenance
        or uuid in state.node_fences
    )


def forget_guard(uuid: str) -> Change:
    """Remove the record that a node is guarded."""
    return lambda state: _without(state, RecordKind.NODE_GUARD, uuid)


def forget_fence(uuid: str) -> Change:
    """Remove the record that a node is fenced."""
    return lambda state: _without(state, RecordKind.NODE_FENCE, uuid)


def forget_unconfirmed(uuid: str) -> Change:
    """Remove the record that a node is being fenced, unless this was confirmed meanwhile."""

    def change(state: ClusterState) -> ClusterState:
        fence = state.node_fences.get(uuid)
        if fence is None or fence.stage is FenceStage.FENCED:
            return state
        return forget_fence(uuid)(state)

    return change


def forget_node(uuid: str) -> Change:
    """Remove all records about a node that leaves the cluster."""

    def change(state: ClusterState) -> ClusterState:
        for kind in (RecordKind.NODE_GUARD, RecordKind.NODE_FENCE, RecordKind.NODE_MAINTENANCE):
            state = _without(state, kind, uuid)
        return state

    return change


def begin_fence(fence: NodeFence, *, automatic: bool) -> Change:
    """Record the decision to fence a node; an ``automatic`` one counts for the limit."""

    def change(state: ClusterState) -> ClusterState:
        node = state.nodes.get(fence.uuid)
        if node is None or node.offline or fence.uuid in state.node_fences:
            return state
        # The node loses this flag when it is marked offline.
        state = state.put(replace(fence, candidate=node.master_candidate))
        if automatic:
            history = state.fence_history
            times = (*history.times, fence.since)[-MAX_HISTORY:]
            state = state.put(replace(history, times=times))
        return state

    return change


def end_fence(uuid: str, method: FenceMethod) -> Change:
    """Record that no guest runs on a node any more, and what has confirmed it.

    The node must be marked offline in the same commit.
    """

    def change(state: ClusterState) -> ClusterState:
        fence = state.node_fences.get(uuid)
        if fence is None:
            return state
        return state.put(replace(fence, stage=FenceStage.FENCED, method=method))

    return change


def confirm_off(node: Node, now: float) -> Change:
    """Record an administrator's word that a node is off.

    The node must be marked offline in the same commit.
    """

    def change(state: ClusterState) -> ClusterState:
        known = state.node_fences.get(node.uuid)
        fence = known or NodeFence(
            uuid=node.uuid,
            since=now,
            reason="an administrator has confirmed that it is off",
            candidate=current(state, node).master_candidate,
        )
        confirmed = replace(fence, stage=FenceStage.FENCED, method=FenceMethod.PERSON)
        return forget_guard(node.uuid)(state.put(confirmed))

    return change


def wants_failover(state: ClusterState, uuid: str) -> bool:
    """Return whether an instance is to run, and to start on another node if its own is lost."""
    policy = state.failover_policies.get(uuid)
    return (
        policy is not None
        and policy.policy is FailoverPolicy.FAILOVER
        and state.instances[uuid].admin_state is AdminState.UP
    )


def wants_restart(state: ClusterState, uuid: str) -> bool:
    """Return whether an instance is to run, and to be restarted at once on its node."""
    policy = state.failover_policies.get(uuid)
    return (
        policy is not None
        and policy.policy is not FailoverPolicy.OFF
        and state.instances[uuid].admin_state is AdminState.UP
    )


def protects_guests(state: ClusterState, uuid: str) -> bool:
    """Return whether an instance on a node is to fail over if the node is lost.

    Also one that is down counts: it may be started at any time, and until then the node needs its
    lease.
    """
    policies = state.failover_policies
    return any(
        policies[instance].policy is FailoverPolicy.FAILOVER
        for instance in state.primaries.get(uuid, Map())
        if instance in policies
    )


def _without(state: ClusterState, kind: RecordKind, uuid: str) -> ClusterState:
    found = state.objects.get(kind, Map()).get(uuid)
    return state if found is None else state.remove(found)
