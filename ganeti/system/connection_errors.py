# SPDX-License-Identifier: BSD-2-Clause
"""Explanations of connection errors, for the administrator who has to repair them."""

from __future__ import annotations

import ssl

from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure


class CertificateRejected(Exception):
    """A certificate is rejected; the message says whose, and why."""

    @classmethod
    def by_code(cls, code: int) -> CertificateRejected:
        """Return the error for an OpenSSL verification code (``X509_V_ERR_*``) of a peer's
        certificate."""
        why = _VERIFICATION.get(code, f"the peer's certificate is invalid: OpenSSL error {code}")
        return cls(why)


HOSTNAME_MISMATCH = 62
"""OpenSSL's code for a certificate of another host (X509_V_ERR_HOSTNAME_MISMATCH)."""

_ISSUER = (
    "the peer's certificate was issued by the authority of another cluster, or by one that this"
    " cluster has replaced; in the latter case add the node again (gnt-node add --readd)"
)
_VERIFICATION = {
    7: "the peer's certificate was issued by the authority of another cluster with the same name",
    9: "the peer's certificate is not valid yet; compare the clocks of the two hosts",
    10: "the peer's certificate has expired; add the node again (gnt-node add --readd)",
    18: "the peer's certificate is self-signed: it is not a node of this cluster",
    19: _ISSUER,
    20: _ISSUER,
    HOSTNAME_MISMATCH: "the peer's certificate belongs to another node; check its address",
}

_REASONS = {
    "unknown ca": "the peer rejects our certificate: it was issued by another cluster",
    "decrypt error": "the peer rejects our certificate: it was issued by another cluster",
    "bad certificate": "the peer rejects our certificate",
    "certificate expired": "the peer rejects our certificate: it has expired or is not valid yet;"
    " compare the clocks, or issue a new one (gnt-node add --readd)",
    "certificate unknown": "the peer rejects our certificate",
    "certificate required": "the peer requires a certificate, and we have none",
    "http request": "the peer speaks HTTP without TLS",
    "wrong version number": "the peer does not speak TLS",
    "unsupported protocol": "the peer supports only older versions of TLS",
    "no shared cipher": "no cipher in common with the peer",
    "certificate verify failed": "the peer's certificate is invalid",
}
"""By the end of OpenSSL's reason, as prefixes differ between its versions."""


def explain(reason: Failure) -> str:
    """Return the explanation of a connection error."""
    why = reason.value
    if isinstance(why, ssl.SSLCertVerificationError):
        default = f"the peer's certificate is invalid: {why.verify_message}"
        return _VERIFICATION.get(why.verify_code, default)
    if isinstance(why, error.ConnectionRefusedError):
        return "connection refused; is its daemon running?"
    if isinstance(why, error.TimeoutError):
        return "connection timed out"
    if isinstance(why, error.ConnectionLost):
        return "connection lost"
    if isinstance(why, ssl.SSLError | SSL.Error):
        return _explain_tls(why)
    return reason.getErrorMessage().rstrip(".")


def _explain_tls(why: ssl.SSLError | SSL.Error) -> str:
    if isinstance(why, ssl.SSLError):
        name = str(why.reason or why).replace("_", " ").lower()
    else:
        # A list of errors, each with the names of a library, a function and a reason.
        errors = why.args[0] if why.args else ()
        name = str(errors[0][-1] if errors and isinstance(errors, list) else why).lower()
    for end, text in _REASONS.items():
        if name.endswith(end):
            return text
    return f"TLS failed: {name}"
