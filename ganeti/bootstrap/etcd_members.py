# SPDX-License-Identifier: BSD-2-Clause
"""Members of etcd for the cluster's state: their certificates and command lines.

They have an authority of their own. With the cluster's authority, every node could change the
state; clients with a certificate of this one are master candidates only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ganeti.journal.etcd.member_files import authority_file, certificate_file, data_folder
from ganeti.pki.authority import Authority

CLIENT_PORT, PEER_PORT = 2379, 2380

CLIENT = "state-store-client"
"""The name in the certificate of clients; etcd checks its issuer only."""

PACKAGE = "etcd-server"
"""The Debian package with etcd."""

QUOTA = 2 << 30
"""Bytes that a member's database may have; etcd refuses changes beyond it."""

KEPT_REVISIONS = 1000
"""Revisions that automatic compaction keeps; a read needs those since its beginning."""


@dataclass(frozen=True)
class EtcdMember:
    """A member: its name, its address, and the folder with its database and certificates."""

    name: str
    address: str
    folder: str

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return _url(self.address, CLIENT_PORT)

    @property
    def peer(self) -> str:
        """The URL for other members."""
        return _url(self.address, PEER_PORT)

    @property
    def authority(self) -> str:
        """The file with the certificate of the authority."""
        return authority_file(self.folder)

    @property
    def certificate(self) -> str:
        """The file with key and certificate."""
        return certificate_file(self.folder)

    def command(self, members: Iterable[EtcdMember], *, new: bool = True) -> list[str]:
        """Return the command line; ``members`` are those of the first start, including this one.

        ``new`` founds a cluster of them; otherwise it exists, and this one was added to it.
        """
        own, trusted = self.certificate, self.authority
        return [
            "etcd",
            f"--name={self.name}",
            f"--data-dir={data_folder(self.folder)}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer}",
            f"--initial-cluster={','.join(f'{each.name}={each.peer}' for each in members)}",
            f"--initial-cluster-state={'new' if new else 'existing'}",
            *(f"--cert-file={own}", f"--key-file={own}", f"--trusted-ca-file={trusted}"),
            "--client-cert-auth",
            *(f"--peer-cert-file={own}", f"--peer-key-file={own}"),
            *(f"--peer-trusted-ca-file={trusted}", "--peer-client-cert-auth"),
            f"--quota-backend-bytes={QUOTA}",
            "--auto-compaction-mode=revision",
            f"--auto-compaction-retention={KEPT_REVISIONS}",
            # The default of etcd 3.4 is another logger.
            "--logger=zap",
            "--log-outputs=stderr",
        ]


@dataclass(frozen=True)
class StoreCertificates:
    """The authority's certificate, and keys with certificates of the client and of members."""

    authority: bytes
    client: bytes
    members: Mapping[str, bytes]


def issue_certificates(
    cluster: str, members: Iterable[EtcdMember], now: float
) -> StoreCertificates:
    """Create an authority for the state store of a cluster, and issue its certificates.

    The authority's key is not kept: members and clients are replaced together.
    """
    authority = Authority.founded(f"{cluster} (state store)", now)
    return StoreCertificates(
        authority.certificate,
        authority.credentials([CLIENT], now).pem,
        {each.name: authority.credentials(list_member_names(each), now).pem for each in members},
    )


def list_member_names(member: EtcdMember) -> list[str]:
    """Return the names in the certificate of a member.

    Members reject each other unless the source address of a connection is one of them, and that is
    127.0.0.1 between loopback addresses.
    """
    local = ["127.0.0.1"] if member.address.startswith("127.") else []
    return list(dict.fromkeys((member.name, member.address, *local)))


def _url(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"https://{host}:{port}"
