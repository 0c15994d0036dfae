# SPDX-License-Identifier: BSD-2-Clause
"""What was wrong with a connection, in words for the person who must repair it."""

from __future__ import annotations

import ssl

from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure


class CertificateRefused(Exception):
    """A certificate is not accepted; the text says whose, and why."""

    @classmethod
    def by_code(cls, code: int) -> CertificateRefused:
        """Return the error for a code of OpenSSL (``X509_V_ERR_*``), about a peer's certificate."""
        why = _VERIFICATION.get(code, f"the peer's certificate does not verify: OpenSSL {code}")
        return cls(why)


HOSTNAME_MISMATCH = 62
"""The code of OpenSSL for a certificate of another host."""

_ISSUER = (
    "the peer's certificate was issued by another cluster's authority, or by one that this cluster"
    " has replaced; then the node must join again (gnt-node add --readd)"
)
_VERIFICATION = {
    7: "the peer's certificate was issued by another cluster's authority of the same name",
    9: "the peer's certificate is not valid yet; compare the clocks of the two hosts",
    10: "the peer's certificate has expired; it needs a new one (gnt-node add --readd)",
    18: "the peer's certificate is self-signed: it is not a node of this cluster",
    19: _ISSUER,
    20: _ISSUER,
    HOSTNAME_MISMATCH: "the peer's certificate is another node's; does the address belong to this"
    " node?",
}

_REASONS = {
    "unknown ca": "it says that our certificate is another cluster's",
    "decrypt error": "it says that our certificate is another cluster's",
    "bad certificate": "it does not accept our certificate",
    "certificate expired": "it says that our certificate has expired or is not valid yet; compare"
    " the clocks, or issue a new one (gnt-node add --readd)",
    "certificate unknown": "it does not accept our certificate",
    "certificate required": "it wants a certificate, and we showed none",
    "http request": "the peer speaks HTTP without TLS",
    "wrong version number": "the peer does not speak TLS",
    "unsupported protocol": "the peer speaks an older version of TLS only",
    "no shared cipher": "the peer shares no cipher with us",
    "certificate verify failed": "the peer's certificate does not verify",
}
"""By the end of what OpenSSL calls it, which has prefixes that differ between its versions."""


def explain(reason: Failure) -> str:
    """Return what was wrong with a connection."""
    why = reason.value
    if isinstance(why, ssl.SSLCertVerificationError):
        default = f"the peer's certificate does not verify: {why.verify_message}"
        return _VERIFICATION.get(why.verify_code, default)
    if isinstance(why, error.ConnectionRefusedError):
        return "connection refused; is its daemon running?"
    if isinstance(why, error.TimeoutError):
        return "it does not react"
    if isinstance(why, error.ConnectionLost):
        return "the connection broke"
    if isinstance(why, ssl.SSLError | SSL.Error):
        return _tls(why)
    return reason.getErrorMessage().rstrip(".")


def _tls(why: ssl.SSLError | SSL.Error) -> str:
    if isinstance(why, ssl.SSLError):
        name = str(why.reason or why).replace("_", " ").lower()
    else:
        # A list of what went wrong, each with the names of a library, a function and a reason.
        errors = why.args[0] if why.args else ()
        name = str(errors[0][-1] if errors and isinstance(errors, list) else why).lower()
    for end, text in _REASONS.items():
        if name.endswith(end):
            return text
    return f"TLS failed: {name}"
