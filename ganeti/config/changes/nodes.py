# SPDX-License-Identifier: BSD-2-Clause
"""Changes of nodes, their roles and certificates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ganeti.config.changes.authorities import (
    mark_exposed,
    record_offline_candidate,
    was_candidate,
)
from ganeti.config.changes.failover import forget_fence, forget_guard, forget_node
from ganeti.config.changes.objects import add, current
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Refused
from ganeti.model.access import NodeCertificates
from ganeti.model.node import Node, NodeRole
from ganeti.schema.records import replace

FLAGS: Mapping[NodeRole, tuple[bool, bool, bool]] = MappingProxyType(
    {
        NodeRole.MASTER: (True, False, False),
        NodeRole.CANDIDATE: (True, False, False),
        NodeRole.OFFLINE: (False, True, False),
        NodeRole.DRAINED: (False, False, True),
        NodeRole.REGULAR: (False, False, False),
    }
)
"""The flags ``master_candidate``, ``offline`` and ``drained`` of each role."""


def add_node(node: Node, certificate: str | None = None) -> Change:
    """Add a new node and the fingerprint of its certificate."""

    def change(state: ClusterState) -> ClusterState:
        state = add(node)(state)
        return set_certificates(node, certificate)(state) if certificate else state

    return change


def remove_node(node: Node) -> Change:
    """Remove a node that has no instances."""

    def change(state: ClusterState) -> ClusterState:
        gone = current(state, node)
        if gone.uuid == state.cluster.master_node:
            raise _is_master(gone)
        living = sorted(
            each.name
            for each in (*state.list_primary_instances(gone), *state.list_secondary_instances(gone))
        )
        if living:
            raise Refused(
                f"node {gone.name} still has instances: {', '.join(living)};"
                " move or remove them first"
            )
        # An offline node may have been a candidate until it failed, which its flags no longer tell.
        if gone.master_candidate or gone.offline:
            state = mark_exposed(state)
        state = record_offline_candidate(state, gone.uuid, offline=False)
        state = _set_candidate_certificate(state.remove(gone), gone, None)
        known = state.certificates.get(gone.uuid)
        state = state.remove(known) if known else state
        return forget_node(gone.uuid)(state)

    return change


def set_role(node: Node, role: NodeRole, certificate: str | None = None) -> Change:
    """Set the role of a node, and optionally the fingerprint of its certificate."""

    def change(state: ClusterState) -> ClusterState:
        old = current(state, node)
        if old.uuid == state.cluster.master_node and role is not NodeRole.MASTER:
            raise _is_master(old)
        candidate, offline, drained = FLAGS[role]
        if candidate and not old.master_capable:
            raise Refused(f"node {old.name} is not master_capable; set this flag first")
        new = replace(old, master_candidate=candidate, offline=offline, drained=drained)
        state = state.put(new)
        if offline:
            state = forget_guard(old.uuid)(state)
        elif old.offline:
            # An administrator's word that the node is clean, or the proof of that.
            state = forget_fence(old.uuid)(state)
        # A node that goes offline keeps the secrets. That they are known is recorded when it comes
        # back without the role, or is removed: a candidate that only restarts costs no replacement.
        held = old.master_candidate or (old.offline and was_candidate(state, old.uuid))
        if held and not (candidate or offline):
            state = mark_exposed(state)
        state = record_offline_candidate(state, old.uuid, offline=held and offline)
        if role is NodeRole.MASTER:
            state = state.put(replace(state.cluster, master_node=old.uuid))
        if certificate:
            return set_certificates(new, certificate)(state)
        return _set_candidate_certificate(
            state, old, certificate_of(state, old) if candidate else None
        )

    return change


def _is_master(node: Node) -> Refused:
    return Refused(f"node {node.name} is the master; make another node the master first")


def set_certificates(node: Node, *fingerprints: str) -> Change:
    """Set the certificates that a node may present, by fingerprint, the newest last."""

    def change(state: ClusterState) -> ClusterState:
        now = current(state, node)
        record = NodeCertificates(uuid=now.uuid, fingerprints=tuple(dict.fromkeys(fingerprints)))
        if state.certificates.get(now.uuid) != record:
            state = state.put(record)
        return _set_candidate_certificate(
            state, now, fingerprints[-1] if now.master_candidate else None
        )

    return change


def get_certificates(state: ClusterState, node: Node) -> tuple[str, ...]:
    """Return the recorded fingerprints of the certificates that a node may present.

    A configuration of other software has those of the master candidates only.
    """
    if known := state.certificates.get(node.uuid):
        return known.fingerprints
    candidate = state.cluster.candidate_certs.get(node.uuid)
    return (candidate,) if candidate else ()


def certificate_of(state: ClusterState, node: Node) -> str | None:
    """Return the fingerprint of a node's newest certificate, or None if none is recorded."""
    known = get_certificates(state, node)
    return known[-1] if known else None


def _set_candidate_certificate(
    state: ClusterState, node: Node, certificate: str | None
) -> ClusterState:
    """Update the candidates' certificates in the cluster record, which ssconf publishes."""
    cluster = state.cluster
    certificates = {**cluster.candidate_certs}
    if certificate is None:
        certificates.pop(node.uuid, None)
    else:
        certificates[node.uuid] = certificate
    if certificates == cluster.candidate_certs:
        return state
    return state.put(replace(cluster, candidate_certs=certificates))
