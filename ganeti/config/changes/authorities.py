# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the cluster's certificate authorities."""

from __future__ import annotations

from collections.abc import Collection

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.model.access import Authorities
from ganeti.schema.records import replace


def mark_exposed(state: ClusterState) -> ClusterState:
    """Record that a node that is no longer a candidate may know the candidates' secrets."""
    known = state.authorities
    if known is None:
        return state
    return state.put(replace(known, key_exposed=True, secrets_exposed=True))


def was_candidate(state: ClusterState, uuid: str) -> bool:
    """Return whether a node that is offline was a candidate when it went offline."""
    known = state.authorities
    return known is not None and uuid in known.offline_candidates


def record_offline_candidate(state: ClusterState, uuid: str, *, offline: bool) -> ClusterState:
    """Record that a candidate goes offline with the secrets, or that it is back."""
    known = state.authorities
    if known is None:
        return state
    others = tuple(each for each in known.offline_candidates if each != uuid)
    now = (*others, uuid) if offline else others
    if now == known.offline_candidates:
        return state
    return state.put(replace(known, offline_candidates=now))


def record_secrets_replaced(state: ClusterState) -> ClusterState:
    """Record that the secrets other than the authority's key were replaced."""
    known = state.authorities
    return state if known is None else state.put(replace(known, secrets_exposed=False))


def trust(certificate: str, *others: str) -> Change:
    """Trust a new authority, whose key only candidates will know, and ``others``.

    Certificates are PEM; the ``others`` are in order, the newest first.
    """

    def change(state: ClusterState) -> ClusterState:
        known = state.authorities
        # A new authority does not replace the other secrets.
        exposed = known is not None and known.secrets_exposed
        return state.put(
            Authorities(
                uuid=state.cluster.uuid,
                certificates=(certificate, *others),
                secrets_exposed=exposed,
                offline_candidates=() if known is None else known.offline_candidates,
            )
        )

    return change


def forget_certificates(members: Collection[str]) -> Change:
    """Remove the certificates of nodes not in ``members`` (UUIDs), which then must join again."""

    def change(state: ClusterState) -> ClusterState:
        for known in state.certificates.values():
            if known.uuid not in members:
                state = state.remove(known)
        return state

    return change
