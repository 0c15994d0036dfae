# SPDX-License-Identifier: BSD-2-Clause
"""Nodes come, change their role and go."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ganeti.config.changes.objects import add, current
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Refused
from ganeti.model.node import Node, Role
from ganeti.schema.records import replace

FLAGS: Mapping[Role, tuple[bool, bool, bool]] = MappingProxyType(
    {
        Role.MASTER: (True, False, False),
        Role.CANDIDATE: (True, False, False),
        Role.OFFLINE: (False, True, False),
        Role.DRAINED: (False, False, True),
        Role.REGULAR: (False, False, False),
    }
)
"""What a role means for the flags ``master_candidate``, ``offline`` and ``drained``."""


def add_node(node: Node, certificate: str | None = None) -> Change:
    """Add a new node, for a candidate with the fingerprint of its certificate."""

    def change(state: ClusterState) -> ClusterState:
        return _certified(add(node)(state), node, certificate)

    return change


def remove_node(node: Node) -> Change:
    """Remove a node that nothing lives on."""

    def change(state: ClusterState) -> ClusterState:
        gone = current(state, node)
        if gone.uuid == state.cluster.master_node:
            raise Refused(f"node {gone.name} is the master; make another one the master first")
        living = sorted(
            each.name for each in (*state.primaries_on(gone), *state.secondaries_on(gone))
        )
        if living:
            raise Refused(
                f"node {gone.name} has instances: {', '.join(living)}; move or remove them first"
            )
        return _certified(state.remove(gone), gone, None)

    return change


def set_role(node: Node, role: Role, certificate: str | None = None) -> Change:
    """Give a node a role; a candidate or master comes with its certificate's fingerprint."""

    def change(state: ClusterState) -> ClusterState:
        old = current(state, node)
        if old.uuid == state.cluster.master_node and role is not Role.MASTER:
            raise Refused(f"node {old.name} is the master; make another one the master first")
        candidate, offline, drained = FLAGS[role]
        if candidate and not old.master_capable:
            raise Refused(f"node {old.name} is not master_capable; set that first")
        new = replace(old, master_candidate=candidate, offline=offline, drained=drained)
        state = state.put(new)
        if role is Role.MASTER:
            state = state.put(replace(state.cluster, master_node=old.uuid))
        known = state.cluster.candidate_certs.get(old.uuid)
        return _certified(state, old, (certificate or known) if candidate else None)

    return change


def _certified(state: ClusterState, node: Node, certificate: str | None) -> ClusterState:
    cluster = state.cluster
    certificates = {**cluster.candidate_certs}
    if certificate is None:
        certificates.pop(node.uuid, None)
    else:
        certificates[node.uuid] = certificate
    if certificates == cluster.candidate_certs:
        return state
    return state.put(replace(cluster, candidate_certs=certificates))
