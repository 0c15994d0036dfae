# SPDX-License-Identifier: BSD-2-Clause
"""Who the members of the cluster are: what a node must know to tell callers apart."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ganeti.rpc.call import Call
from ganeti.rpc.callers import CallerRole
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Lines


class MemberRecords(Record):
    """The nodes of the cluster by name, with the certificates that they may show.

    A certificate is given by its fingerprint, as ``Peer`` has it. A node has two while it changes
    from one to the next. ``candidates`` are the names of the master candidates, the master among
    them. Of two lists of one term, the one with the higher ``revision`` is the newer.

    ``authorities`` are the certificates (PEM) of the authorities that all members trust, the newest
    first; a node keeps those that it has if there are none.
    """

    revision: Count
    certificates: dict[Line, tuple[Line, ...]]
    candidates: tuple[Line, ...]
    authorities: tuple[Lines, ...] = ()

    def names(self) -> Iterator[tuple[str, str]]:
        """Return each fingerprint with the name of its node."""
        for name, fingerprints in self.certificates.items():
            for fingerprint in fingerprints:
                yield fingerprint, name

    def role(self, name: str, master: str) -> CallerRole:
        """Return what the node ``name`` is to a node that has accepted ``master``."""
        if name not in self.certificates:
            return CallerRole.STRANGER
        if name == master:
            return CallerRole.MASTER
        return CallerRole.CANDIDATE if name in self.candidates else CallerRole.NODE

    def says_the_same(self, other: MemberRecords) -> bool:
        """Whether both tell the same, whichever is newer."""
        return self == msgspec.structs.replace(other, revision=self.revision)


class MemberFile(Record):
    """A list of members and the term of the master that sent it, as they are in a node's file."""

    term: Count
    members: MemberRecords


class UpdateMembers(Call[Count]):
    """Replace the node's list of members; the answer is the revision that the node keeps now.

    From that moment on the node refuses those that are not in it, also on open connections.
    """

    wire = "members_update"
    call_timeout = 10

    members: MemberRecords
