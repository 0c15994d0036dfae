# SPDX-License-Identifier: BSD-2-Clause
"""Records of access control: certificate authorities, node certificates, spent join tokens."""

from __future__ import annotations

from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Lines


class Authorities(Record, omit_defaults=True):
    """The certificate authorities that the cluster trusts; ``uuid`` is the cluster's.

    ``certificates`` (PEM) has the newest first; there is more than one only while a replacement is
    unfinished. ``key_exposed`` is true if a node that is no longer a master candidate may know the
    newest key, ``secrets_exposed`` if it may know the other secrets that candidates share.
    ``offline_candidates`` are nodes (UUIDs) that were candidates until they went offline, and still
    have the secrets.
    """

    uuid: Line
    certificates: tuple[Lines, ...]
    key_exposed: bool = False
    secrets_exposed: bool = False
    offline_candidates: tuple[Line, ...] = ()

    @property
    def must_be_replaced(self) -> bool:
        """Whether a replacement is unfinished or due."""
        return len(self.certificates) > 1 or self.key_exposed or self.secrets_exposed


class NodeCertificates(Record):
    """The certificates that a node may present; ``uuid`` is the node's.

    ``fingerprints`` are SHA-256 digests of the DER form, in hex, the newest last. There are two
    while the node's certificate is being replaced.
    """

    uuid: Line
    fingerprints: tuple[Line, ...]


class SpentToken(Record):
    """A join token that a node has used to get its certificate; ``uuid`` is the token's nonce.

    The record expires at ``until`` (seconds since the epoch). Until then the token cannot be used
    for another certificate, and a repeated request with the same digest (``application``) gets the
    same ``certificate`` (PEM), so that a node whose connection was cut can ask again.
    """

    uuid: Line
    node: Line
    until: Count
    application: Line
    certificate: Lines
    fingerprint: Line
