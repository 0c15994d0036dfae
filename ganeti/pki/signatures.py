# SPDX-License-Identifier: BSD-2-Clause
"""Signatures with the domain secret that clusters share to move instances between them.

The formats are those of existing clusters and tools: HMAC-SHA1 in hexadecimal over a salt and the
text, and certificates with their signature in a header line before the PEM text.
"""

from __future__ import annotations

import hmac
import re
import ssl
from dataclasses import dataclass

from ganeti.errors import Code, Invalid, Refused
from ganeti.pki.enrolment import NOT_A_CERTIFICATE

HEADER = "X-Ganeti-Signature"

_SIGNED = re.compile(
    rf"{HEADER}:\s*(?P<salt>[A-Za-z0-9]+)/(?P<signature>[A-Za-z0-9]+)\s*?\n.*?"
    r"(?P<pem>-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)",
    re.DOTALL,
)


@dataclass(frozen=True)
class DomainSecret:
    """A secret that clusters share; it hides itself in logs."""

    _secret: bytes

    @classmethod
    def read(cls, content: bytes) -> DomainSecret:
        """Return the secret in the content of its file; trailing white space is ignored."""
        return cls(content.rstrip())

    def __repr__(self) -> str:
        return "DomainSecret(…)"

    def sign(self, text: str, salt: str) -> str:
        """Return the signature of ``text``; use a new ``salt`` for each."""
        return hmac.digest(self._secret, (salt + text).encode(), "sha1").hex()

    def check(self, text: str, salt: str, signature: str) -> bool:
        """Return whether ``signature`` is the signature of ``text``."""
        # As bytes, because ``compare_digest`` rejects text that is not ASCII, which a peer may
        # send.
        return hmac.compare_digest(self.sign(text, salt).encode(), signature.lower().encode())

    def sign_certificate(self, pem: str, salt: str) -> str:
        """Return a certificate with its signature, for another cluster.

        :raises Invalid: the text is not a certificate.
        """
        plain = _normalize_pem(pem)
        return f"{HEADER}: {salt}/{self.sign(plain, salt)}\n\n{plain}"

    def check_certificate(self, text: str) -> str:
        """Return the PEM certificate that another cluster has signed.

        :raises Invalid: the text is not a signed certificate.
        :raises Refused: it was not signed with this secret.
        """
        found = _SIGNED.search(text)
        if found is None:
            raise Invalid(f"not a certificate with a {HEADER} header line")
        plain = _normalize_pem(found["pem"])
        if not self.check(plain, found["salt"], found["signature"]):
            raise Refused(
                "the certificate was not signed with this cluster's domain secret; both clusters"
                " must have the same one (gnt-cluster renew-crypto --cluster-domain-secret)",
                Code.INPUT,
            )
        return plain


def _normalize_pem(pem: str) -> str:
    """Return the certificate re-encoded, so that the signature does not depend on line wrapping."""
    try:
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem.strip()))
    except ValueError:
        raise Invalid(NOT_A_CERTIFICATE) from None
