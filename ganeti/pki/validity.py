# SPDX-License-Identifier: BSD-2-Clause
"""The validity of certificates."""

from __future__ import annotations

from cryptography import x509

from ganeti.errors import Invalid
from ganeti.pki.enrolment import NOT_A_CERTIFICATE, extract_first_certificate


def read_end_of_validity(pem: bytes) -> float:
    """Return the end of validity of the first certificate in ``pem``, in seconds since the epoch.

    :raises Invalid: there is no certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(
            extract_first_certificate(pem).encode("latin-1")
        )
        return certificate.not_valid_after_utc.timestamp()
    except ValueError:
        raise Invalid(NOT_A_CERTIFICATE) from None
