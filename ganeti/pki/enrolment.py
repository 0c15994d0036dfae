# SPDX-License-Identifier: BSD-2-Clause
"""How a node that has nothing gets its certificate: by a short-lived token of the master.

The token says where the master listens, which authority to trust, and for which node it is; only
a master candidate can have made it. It works once. Nothing here needs more than the
standard library and msgspec, so that tools which make tokens start quickly.
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

TOKEN_LIFE = 3600
"""Seconds."""

AUTHORITY_CALL = "enrolment_authority"
ENROL_CALL = "enrolment"
"""The two calls that a node daemon answers to strangers."""


_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----", re.ASCII)


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token says. ``until`` in seconds since the epoch; ``nonce`` is used only once.

    ``names`` are the names and addresses that the certificate of ``node`` will be for;
    ``authority`` is the fingerprint of the authority of ``cluster``. While that is being replaced,
    ``other_authorities`` are those of the others that the cluster trusts.
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
    """What the new node sends: the token, and a certificate signing request in PEM."""

    token: str
    request: str


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What the new node gets: its certificate and those of the authorities to trust, in PEM.

    ``members`` is the list of the cluster's members, in the form in which nodes keep it: from its
    first moment the new node knows whom it may obey.
    """

    certificate: str
    authority: str
    members: dict[str, Any] | None = None


def secret_of(authority_key: bytes, domain_secret: bytes) -> bytes:
    """Return what tokens are signed with, from the authority's key in PEM and another secret.

    The other one is replaced when a node that has known both is no master candidate any more.
    """
    return hmac.digest(authority_key, b"ganeti enrolment tokens\0" + domain_secret, "sha256")


def token_of(invitation: Invitation, secret: bytes) -> str:
    """The token, as one word that survives a terminal and a mail."""
    content = msgspec.json.encode(invitation)
    return f"{_text(content)}.{_text(_signature(content, secret))}"


def read_token(token: str) -> Invitation:
    """What a token says, for the node that it invites, which cannot check the signature.

    :raises Invalid: this is no token.
    """
    return _split(token)[0]


def check_token(token: str, secret: bytes, now: float) -> Invitation:
    """What a token says, for the authority.

    :raises Invalid: this is no token.
    :raises Refused: it was not made for this cluster, or is too old.
    """
    invitation, content, signature = _split(token)
    if not hmac.compare_digest(signature, _signature(content, secret)):
        raise Refused("the token was not made by this cluster's master; ask gnt-node add for one")
    if now >= invitation.until:
        raise Refused("the token has expired; make a new one with gnt-node add on the master")
    return invitation


def fingerprint(pem: bytes) -> str:
    """SHA-256, in hex, of the first certificate in ``pem``; a key before it does not matter.

    :raises Invalid: there is no certificate.
    """
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first_certificate(pem))).hexdigest()
    except ValueError:
        raise Invalid("this is no certificate in PEM") from None


def first_certificate(pem: bytes) -> str:
    """The first certificate in ``pem``, in PEM; empty text if there is none."""
    return next(iter(certificates(pem)), "")


def certificates(pem: bytes) -> tuple[str, ...]:
    """Return the certificates in ``pem``, each in PEM; what is between them does not matter."""
    return tuple(f"{found}\n" for found in _CERTIFICATE.findall(pem.decode("latin-1")))


def pinned(bundle: bytes, invitation: Invitation) -> tuple[str, ...]:
    """Return the certificates in ``bundle`` that the token names, and no others.

    Whoever is between the new node and the master can add some of his own.
    """
    known = {invitation.authority, *invitation.other_authorities}
    return tuple(each for each in certificates(bundle) if fingerprint(each.encode()) in known)


def digest(text: str) -> str:
    """A short word that stands for ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()


def _split(token: str) -> tuple[Invitation, bytes, bytes]:
    try:
        content, signature = (_bytes(part) for part in token.strip().split("."))
        return msgspec.json.decode(content, type=Invitation), content, signature
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        raise Invalid(
            "this is no token; give the whole word that gnt-node add has printed"
        ) from None


def _signature(content: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
