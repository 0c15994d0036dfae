# SPDX-License-Identifier: BSD-2-Clause
"""Networks of any size are shown in lines that fit a terminal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_network.info import ranges, usage_rows


class MapTests(SynchronousTestCase):
    def test_a_small_network_is_one_row(self) -> None:
        self.assertEqual(list(usage_rows("XX....XX")), [("0-7", "XX....XX")])

    def test_equal_rows_of_a_large_network_come_once(self) -> None:
        usage = "XX" + "." * 65533 + "X"
        self.assertEqual(
            list(usage_rows(usage)),
            [
                ("0-63", "XX" + "." * 62),
                ("64-65471", "." * 64),
                ("65472-65535", "." * 63 + "X"),
            ],
        )

    def test_addresses_behind_each_other_are_a_range(self) -> None:
        reserved = "192.0.2.0, 192.0.2.1, 192.0.2.2, 192.0.2.9, 192.0.2.255"
        shown = ["192.0.2.0-192.0.2.2", "192.0.2.9", "192.0.2.255"]
        self.assertEqual((list(ranges(reserved)), list(ranges(""))), (shown, []))
