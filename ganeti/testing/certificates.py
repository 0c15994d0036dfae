# SPDX-License-Identifier: BSD-2-Clause
"""Certificates without cryptography: the same from the same history, and of the same length.

What they say is as real ones say it: who has issued them, for whom. Nothing proves it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from functools import cache

import msgspec

from ganeti.errors import Failed
from ganeti.operations.operation import NewAuthority
from ganeti.paths import Paths
from ganeti.pki.enrolment import certificates, extract_first_certificate, fingerprint
from ganeti.system.interfaces import IFiles


class Content(msgspec.Struct, frozen=True):
    """What such a certificate says; no two have the same number."""

    issuer: str
    subject: str
    number: int


def certificate(issuer: str, subject: str, number: int) -> str:
    """Return a certificate, in PEM."""
    return ssl.DER_cert_to_PEM_cert(msgspec.json.encode(Content(issuer, subject, number)))


@cache
def content(pem: bytes) -> Content:
    """Return what the first certificate in ``pem`` says."""
    der = ssl.PEM_cert_to_DER_cert(extract_first_certificate(pem))
    return msgspec.json.decode(der, type=Content)


@cache
def is_issued_by(pem: bytes, trusted: bytes) -> bool:
    """Return whether one of the authorities in ``trusted`` has issued a certificate."""
    authorities = {content(each.encode()).subject for each in certificates(trusted)}
    return content(pem).issuer in authorities


class MemoryKeys:
    """The keys and secrets of the cluster on one host, and an issuer of certificates.

    It implements ``ClusterKeys`` and ``CertificateIssuer``.

    ``numbers`` tell all that is made apart.
    """

    def __init__(self, files: IFiles, paths: Paths, numbers: Iterator[int]) -> None:
        self._files = files
        self._paths = paths
        self._numbers = numbers

    async def renew_secrets(self) -> None:
        secret = f"secret {next(self._numbers)}\n"
        await self._files.replace(self._paths.domain_secret, secret.encode(), mode=0o600)
        await self.renew_rapi()

    async def renew_rapi(self) -> None:
        pem = await self.issue(b"", ["rapi"])
        await self._files.replace(self._paths.rapi_certificate, pem, mode=0o600)

    async def generate_authority(self, cluster: str) -> NewAuthority:
        return new_authority(next(self._numbers))

    async def use_authority(self, key: bytes) -> None:
        await self._files.replace(self._paths.authority_key, key, mode=0o600)

    async def issuing_authority(self) -> str | None:
        pem = self._issuing()
        return fingerprint(pem) if pem else None

    async def trusted_authorities(self) -> Sequence[str]:
        return certificates(self._files.read(self._paths.authority))

    async def issue(self, request: bytes, names: Sequence[str]) -> bytes:
        pem = self._issuing()
        if not pem:
            raise Failed("the authority's key does not belong to its certificate")
        return certificate(content(pem).subject, names[0], next(self._numbers)).encode()

    def _issuing(self) -> bytes:
        if self._files.stat(self._paths.authority_key) is None:
            return b""
        key = self._files.read(self._paths.authority_key)
        trusted = certificates(self._files.read(self._paths.authority))
        found = [each.encode() for each in trusted if key_of(each.encode()) == key]
        return found[0] if found else b""


def new_authority(number: int) -> NewAuthority:
    """Return an authority, whose key says for which certificate it is."""
    name = f"authority {number}"
    made = certificate(name, name, number)
    return NewAuthority(made, key_of(made.encode()))


def key_of(authority: bytes) -> bytes:
    """Return the key for the certificate of an authority."""
    return f"key of {content(authority).subject}\n".encode()
