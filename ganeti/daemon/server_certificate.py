# SPDX-License-Identifier: BSD-2-Clause
"""The certificate with which a server shows who it is, and the terms of its TLS connections."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509, PKey
from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS, Connection, Context
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from ganeti.errors import Code, Failed

CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL")
"""For TLS 1.2, with forward secrecy; those of TLS 1.3 all have it."""


HTTP = b"http/1.1"


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """Make TLS connections with the certificate and the key in two files, which may be one.

    The first certificate is the server's; others in the file are sent with it.
    """

    def __init__(self, certificate: str, key: str) -> None:
        """Read the files.

        :raises Failed: they cannot be used; the text says why, and what to do.
        """
        self._files = certificate, key
        self.reload()

    @property
    def path(self) -> str:
        """The file with the certificate."""
        return self._files[0]

    def reload(self) -> None:
        """Let connections that are made from now on use the files as they are now.

        :raises Failed: they cannot be used; everything stays as it was.
        """
        certificate, key = self._files
        try:
            self._context = _context(_read(certificate), _read(key))
        except FileNotFoundError:
            raise Failed(
                f"there is no certificate in {certificate} with a key in {key}; gnt-cluster"
                " renew-crypto makes them, and --no-ssl serves without",
                Code.ENVIRONMENT,
            ) from None
        except (OSError, ValueError, TypeError) as e:
            raise Failed(
                f"{certificate} cannot be used with the key in {key}: {e}", Code.ENVIRONMENT
            ) from None

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """Return the TLS side of a connection that was accepted."""
        return Connection(self._context, None)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _context(certificates: bytes, private_key: bytes) -> Context:
    own, *chain = load_pem_x509_certificates(certificates)
    # Fails for an encrypted key: OpenSSL would ask for its password on a terminal.
    key: Any = load_pem_private_key(private_key, password=None)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if own.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise ValueError("the key belongs to another certificate")
    options = CertificateOptions(
        privateKey=PKey.from_cryptography_key(key),
        certificate=X509.from_cryptography(own),
        extraCertChain=[X509.from_cryptography(each) for each in chain],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableCiphers=CIPHERS,
        # A client resumes its session by a ticket, which costs the server no memory.
        enableSessionTickets=True,
    )
    context = options.getContext()
    # Not by acceptableProtocols, which ends the connection of a client that offers others only.
    context.set_alpn_select_callback(_select_protocol)
    return context


def _select_protocol(_: Connection, offered: list[bytes]) -> Any:  # the sentinel's type is hidden
    return HTTP if HTTP in offered else NO_OVERLAPPING_PROTOCOLS
