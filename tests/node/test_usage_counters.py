# SPDX-License-Identifier: BSD-2-Clause
"""Counters as the kernel writes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.node.usage_counters import disk_bytes, network_bytes, processor_seconds

DISKSTATS = """\
   8       0 sda 10 0 20 5 30 0 40 6 0 7 8 0 0 0 0 0 0
   8       1 sda1 10 0 20 5 30 0 40 6 0 7 8 0 0 0 0 0 0
 253       0 dm-0 10 0 20 5 30 0 40 6 0 7 8
   7       0 loop0 10 0 20 5 30 0 40 6 0 7 8
 259       0 nvme0n1 1 0 2 0 3 0 4 0 0 0 0
 259       1 nvme0n1p1 1 0 2 0 3 0 4 0 0 0 0
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 111 1 0 0 0 0 0 0 111 1 0 0 0 0 0 0
  eth0: 1000 9 0 0 0 0 0 0 2000 8 0 0 0 0 0 0
 gnt.x: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
"""


class CounterTests(SynchronousTestCase):
    def test_time_that_processors_wait_is_not_in_use(self) -> None:
        stat = "cpu  100 20 30 5000 70 6 4 40 9 9\ncpu0 1 2 3 4 5 6 7 8 9 9\n"
        self.assertEqual(processor_seconds(stat, 100), 2.0)
        self.assertIsNone(processor_seconds("", 100))

    def test_whole_disks_are_counted_and_what_is_made_of_them_is_not(self) -> None:
        self.assertEqual(disk_bytes(DISKSTATS), (22 * 512, 44 * 512))

    def test_the_wanted_devices_are_counted(self) -> None:
        self.assertEqual(network_bytes(NET_DEV, ["eth0"]), (1000, 2000))

    @given(st.text(max_size=200))
    def test_strange_files_do_no_harm(self, text: str) -> None:
        self.assertEqual(network_bytes("", [text]), (0, 0))
        self.assertEqual(disk_bytes(text.replace(" ", "")), (0, 0))
