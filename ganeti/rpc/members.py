# SPDX-License-Identifier: BSD-2-Clause
"""The member list, by which nodes identify callers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ganeti.rpc.call import Call
from ganeti.rpc.callers import CallerRole
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Lines


class MemberRecords(Record):
    """The nodes of the cluster by name, with the certificates that they may present.

    ``certificates`` has fingerprints as in ``Peer``; a node has two while its certificate is being
    replaced. ``candidates`` are the names of the master candidates, including the master. Of two
    lists of one term, the one with the higher ``revision`` is newer. ``authorities`` are the
    certificates (PEM) of trusted authorities, the newest first; if empty, a node keeps its own.
    """

    revision: Count
    certificates: dict[Line, tuple[Line, ...]]
    candidates: tuple[Line, ...]
    authorities: tuple[Lines, ...] = ()

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield each fingerprint with the name of its node."""
        for name, fingerprints in self.certificates.items():
            for fingerprint in fingerprints:
                yield fingerprint, name

    def role(self, name: str, master: str) -> CallerRole:
        """Return the role of node ``name`` for a node that has accepted ``master``."""
        if name not in self.certificates:
            return CallerRole.UNAUTHENTICATED
        if name == master:
            return CallerRole.MASTER
        return CallerRole.CANDIDATE if name in self.candidates else CallerRole.NODE

    def same_content(self, other: MemberRecords) -> bool:
        """Return whether both lists are equal except for their revision."""
        return self == msgspec.structs.replace(other, revision=self.revision)


class MemberFile(Record):
    """The content of a node's member file: the list, and the term of the master that sent it."""

    term: Count
    members: MemberRecords


class UpdateMembers(Call[Count]):
    """Replace the node's member list; return the revision that the node has now.

    The node then refuses callers that are not in the list, also on open connections.
    """

    wire = "members_update"
    call_timeout = 10

    members: MemberRecords
