# SPDX-License-Identifier: BSD-2-Clause
"""Sizes as people write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.schema.size_units import mebibytes


class MebibytesTests(SynchronousTestCase):
    def test_units_are_letters_in_either_case(self) -> None:
        spelt = ("128", "128m", "1g", "1.5 GiB", "2T", "0.1m", ".5g", "10MB")
        self.assertEqual(
            [mebibytes(text) for text in spelt], [128, 128, 1024, 1536, 2097152, 1, 512, 10]
        )

    def test_anything_else_is_refused(self) -> None:
        for text in ("", "g", "-1", "1k", "1 2", "1gg", "٣", "1e3", "9" * 20, "9" * 5000):
            with self.assertRaises(Invalid, msg=text):
                mebibytes(text)

    @given(st.integers(min_value=0, max_value=10**12))
    def test_a_bare_number_is_itself(self, number: int) -> None:
        self.assertEqual(mebibytes(str(number)), number)
