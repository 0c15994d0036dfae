# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's certificate authority, and the certificates that it issues.

Importing this module loads ``cryptography``, which is slow; import it only to create certificates.
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

AUTHORITY_VALIDITY = timedelta(days=20 * 365)
CERTIFICATE_VALIDITY = timedelta(days=1825)
"""The validity of certificates in existing clusters."""

SKEW = timedelta(days=1)
"""Time before now at which validity begins, because the clocks of hosts differ."""

NODE_USAGE = (Usage.SERVER_AUTH, Usage.CLIENT_AUTH)
SERVER_USAGE = (Usage.SERVER_AUTH,)


@dataclass(frozen=True)
class Credentials:
    """A private key and its certificate, both in PEM format."""

    key: bytes
    certificate: bytes

    @property
    def pem(self) -> bytes:
        """Key and certificate in one file, as the daemons read them."""
        return self.key + self.certificate


class Authority:
    """A certificate authority: its certificate, and the key that signs others.

    ``trusted`` are the certificates of all authorities of the cluster, including this one: while
    the authority is replaced there are two.
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
        """Return a new authority for a cluster; ``now`` in seconds since the epoch."""
        key = ec.generate_private_key(ec.SECP256R1())
        # With a number: some software looks up the issuer of a certificate by name only, and a
        # cluster has two authorities while one is replaced.
        number = x509.NameAttribute(NameOID.SERIAL_NUMBER, secrets.token_hex(8))
        name = x509.Name([*_make_name(f"authority of cluster {cluster}"), number])
        usage = dict.fromkeys(_KEY_USAGES, False) | {"key_cert_sign": True}
        builder = (
            _make_builder(name, name, key.public_key(), now, AUTHORITY_VALIDITY)
            # It may issue certificates of nodes, but none of further authorities (RFC 5280, section
            # 4.2.1.9).
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
        )
        return cls(builder.sign(key, SHA256()), key)

    @classmethod
    def loaded(cls, certificates: bytes, key: bytes) -> Authority:
        """Load the authority from its files: the one of ``certificates`` that matches the key.

        :raises Failed: a file is damaged, or the key matches no certificate.
        """
        try:
            trusted = x509.load_pem_x509_certificates(certificates)
            private = load_pem_private_key(key, password=None)
        except ValueError as e:
            raise Failed(f"the authority cannot be loaded: {e}", Code.ENVIRONMENT) from None
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        own = [each for each in trusted if each.public_key() == private.public_key()]
        if not own:
            raise Failed(
                "the key of the authority does not match its certificate; create a new authority"
                " with: gnt-cluster renew-crypto --new-cluster-certificate",
                Code.ENVIRONMENT,
            )
        return cls(own[0], private, trusted)

    @property
    def certificate(self) -> bytes:
        """The certificate in PEM format; public."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def key(self) -> bytes:
        """The private key in PEM format; secret."""
        return _encode_key(self._key)

    @property
    def fingerprint(self) -> str:
        """The fingerprint that identifies this authority in tokens."""
        return fingerprint(self.certificate)

    def has_issued(self, pem: bytes) -> bool:
        """Return whether this cluster has issued the first certificate in ``pem``."""
        try:
            found = x509.load_pem_x509_certificates(pem[pem.find(b"-----BEGIN CERT") :])[0]
        except ValueError:
            return False
        return any(_is_issued_by(found, each) for each in self._trusted)

    def issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        names: Iterable[str],
        now: float,
        *,
        usage: Iterable[x509.ObjectIdentifier] = NODE_USAGE,
        life: timedelta = CERTIFICATE_VALIDITY,
    ) -> bytes:
        """Issue a PEM certificate for host names and IP addresses; the first is its common name."""
        first, *_ = names = list(names)
        issuer = self._certificate.public_key()
        assert isinstance(issuer, ec.EllipticCurvePublicKey)
        builder = (
            _make_builder(_make_name(first), self._certificate.subject, public_key, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(map(_make_alternative_name, names)), critical=False
            )
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
        life: timedelta = CERTIFICATE_VALIDITY,
    ) -> Credentials:
        """Create a key for this host, with a certificate for ``names``."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self.issue(key.public_key(), names, now, usage=usage, life=life)
        return Credentials(_encode_key(key), issued)

    def grant(self, request: bytes, names: Iterable[str], now: float) -> bytes:
        """Issue a certificate for the key in a signing request, with ``names`` only.

        :raises Invalid: the request is malformed, or not signed with its own key.
        """
        try:
            asked = x509.load_pem_x509_csr(request)
            key = asked.public_key()
            genuine = asked.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as e:
            raise Invalid(f"malformed certificate signing request: {e}") from None
        if not genuine or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Invalid("the certificate signing request is not signed by its own P-256 key")
        # The names in the request do not count: a node could ask for those of others.
        return self.issue(key, names, now)


def find_issuer(pem: bytes, authorities: bytes) -> str:
    """Return the fingerprint of the authority that has issued the first certificate in ``pem``.

    It is empty if none of ``authorities`` has, both in PEM format.

    :raises ValueError: there is no certificate.
    """
    found = x509.load_pem_x509_certificates(pem[pem.find(b"-----BEGIN CERT") :])[0]
    for each in x509.load_pem_x509_certificates(authorities):
        if _is_issued_by(found, each):
            return fingerprint(each.public_bytes(Encoding.PEM))
    return ""


def find_missing_names(pem: bytes, names: Iterable[str]) -> list[str]:
    """Return the host names and addresses that the first certificate in ``pem`` is not for.

    :raises ValueError: there is no certificate.
    """
    found = x509.load_pem_x509_certificates(pem[pem.find(b"-----BEGIN CERT") :])[0]
    try:
        known = set(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        known = set()
    return [name for name in names if _make_alternative_name(name) not in known]


def create_request(name: str) -> tuple[bytes, bytes]:
    """Create a private key and a signing request for it, both in PEM format."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_make_name(name))
    return _encode_key(key), request.sign(key, SHA256()).public_bytes(Encoding.PEM)


def create_self_signed(name: str, now: float, life: timedelta) -> Credentials:
    """Create a key with a self-signed certificate, which the peer must receive beforehand."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([_make_alternative_name(name)])
    builder = _make_builder(_make_name(name), _make_name(name), key.public_key(), now, life)
    certificate = builder.add_extension(names, critical=False).sign(key, SHA256())
    return Credentials(_encode_key(key), certificate.public_bytes(Encoding.PEM))


def _is_issued_by(certificate: x509.Certificate, by: x509.Certificate) -> bool:
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


def _make_builder(
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


def _make_name(name: str) -> x509.Name:
    # RFC 5280 limits a common name to 64 characters; the alternative names have the full name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _make_alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
