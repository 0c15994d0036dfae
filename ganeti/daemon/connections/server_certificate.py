# SPDX-License-Identifier: BSD-2-Clause
"""The certificate of a server, and the TLS settings of its connections."""

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
"""Ciphers of TLS 1.2 with forward secrecy; all ciphers of TLS 1.3 have it."""


HTTP = b"http/1.1"


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """Creates TLS connections with the certificate and the key in two files, which may be the same.

    The first certificate is the server's; further ones are its chain.
    """

    def __init__(self, certificate: str, key: str) -> None:
        """Load the files.

        :raises Failed: if they cannot be used; the message says what to do.
        """
        self._files = certificate, key
        self.reload()

    @property
    def path(self) -> str:
        """The path of the certificate file."""
        return self._files[0]

    def reload(self) -> None:
        """Use the current files for new connections.

        :raises Failed: if they cannot be used; the previous ones remain in use.
        """
        certificate, key = self._files
        try:
            self._context = _context(_read(certificate), _read(key))
        except FileNotFoundError:
            raise Failed(
                f"there is no certificate in {certificate} with a key in {key}; create them with"
                " gnt-cluster renew-crypto, or serve without TLS with --no-ssl",
                Code.ENVIRONMENT,
            ) from None
        except (OSError, ValueError, TypeError) as e:
            raise Failed(
                f"{certificate} cannot be used with the key in {key}: {e}", Code.ENVIRONMENT
            ) from None

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """Return the TLS connection for an accepted connection."""
        return Connection(self._context, None)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _context(certificates: bytes, private_key: bytes) -> Context:
    own, *chain = load_pem_x509_certificates(certificates)
    # No password: an encrypted key fails here; otherwise OpenSSL would prompt for it.
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
        # Tickets resume sessions without state in the server.
        enableSessionTickets=True,
    )
    context = options.getContext()
    # Not acceptableProtocols, which closes the connections of clients that offer only other
    # protocols.
    context.set_alpn_select_callback(_select_protocol)
    return context


def _select_protocol(
    _: Connection, offered: list[bytes]
) -> Any:  # the type of the sentinel is private
    return HTTP if HTTP in offered else NO_OVERLAPPING_PROTOCOLS
