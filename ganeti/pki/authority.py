# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's own certificate authority, and the certificates that it issues.

Importing this loads ``cryptography``: only who makes certificates should.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

from ganeti.errors import Code, Failed, Invalid
from ganeti.pki.enrolment import fingerprint

AUTHORITY_LIFE = timedelta(days=20 * 365)
CERTIFICATE_LIFE = timedelta(days=1825)
"""As long as existing clusters let theirs be valid."""

SKEW = timedelta(days=1)
"""Certificates begin in the past by this much: the clocks of hosts differ."""

NODE_USAGE = (Usage.SERVER_AUTH, Usage.CLIENT_AUTH)
SERVER_USAGE = (Usage.SERVER_AUTH,)


@dataclass(frozen=True)
class Credentials:
    """A private key and the certificate for it, both PEM."""

    key: bytes
    certificate: bytes

    @property
    def pem(self) -> bytes:
        """Both in one file, as the daemons read them."""
        return self.key + self.certificate


class Authority:
    """A certificate and the key that issues others in its name.

    ``trusted`` are the certificates of all authorities of the cluster, this one among them: while
    the authority is being replaced there are two.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        trusted: Sequence[x509.Certificate] = (),
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._trusted = tuple(trusted) or (certificate,)

    @classmethod
    def founded(cls, cluster: str, now: float) -> Authority:
        """A new authority for a cluster; ``now`` in seconds since the epoch."""
        key = ec.generate_private_key(ec.SECP256R1())
        # With a number: some software finds the issuer of a certificate by its name alone, and a
        # cluster that replaces its authority has two of them for a while.
        number = x509.NameAttribute(NameOID.SERIAL_NUMBER, secrets.token_hex(8))
        name = x509.Name([*_named(f"authority of cluster {cluster}"), number])
        usage = dict.fromkeys(_KEY_USAGES, False) | {"key_cert_sign": True}
        builder = (
            _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
        )
        return cls(builder.sign(key, SHA256()), key)

    @classmethod
    def loaded(cls, certificates: bytes, key: bytes) -> Authority:
        """The authority from its two files: that one of ``certificates`` which the key belongs to.

        :raises Failed: they are damaged, or do not belong together.
        """
        try:
            trusted = x509.load_pem_x509_certificates(certificates)
            private = load_pem_private_key(key, password=None)
        except ValueError as e:
            raise Failed(f"the authority cannot be read: {e}", Code.ENVIRONMENT) from None
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        own = [each for each in trusted if each.public_key() == private.public_key()]
        if not own:
            raise Failed(
                "the authority's key does not belong to its certificate; make a new authority:"
                " gnt-cluster renew-crypto --new-cluster-certificate",
                Code.ENVIRONMENT,
            )
        return cls(own[0], private, trusted)

    @property
    def certificate(self) -> bytes:
        """PEM; public."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def key(self) -> bytes:
        """PEM; secret."""
        return _key_pem(self._key)

    @property
    def fingerprint(self) -> str:
        """What stands for this authority in tokens."""
        return fingerprint(self.certificate)

    def has_issued(self, pem: bytes) -> bool:
        """Whether the first certificate in ``pem`` is of an authority of this cluster."""
        try:
            found = x509.load_pem_x509_certificates(pem[pem.find(b"-----BEGIN CERT") :])[0]
        except ValueError:
            return False
        return any(_issued(found, each) for each in self._trusted)

    def issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        names: Iterable[str],
        now: float,
        *,
        usage: Iterable[x509.ObjectIdentifier] = NODE_USAGE,
        life: timedelta = CERTIFICATE_LIFE,
    ) -> bytes:
        """A certificate, PEM, for host names and IP addresses; the first is its common name."""
        first, *_ = names = list(names)
        issuer = self._certificate.public_key()
        assert isinstance(issuer, ec.EllipticCurvePublicKey)
        builder = (
            _builder(_named(first), self._certificate.subject, public_key, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(_alternative, names)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
            )
        )
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def credentials(
        self,
        names: Iterable[str],
        now: float,
        *,
        usage: Iterable[x509.ObjectIdentifier] = NODE_USAGE,
        life: timedelta = CERTIFICATE_LIFE,
    ) -> Credentials:
        """A new key with a certificate for ``names``, for this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self.issue(key.public_key(), names, now, usage=usage, life=life)
        return Credentials(_key_pem(key), issued)

    def grant(self, request: bytes, names: Iterable[str], now: float) -> bytes:
        """The certificate for the key in a signing request, but for *our* ``names``.

        :raises Invalid: the request is none, or not signed by the key that it names.
        """
        try:
            asked = x509.load_pem_x509_csr(request)
            key = asked.public_key()
            genuine = asked.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as e:
            raise Invalid(f"this is no certificate signing request: {e}") from None
        if not genuine or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Invalid("the certificate signing request is not signed by its own P-256 key")
        return self.issue(key, names, now)


def new_request(name: str) -> tuple[bytes, bytes]:
    """A new private key and a signing request for it, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_named(name))
    return _key_pem(key), request.sign(key, SHA256()).public_bytes(Encoding.PEM)


def self_signed(name: str, now: float, life: timedelta) -> Credentials:
    """A new key with a certificate that vouches for itself; a peer must have got it before."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([_alternative(name)])
    builder = _builder(_named(name), _named(name), key.public_key(), now, life)
    certificate = builder.add_extension(names, critical=False).sign(key, SHA256())
    return Credentials(_key_pem(key), certificate.public_bytes(Encoding.PEM))


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: float,
    life: timedelta,
) -> x509.CertificateBuilder:
    moment = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - SKEW)
        .not_valid_after(moment + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _named(name: str) -> x509.Name:
    # A common name has at most 64 characters; the alternative names carry the whole one.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
