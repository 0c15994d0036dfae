# SPDX-License-Identifier: BSD-2-Clause
"""Enrolment: a new node gets its certificate with a short-lived token of the master.

The token contains the address of the master, the fingerprint of the authority to trust, and the
name of the node; only a master candidate can create it. It works once. This module needs only the
standard library and msgspec, so that tools that create tokens start quickly.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import ssl
from typing import Any

import msgspec

from ganeti.errors import Invalid, Refused

TOKEN_VALIDITY = 3600
"""Validity of a token in seconds."""

AUTHORITY_CALL = "enrolment_authority"
ENROL_CALL = "enrolment"
"""The two calls that a node daemon answers to unauthenticated peers."""

NOT_A_CERTIFICATE = "not a certificate in PEM format"

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----", re.ASCII)


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a token; ``until`` in seconds since the epoch, ``nonce`` is unique.

    ``names`` are the names and addresses in the certificate of ``node``; ``authority`` is the
    fingerprint of the authority of ``cluster``. While that is replaced, ``other_authorities`` are
    the fingerprints of the other authorities that the cluster trusts.
    """

    cluster: str
    node: str
    names: tuple[str, ...]
    master: str
    address: str
    port: int
    authority: str
    until: int
    nonce: str
    other_authorities: tuple[str, ...] = ()


class Application(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The application of a new node: the token, and a certificate signing request in PEM format."""

    token: str
    request: str


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a new node: its certificate and the authorities to trust, in PEM format.

    ``members`` is the member list in the form in which nodes store it, so that a new node can
    identify its callers from the start.
    """

    certificate: str
    authority: str
    members: dict[str, Any] | None = None


def derive_secret(authority_key: bytes, domain_secret: bytes) -> bytes:
    """Return the secret for signing tokens, derived from the authority's key and another secret.

    The other secret is replaced when a node that knew both is no longer a master candidate.
    """
    # The label keeps this secret apart from others that are derived from the same key.
    return hmac.digest(authority_key, b"ganeti enrolment tokens\0" + domain_secret, "sha256")


def encode_token(invitation: Invitation, secret: bytes) -> str:
    """Return the token as one word, which can be pasted into a terminal or a mail."""
    content = msgspec.json.encode(invitation)
    return f"{_encode_base64(content)}.{_encode_base64(_sign(content, secret))}"


def read_token(token: str) -> Invitation:
    """Return the content of a token, for the invited node, which cannot verify the signature.

    :raises Invalid: the text is not a token.
    """
    return _split_token(token)[0]


def check_token(token: str, secret: bytes, now: float) -> Invitation:
    """Return the verified content of a token, for the authority.

    :raises Invalid: the text is not a token.
    :raises Refused: the token is of another cluster, or has expired.
    """
    invitation, content, signature = _split_token(token)
    # Before anything in the token is believed.
    if not hmac.compare_digest(signature, _sign(content, secret)):
        raise Refused(
            "the token was not created by this cluster's master; create one with gnt-node add"
        )
    if now >= invitation.until:
        raise Refused("the token has expired; create a new one with gnt-node add on the master")
    return invitation


def fingerprint(pem: bytes) -> str:
    """Return the SHA-256 fingerprint, in hexadecimal, of the first certificate in ``pem``.

    :raises Invalid: there is no certificate.
    """
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(extract_first_certificate(pem))).hexdigest()
    except ValueError:
        raise Invalid(NOT_A_CERTIFICATE) from None


def extract_first_certificate(pem: bytes) -> str:
    """Return the first certificate in ``pem``; empty if there is none."""
    return next(iter(certificates(pem)), "")


def certificates(pem: bytes) -> tuple[str, ...]:
    """Return the certificates in ``pem``; other text and keys are ignored."""
    # In an encoding in which all bytes are valid: other text in the file does not matter.
    return tuple(f"{found}\n" for found in _CERTIFICATE.findall(pem.decode("latin-1")))


def select_pinned(bundle: bytes, invitation: Invitation) -> tuple[str, ...]:
    """Return only the certificates in ``bundle`` whose fingerprints are in the token.

    A man in the middle between the new node and the master could add others.
    """
    known = {invitation.authority, *invitation.other_authorities}
    return tuple(each for each in certificates(bundle) if fingerprint(each.encode()) in known)


def digest(text: str) -> str:
    """Return a digest that identifies ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()


def _split_token(token: str) -> tuple[Invitation, bytes, bytes]:
    try:
        content, signature = (_decode_base64(part) for part in token.strip().split("."))
        return msgspec.json.decode(content, type=Invitation), content, signature
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        raise Invalid(
            "malformed token; give the whole word that gnt-node add has printed"
        ) from None


def _sign(content: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")


def _encode_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _decode_base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
