# SPDX-License-Identifier: BSD-2-Clause
"""Who calls a node: the roles of callers, and what proves that a caller has one.

A certificate of the cluster's authority is only the ticket to be heard. What its owner may call
follows from its role, which the node looks up for every request by the certificate's fingerprint,
so that a certificate that was revoked is refused on connections that are open, too.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from ganeti.errors import GanetiError


class CallerRole(enum.StrEnum):
    """What a caller is to the node that it calls."""

    STRANGER = "stranger"
    NODE = "node"
    CANDIDATE = "candidate"
    MASTER = "master"


MEMBERS = frozenset(CallerRole) - {CallerRole.STRANGER}
ELECTORATE = frozenset({CallerRole.CANDIDATE, CallerRole.MASTER})
MASTER_ONLY = frozenset({CallerRole.MASTER})


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, as its certificate has it.

    ``fingerprint`` is the SHA-256 digest of the certificate in DER, in hex. ``name`` is the
    certificate's common name: good for a log, but it decides nothing.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer with the role that it has now.

    ``name`` is that of the node whose certificate it has shown, or what a log calls it.
    ``local`` says whether that is the very node that is called.
    """

    role: CallerRole
    name: str
    local: bool = False


class Callers(Protocol):
    """Knows the members of the cluster and whom this node has accepted as the master."""

    def identify(self, peer: Peer | None) -> Caller:
        """Return the peer with its role at this moment."""
        ...


class Forbidden(GanetiError):
    """The caller's role does not include this call; nothing was done."""

    wire = "Forbidden"
