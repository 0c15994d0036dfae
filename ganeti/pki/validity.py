# SPDX-License-Identifier: BSD-2-Clause
"""Until when a certificate is valid, read without the library that makes certificates.

The daemons that look at this would keep that library, 8 MiB, for as long as they run.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from ganeti.errors import Invalid
from ganeti.pki.enrolment import first_certificate

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def valid_until(pem: bytes) -> float:
    """The end of the first certificate in ``pem``, in seconds since the epoch.

    :raises Invalid: there is no certificate.
    """
    try:
        certificate = next(_values(ssl.PEM_cert_to_DER_cert(first_certificate(pem))))[1]
        signed = next(_values(certificate))[1]
        # RFC 5280, 4.1: version, serial number, algorithm, issuer, validity, …
        fields = [(tag, value) for tag, value in _values(signed) if tag != _VERSION]
        tag, validity = fields[3]
        _, (kind, end) = _values(validity)
        if tag != _SEQUENCE:
            raise ValueError
        return _moment(kind, end.decode("ascii"))
    except (ValueError, IndexError, StopIteration):
        raise Invalid("this is no certificate in PEM") from None


def _moment(kind: int, text: str) -> float:
    if kind == _UTC_TIME:
        # Two digits of the year: those from 50 on are of the century before.
        text = ("19" if text >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents of values in DER, one after the other."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + length > len(data):
            raise ValueError
        yield tag, data[at : at + length]
        at += length
