# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.pki.authority import self_signed
from ganeti.pki.validity import valid_until

NOW = 1_700_000_000.0


def end_or_trouble(der: bytes) -> float | Invalid:
    try:
        return valid_until(ssl.DER_cert_to_PEM_cert(der).encode())
    except Invalid as e:
        return e


class ValidityTests(SynchronousTestCase):
    def test_the_end_is_read_on_both_sides_of_2050(self) -> None:
        for years in (0, 5, 20, 27, 40):
            life = timedelta(days=365 * years)
            made = self_signed("node1", NOW, life)
            self.assertEqual(valid_until(made.certificate), NOW + life.total_seconds())
            self.assertEqual(valid_until(made.pem), NOW + life.total_seconds())

    def test_the_first_certificate_counts(self) -> None:
        one, two = (self_signed("node1", NOW, timedelta(days=days)) for days in (1, 2))
        end = datetime.fromtimestamp(valid_until(one.certificate + two.certificate), UTC)
        self.assertEqual(end, datetime.fromtimestamp(NOW + 86400, UTC))

    def test_nonsense_is_no_certificate(self) -> None:
        for text in (b"", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"):
            self.assertRaises(Invalid, valid_until, text)

    @given(cut=st.integers(0, 300), byte=st.binary(max_size=3))
    def test_a_damaged_one_is_never_a_crash(self, cut: int, byte: bytes) -> None:
        der = ssl.PEM_cert_to_DER_cert(PEM)
        damaged = der[:cut] + byte + der[cut + 2 :]
        self.assertIsInstance(end_or_trouble(damaged), (float, Invalid))


PEM = self_signed("node1", NOW, timedelta(days=1)).certificate.decode()
