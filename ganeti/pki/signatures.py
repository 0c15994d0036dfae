# SPDX-License-Identifier: BSD-2-Clause
"""What clusters that move instances between each other sign with their common domain secret.

The forms are those that existing clusters and tools speak: HMAC-SHA1 in hex over a salt and the
text, and certificates with their signature in a header line before the PEM text.
"""

from __future__ import annotations

import hmac
import re
import ssl
from dataclasses import dataclass

from ganeti.errors import Code, Invalid, Refused

HEADER = "X-Ganeti-Signature"

_SIGNED = re.compile(
    rf"{HEADER}:\s*(?P<salt>[A-Za-z0-9]+)/(?P<signature>[A-Za-z0-9]+)\s*?\n.*?"
    r"(?P<pem>-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)",
    re.DOTALL,
)


@dataclass(frozen=True)
class DomainSecret:
    """A secret that clusters share; it does not print itself."""

    _secret: bytes

    @classmethod
    def read(cls, content: bytes) -> DomainSecret:
        """The secret in the content of its file, where white space at the end does not count."""
        return cls(content.rstrip())

    def __repr__(self) -> str:
        return "DomainSecret(…)"

    def sign(self, text: str, salt: str) -> str:
        """The signature of ``text``; ``salt`` is chosen anew for each."""
        return hmac.digest(self._secret, (salt + text).encode(), "sha1").hex()

    def check(self, text: str, salt: str, signature: str) -> bool:
        """Whether ``signature`` was made of ``text`` with this secret."""
        return hmac.compare_digest(self.sign(text, salt).encode(), signature.lower().encode())

    def sign_certificate(self, pem: str, salt: str) -> str:
        """A certificate with its signature, as it is sent to another cluster.

        :raises Invalid: this is no certificate.
        """
        plain = _plain(pem)
        return f"{HEADER}: {salt}/{self.sign(plain, salt)}\n\n{plain}"

    def check_certificate(self, text: str) -> str:
        """The certificate, in PEM, that another cluster has signed.

        :raises Invalid: this is no signed certificate.
        :raises Refused: it was not signed with this secret.
        """
        found = _SIGNED.search(text)
        if found is None:
            raise Invalid(f"this is no certificate with a {HEADER} line before it")
        plain = _plain(found["pem"])
        if not self.check(plain, found["salt"], found["signature"]):
            raise Refused(
                "the certificate was not signed with this cluster's domain secret; both clusters"
                " need the same one (gnt-cluster renew-crypto --cluster-domain-secret)",
                Code.INPUT,
            )
        return plain


def _plain(pem: str) -> str:
    """The certificate encoded once more: what is signed must not depend on how it was wrapped."""
    try:
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem.strip()))
    except ValueError:
        raise Invalid("this is no certificate in PEM") from None
