# SPDX-License-Identifier: BSD-2-Clause
"""What proves who is who in the cluster: authorities, certificates of nodes, spent tokens."""

from __future__ import annotations

from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Lines


class Authorities(Record):
    """The certificate authorities that the cluster trusts; ``uuid`` is the cluster's.

    ``certificates`` (PEM) has the newest first. It is the only one, unless the replacement of the
    one before is unfinished. ``key_exposed`` is whether a node may know the key of the newest that
    is no master candidate any more, ``secrets_exposed`` the same of the other secrets that
    candidates share.
    """

    uuid: Line
    certificates: tuple[Lines, ...]
    key_exposed: bool = False
    secrets_exposed: bool = False

    @property
    def must_be_replaced(self) -> bool:
        """Whether a replacement is unfinished, or has to begin."""
        return len(self.certificates) > 1 or self.key_exposed or self.secrets_exposed


class NodeCertificates(Record):
    """The certificates that a node may show; ``uuid`` is the node's.

    Each is the SHA-256 digest of the certificate in DER, in hex, the newest last. There are two
    while the node changes from one to the next.
    """

    uuid: Line
    fingerprints: tuple[Line, ...]


class SpentToken(Record):
    """A token by which a node has got its certificate; ``uuid`` is the token's nonce.

    It is kept ``until`` a time in seconds since the epoch, so that it does not work twice, and so
    that the same ``application``, given by its digest, gets the same ``certificate`` (PEM) again.
    """

    uuid: Line
    node: Line
    until: Count
    application: Line
    certificate: Lines
    fingerprint: Line
