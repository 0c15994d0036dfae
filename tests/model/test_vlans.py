# SPDX-License-Identifier: BSD-2-Clause
"""The notation of VLANs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.vlans import Vlans, parse_vlans


class VlansTests(SynchronousTestCase):
    def test_each_form(self) -> None:
        forms = {
            "": Vlans(),
            ".10": Vlans(10),
            "10": Vlans(10),
            ":20:30": Vlans(None, (20, 30)),
            ".10:20:30": Vlans(10, (20, 30)),
        }
        self.assertEqual({text: parse_vlans(text) for text in forms}, forms)

    def test_a_card_without_vlans_is_false(self) -> None:
        self.assertEqual(
            [bool(parse_vlans(text)) for text in ("", ".1", ":1")], [False, True, True]
        )

    def test_numbers_that_are_no_vlans_are_rejected(self) -> None:
        for text in (".0", ":4095", ".10:5000"):
            with self.assertRaisesRegex(ValueError, "is not a VLAN ID; use 1 to 4094"):
                parse_vlans(text)

    def test_a_vlan_that_occurs_twice_is_rejected(self) -> None:
        for text in (".10:10", ":10:20:10"):
            with self.assertRaisesRegex(ValueError, "VLAN 10 occurs twice"):
                parse_vlans(text)

    @given(st.text(alphabet="0123456789.:x- ", max_size=12))
    def test_any_other_text_is_rejected_with_the_format(self, text: str) -> None:
        try:
            found = parse_vlans(text)
        except ValueError as e:
            self.assertRegex(str(e), "must be like|is not a VLAN ID|occurs twice")
        else:
            self.assertTrue(all(0 < each < 4095 for each in found.tagged), text)
