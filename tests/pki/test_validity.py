# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.pki.authority import create_self_signed
from ganeti.pki.validity import read_end_of_validity

NOW = 1_700_000_000.0


def end_or_trouble(der: bytes) -> float | Invalid:
    try:
        return read_end_of_validity(ssl.DER_cert_to_PEM_cert(der).encode())
    except Invalid as e:
        return e


class ValidityTests(SynchronousTestCase):
    def test_the_end_is_read_on_both_sides_of_2050(self) -> None:
        for years in (0, 5, 20, 27, 40):
            life = timedelta(days=365 * years)
            made = create_self_signed("node1", NOW, life)
            self.assertEqual(read_end_of_validity(made.certificate), NOW + life.total_seconds())
            self.assertEqual(read_end_of_validity(made.pem), NOW + life.total_seconds())

    def test_the_first_certificate_counts(self) -> None:
        one, two = (create_self_signed("node1", NOW, timedelta(days=days)) for days in (1, 2))
        end = datetime.fromtimestamp(read_end_of_validity(one.certificate + two.certificate), UTC)
        self.assertEqual(end, datetime.fromtimestamp(NOW + 86400, UTC))

    def test_nonsense_is_no_certificate(self) -> None:
        for text in (b"", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"):
            self.assertRaises(Invalid, read_end_of_validity, text)

    @given(cut=st.integers(0, 300), byte=st.binary(max_size=3))
    def test_a_damaged_one_is_never_a_crash(self, cut: int, byte: bytes) -> None:
        der = ssl.PEM_cert_to_DER_cert(PEM)
        damaged = der[:cut] + byte + der[cut + 2 :]
        self.assertIsInstance(end_or_trouble(damaged), (float, Invalid))


PEM = create_self_signed("node1", NOW, timedelta(days=1)).certificate.decode()
