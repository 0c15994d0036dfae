# SPDX-License-Identifier: BSD-2-Clause
"""The handshake of instance moves between clusters.

Each message is signed with the cluster domain secret that both clusters share; the forms are those
of Ganeti.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Refused
from ganeti.operations.operation import Identifiers, Tools
from ganeti.pki.signatures import DomainSecret
from ganeti.schema.types import JsonValue

VERSION = 0
"""The version of the handshake."""

KEY_LIFETIME = 86400
"""Lifetime of the key of a move in seconds."""

_TEXT = "Hi, I'm Ganeti"
_FILE = "/cluster-domain-secret"
_SALT = 16
_MAGIC = re.compile(r"\A[-_.a-zA-Z0-9]{5,100}\Z")


@dataclass(frozen=True)
class ImportEndpoint:
    """The address where a disk is received, and the token that its sender must transmit first."""

    host: str
    port: int
    magic: str


@dataclass(frozen=True)
class Handshake:
    """The creation and verification of messages signed with the cluster domain secret."""

    secret: DomainSecret
    ids: Identifiers

    def handshake(self) -> list[JsonValue]:
        """Return the handshake that authorizes this cluster at the destination."""
        return [VERSION, *self._sign(f"{VERSION}:{_TEXT}")]

    def check_handshake(self, given: Sequence[object]) -> None:
        """Check the handshake of a source cluster.

        :raises Refused: the source has another secret, or another version of the handshake.
        """
        match given:
            case [int(version), str(signature), str(salt)]:
                if version != VERSION:
                    raise Refused(
                        f"the source cluster has version {version} of the handshake, this cluster"
                        f" version {VERSION}",
                        Code.INPUT,
                    )
                self._check(f"{version}:{_TEXT}", salt, signature, "the source's handshake")
            case _:
                raise Refused("source_handshake must be [version, signature, salt]", Code.INPUT)

    def sign_key_name(self, name: str) -> list[JsonValue]:
        """Return the signed name of a key, which only this cluster accepts back."""
        return [name, *self._sign(name)]

    def check_key_name(self, given: Sequence[object]) -> str:
        """Return the name of a key from its signed form.

        :raises Refused: this cluster has not signed it.
        """
        match given:
            case [str(name), str(signature), str(salt)]:
                self._check(name, salt, signature, "the key name")
                return name
        raise Refused("x509_key_name must be [name, signature, salt]", Code.INPUT)

    def place(self, index: int, place: ImportEndpoint) -> list[JsonValue]:
        """Return the signed endpoint of a disk, for the source."""
        text = f"{index}:{place.host}:{place.port}:{place.magic}"
        return [place.host, place.port, place.magic, *self._sign(text)]

    def check_endpoint(self, index: int, given: object) -> ImportEndpoint:
        """Return the endpoint of a disk from its signed form.

        :raises Refused: it was not signed with this cluster's secret.
        """
        match given:
            case [str(host), int(port), str(magic), str(signature), str(salt)]:
                if not 0 < port < 65536 or not _MAGIC.match(magic):
                    raise Refused(
                        f"the endpoint of disk {index} has an invalid port or magic", Code.INPUT
                    )
                text = f"{index}:{host}:{port}:{magic}"
                self._check(text, salt, signature, f"the endpoint of disk {index}")
                return ImportEndpoint(host, port, magic)
        raise Refused(
            f"the endpoint of disk {index} must be [host, port, magic, signature, salt]",
            Code.INPUT,
        )

    def certificate(self, pem: str) -> str:
        """Return a certificate signed for the other cluster."""
        return self.secret.sign_certificate(pem, self._salt())

    def check_certificate(self, text: str) -> str:
        """Return the other cluster's certificate (PEM) from its signed form.

        :raises Refused: it was not signed with this cluster's secret.
        """
        return self.secret.check_certificate(text)

    def magic(self) -> str:
        """Return a new random token."""
        return self.ids.secret()

    def _salt(self) -> str:
        return self.ids.secret()[:_SALT]

    def _sign(self, text: str) -> list[str]:
        salt = self._salt()
        return [self.secret.sign(text, salt), salt]

    def _check(self, text: str, salt: str, signature: str, what: str) -> None:
        if not self.secret.check(text, salt, signature):
            raise Refused(
                f"{what} was not signed with this cluster's domain secret; install the same secret"
                " on both clusters: gnt-cluster renew-crypto --cluster-domain-secret",
                Code.INPUT,
            )


async def proofs(tools: Tools) -> Handshake:
    """Return the handshake with this cluster's secret.

    :raises Refused: the cluster has no secret.
    """
    for file in await tools.shared.read():
        if file.path.endswith(_FILE):
            return Handshake(DomainSecret.read(file.content), tools.ids)
    raise Refused(
        "this cluster has no domain secret, which moves between clusters require; create one by"
        " gnt-cluster renew-crypto --new-cluster-domain-secret, and install it on the other"
        " cluster, too"
    )
