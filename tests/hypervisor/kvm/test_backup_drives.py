# SPDX-License-Identifier: BSD-2-Clause
"""The disks in QEMU's answers, with the nodes below filters, and the names of bitmaps."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.backup_drives import Drive, bitmap_name, parse_drives

BLOCK: dict[str, Any] = {
    "qdev": "/machine/peripheral/disk-1234/virtio-backend",
    "inserted": {"node-name": "#disk"},
}
NODE = {
    "image": {"virtual-size": 4096},
    "dirty-bitmaps": [{"name": bitmap_name("r1", "b1"), "recording": True}, {"recording": False}],
}


def read_nothing(key: str) -> str:
    raise AssertionError(key)


class DriveTests(SynchronousTestCase):
    def test_a_drive_has_its_node_size_and_bitmaps_of_backups(self) -> None:
        [drive] = parse_drives([BLOCK, {"qdev": "cdrom0"}], {"#disk": NODE}, read_nothing)
        expected = Drive(
            uuid="1234",
            path="/machine/peripheral/disk-1234/virtio-backend",
            node="#disk",
            filtered=False,
            size=4096,
            bitmaps={bitmap_name("r1", "b1"): True},
        )
        self.assertEqual(drive, expected)

    def test_a_drive_with_a_filter_is_that_of_the_node_below(self) -> None:
        block = {**BLOCK, "inserted": {"node-name": "cbw-1234"}}
        [drive] = parse_drives([block], {"cbw-1234": NODE, "#below": NODE}, lambda key: "#below")
        self.assertEqual((drive.node, drive.filtered), ("#below", True))

    def test_a_node_that_qemu_does_not_have_is_a_failure(self) -> None:
        with self.assertRaisesRegex(Failed, "has no block node #disk"):
            list(parse_drives([BLOCK], {}, read_nothing))

    def test_bitmaps_of_two_repositories_differ(self) -> None:
        self.assertNotEqual(bitmap_name("r1", "b1"), bitmap_name("r2", "b1"))
        self.assertTrue(bitmap_name("r1", "b1").endswith(":b1"))
