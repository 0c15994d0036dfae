# SPDX-License-Identifier: BSD-2-Clause
"""What clusters that move instances between each other prove to each other.

Each proof is a text signed with the secret that both share; the forms are those that clusters and
tools of the established software exchange.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.errors import Code, Refused
from ganeti.operations.operation import Identifiers, Tools
from ganeti.pki.signatures import DomainSecret

VERSION = 0
"""Of the handshake; another one is refused."""

KEY_LIFE = 86400
"""Seconds for which the key of a move is valid."""

_TEXT = "Hi, I'm Ganeti"
_FILE = "/cluster-domain-secret"
_SALT = 16
_MAGIC = re.compile(r"\A[-_.a-zA-Z0-9]{5,100}\Z")


@dataclass(frozen=True)
class ImportEndpoint:
    """Where a disk is awaited, and what its sender must say first."""

    host: str
    port: int
    magic: str


@dataclass(frozen=True)
class Proofs:
    """Makes and checks proofs with the cluster's secret."""

    secret: DomainSecret
    ids: Identifiers

    def handshake(self) -> list[Any]:
        """What shows a destination that this cluster may send to it."""
        return [VERSION, *self._signed(f"{VERSION}:{_TEXT}")]

    def check_handshake(self, given: Sequence[Any]) -> None:
        """:raises Refused: the source does not have our secret, or is of another version."""
        match given:
            case [int(version), str(signature), str(salt)]:
                if version != VERSION:
                    raise Refused(
                        f"the source cluster speaks version {version} of the protocol of moves,"
                        f" and this one version {VERSION}",
                        Code.INPUT,
                    )
                self._check(f"{version}:{_TEXT}", salt, signature, "the handshake of the source")
            case _:
                raise Refused("source_handshake is not [version, signature, salt]", Code.INPUT)

    def key_name(self, name: str) -> list[Any]:
        """The name of a key, such that only we believe it when we get it back."""
        return [name, *self._signed(name)]

    def check_key_name(self, given: Sequence[Any]) -> str:
        """The name of a key that we gave away.

        :raises Refused: it is not ours.
        """
        match given:
            case [str(name), str(signature), str(salt)]:
                self._check(name, salt, signature, "the name of the key")
                return name
        raise Refused("x509_key_name is not [name, signature, salt]", Code.INPUT)

    def place(self, index: int, place: ImportEndpoint) -> list[Any]:
        """Where a disk is awaited, for the source."""
        text = f"{index}:{place.host}:{place.port}:{place.magic}"
        return [place.host, place.port, place.magic, *self._signed(text)]

    def check_place(self, index: int, given: Any) -> ImportEndpoint:
        """Where the destination awaits a disk.

        :raises Refused: it was not the destination that said so.
        """
        match given:
            case [str(host), int(port), str(magic), str(signature), str(salt)]:
                if not 0 < port < 65536 or not _MAGIC.match(magic):
                    raise Refused(f"disk {index} has no valid port and magic", Code.INPUT)
                text = f"{index}:{host}:{port}:{magic}"
                self._check(text, salt, signature, f"where disk {index} is awaited")
                return ImportEndpoint(host, port, magic)
        raise Refused(
            f"where disk {index} is awaited is not [host, port, magic, signature, salt]",
            Code.INPUT,
        )

    def certificate(self, pem: str) -> str:
        """A certificate, signed for the other cluster."""
        return self.secret.sign_certificate(pem, self._salt())

    def check_certificate(self, text: str) -> str:
        """The other cluster's certificate, in PEM.

        :raises Refused: it was not signed with our secret.
        """
        return self.secret.check_certificate(text)

    def magic(self) -> str:
        """What nobody else says."""
        return self.ids.secret()

    def _salt(self) -> str:
        return self.ids.secret()[:_SALT]

    def _signed(self, text: str) -> list[str]:
        salt = self._salt()
        return [self.secret.sign(text, salt), salt]

    def _check(self, text: str, salt: str, signature: str, what: str) -> None:
        if not self.secret.check(text, salt, signature):
            raise Refused(
                f"{what} was not signed with this cluster's domain secret; both clusters need the"
                " same one (gnt-cluster renew-crypto --cluster-domain-secret)",
                Code.INPUT,
            )


async def proofs(tools: Tools) -> Proofs:
    """Proofs by the secret of this cluster.

    :raises Refused: it has none.
    """
    for file in await tools.shared.read():
        if file.path.endswith(_FILE):
            return Proofs(DomainSecret.read(file.content), tools.ids)
    raise Refused(
        "this cluster has no domain secret, which moves between clusters need; make one by"
        " gnt-cluster renew-crypto --new-cluster-domain-secret, and give it to the other, too"
    )
