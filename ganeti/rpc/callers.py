# SPDX-License-Identifier: BSD-2-Clause
"""Roles of callers of a node daemon, and their identification by certificate.

A certificate of the cluster's authority alone grants nothing. Permissions follow from the caller's
role, which the node looks up by the certificate's fingerprint for every request, so that revoking a
certificate also takes effect on open connections.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from ganeti.errors import GanetiError


class CallerRole(enum.StrEnum):
    """The role of a caller, from the view of the called node."""

    UNAUTHENTICATED = "stranger"
    NODE = "node"
    CANDIDATE = "candidate"
    MASTER = "master"


MEMBERS = frozenset(CallerRole) - {CallerRole.UNAUTHENTICATED}
CANDIDATES = frozenset({CallerRole.CANDIDATE, CallerRole.MASTER})
MASTER_ONLY = frozenset({CallerRole.MASTER})


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, identified by its certificate.

    ``fingerprint`` is the SHA-256 digest of the certificate in DER form, in hex. ``name`` is the
    certificate's common name; it is used in logs only, never for permissions.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RpcCaller:
    """A peer with its current role.

    ``name`` is the name of the node that owns the certificate, or a name for the log. ``local`` is
    true if the caller is the called node itself.
    """

    role: CallerRole
    name: str
    local: bool = False


class CallerDirectory(Protocol):
    """The directory of cluster members and of the master that this node has accepted."""

    def identify(self, peer: Peer | None) -> RpcCaller:
        """Return the peer with its current role."""
        ...


class Forbidden(GanetiError):
    """The caller's role does not permit this call; it was not executed."""

    wire = "Forbidden"
