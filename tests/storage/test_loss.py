# SPDX-License-Identifier: BSD-2-Clause
"""A disk that has lost its data is named, with what to do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code
from ganeti.storage.loss import lost
from ganeti.testing.builders import a_disk


class LossTests(SynchronousTestCase):
    def test_the_disk_is_called_as_the_instance_calls_it(self) -> None:
        error = lost(a_disk("disk0", index=2), "file")
        self.assertTrue(str(error).startswith("disk/2 has lost its file; "))
        self.assertEqual(error.code, Code.UNKNOWN)

    def test_every_repair_is_named(self) -> None:
        text = str(lost(a_disk(), "file"))
        for repair in ("rename it again", "gnt-instance recreate-disks", "replace-disks"):
            self.assertIn(repair, text)

    def test_a_part_of_a_disk_has_no_name_of_its_own(self) -> None:
        error = lost(a_disk(iv_name=""), "volume")
        self.assertTrue(str(error).startswith("the disk has lost its volume; "))
