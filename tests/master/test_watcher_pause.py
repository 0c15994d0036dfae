# SPDX-License-Identifier: BSD-2-Clause
"""The pause of the watcher, as the watcher reads it from the file."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.master.watcher_pause import WatcherPause
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATH = "/watcher.pause"


class WatcherPauseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.pause = WatcherPause(MemoryFiles(self.disk), PATH)

    def test_a_pause_has_an_end_in_whole_seconds_until_it_is_taken_back(self) -> None:
        self.assertIsNone(self.pause.until())
        self.successResultOf(self.pause.set(1700000000.7))
        self.assertEqual(self.disk.contents()[PATH], b"1700000000\n")
        self.assertEqual(self.pause.until(), 1700000000.0)
        self.successResultOf(self.pause.set(None))
        self.assertIsNone(self.pause.until())

    def test_a_file_without_a_number_is_no_pause(self) -> None:
        self.disk.put(PATH, b"soon\n", 0o644, 0.0)
        self.assertIsNone(self.pause.until())

    def test_a_full_disk_is_reported(self) -> None:
        self.disk.break_down()
        error = self.failureResultOf(self.pause.set(1.0), Failed).value
        self.assertIn("the watcher pause could not be written", str(error))
