# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's certificate authority is replaced by another one."""

from __future__ import annotations

from collections.abc import Collection

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.model.access import Authorities
from ganeti.schema.records import replace


def expose(state: ClusterState) -> ClusterState:
    """Note that a node may know the secrets of the candidates that is none any more."""
    known = state.authorities
    if known is None:
        return state
    return state.put(replace(known, key_exposed=True, secrets_exposed=True))


def secrets_replaced(state: ClusterState) -> ClusterState:
    """Note that nobody but the candidates knows the secrets beside the authority's key."""
    known = state.authorities
    return state if known is None else state.put(replace(known, secrets_exposed=False))


def trust(certificate: str, *others: str) -> Change:
    """Trust a new authority, given by its certificate, whose key only candidates will know.

    The ``others`` are those that are trusted besides, the newest first.
    """

    def change(state: ClusterState) -> ClusterState:
        known = state.authorities
        exposed = known is not None and known.secrets_exposed
        uuid = state.cluster.uuid
        return state.put(
            Authorities(uuid=uuid, certificates=(certificate, *others), secrets_exposed=exposed)
        )

    return change


def forget_certificates(members: Collection[str]) -> Change:
    """Forget the certificates of all nodes but those with these UUIDs: they have to join again."""

    def change(state: ClusterState) -> ClusterState:
        for known in state.certificates.values():
            if known.uuid not in members:
                state = state.remove(known)
        return state

    return change
