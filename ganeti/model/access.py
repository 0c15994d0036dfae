# SPDX-License-Identifier: BSD-2-Clause
"""What proves who is who in the cluster: certificates of nodes, and tokens that were spent."""

from __future__ import annotations

from ganeti.schema.records import Record


class NodeCertificates(Record):
    """The certificates that a node may show; ``uuid`` is the node's.

    Each is the SHA-256 digest of the certificate in DER, in hex, the newest last. There are two
    while the node changes from one to the next.
    """

    uuid: str
    fingerprints: tuple[str, ...]


class SpentToken(Record):
    """A token by which a node has got its certificate; ``uuid`` is the token's nonce.

    It is kept ``until`` a time in seconds since the epoch, so that it does not work twice, and so
    that the same ``application``, given by its digest, gets the same ``certificate`` (PEM) again.
    """

    uuid: str
    node: str
    until: int
    application: str
    certificate: str
    fingerprint: str
