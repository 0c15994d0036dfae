# SPDX-License-Identifier: BSD-2-Clause
"""The versions of the protocol between nodes, so that nodes of two releases can work together.

A caller sends the versions that it speaks in the header ``X-Ganeti-Protocol``: ``OLDEST-NEWEST``;
a node answers if it speaks one of them. ``NEWEST`` grows when a call or an answer changes so that
another release could misunderstand it, and ``OLDEST`` is then at most one less: all nodes of a
cluster can be upgraded one after the other. Requests without the header have version 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ganeti import __version__
from ganeti.errors import GanetiError, ProtocolError

PROTOCOL_HEADER = "X-Ganeti-Protocol"

_VERSIONS = re.compile(r"([1-9][0-9]{0,5})-([1-9][0-9]{0,5})")


class IncompatibleProtocol(GanetiError):
    """The caller and the node speak no common version of the protocol; nothing was executed."""

    wire = "IncompatibleProtocol"


@dataclass(frozen=True)
class ProtocolVersions:
    """The versions from ``oldest`` to ``newest``."""

    oldest: int
    newest: int

    def __str__(self) -> str:
        return f"{self.oldest}-{self.newest}"

    def meets(self, other: ProtocolVersions) -> bool:
        """Return whether there is a version that both speak."""
        return self.oldest <= other.newest and other.oldest <= self.newest


FIRST = ProtocolVersions(1, 1)
"""Those of releases that send no header."""

OWN = ProtocolVersions(1, 2)
"""Version 2 has the header."""


def parse_versions(text: str) -> ProtocolVersions:
    """Parse the value of the header.

    :raises ProtocolError: it is malformed.
    """
    found = _VERSIONS.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ProtocolError(f"the header {PROTOCOL_HEADER} is malformed")
    return ProtocolVersions(int(found[1]), int(found[2]))


def require_common(caller: str, theirs: ProtocolVersions, own: ProtocolVersions = OWN) -> None:
    """Check that a caller speaks a version of this node.

    :raises IncompatibleProtocol: it does not; the message has the versions of both.
    """
    if theirs.meets(own):
        return
    older = "this node" if own.newest < theirs.newest else caller
    raise IncompatibleProtocol(
        f"{caller} speaks versions {theirs} of the protocol between nodes, this node speaks {own}"
        f" (release {__version__}); upgrade {older}"
    )
