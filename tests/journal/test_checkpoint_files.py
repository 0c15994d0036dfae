# SPDX-License-Identifier: BSD-2-Clause
"""A checkpoint is replaced as a whole: its marker is written last, and stale jobs are removed."""

from __future__ import annotations

import errno

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.checkpoint_files import MARKER, replace_checkpoint_files
from ganeti.journal.interfaces import LogPosition
from ganeti.journal.marker import complete, read_marker
from ganeti.testing.disk import MemoryDisk, MemoryFiles

END = LogPosition(7, b"d" * 32)
NEW = {"config.data": b"new", "queue/job-2": b"two", "queue/serial": b"2", MARKER: b"old marker"}


class ReplaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk)

    def replace(self, end: LogPosition = END) -> None:
        self.successResultOf(replace_checkpoint_files(self.files, "/data", NEW, end))

    def content(self) -> dict[str, bytes]:
        return {path.removeprefix("/data/"): text for path, text in self.disk.contents().items()}

    def test_the_files_and_a_marker_of_this_position_are_written(self) -> None:
        self.replace()
        self.assertEqual(self.content(), {**NEW, MARKER: complete(END)})
        self.assertEqual(read_marker(self.files, f"/data/{MARKER}").holds.mark(), END)

    def test_jobs_that_a_new_checkpoint_lacks_are_removed(self) -> None:
        self.replace()
        for name in ("queue/job-1", "queue/archive/0/job-0", "other"):
            folder = f"/data/{name}".rpartition("/")[0]
            self.disk.add_folder(folder, 0o750)
            self.disk.put(f"/data/{name}", b"old", 0o600, 0.0)
        self.replace()
        left = set(self.content()) - set(NEW)
        self.assertEqual(left, {"queue/archive/0/job-0", "other"})

    def test_wherever_it_fails_there_is_no_marker(self) -> None:
        failures = 0
        for at in range(1, 40):
            self.disk = MemoryDisk()
            self.files = MemoryFiles(self.disk)
            self.disk.add_folder("/data/queue", 0o750)
            self.disk.put("/data/queue/job-1", b"old", 0o600, 0.0)
            self.disk.fail(self.disk.writes + at, errno.ENOSPC)
            failed: list[object] = []
            work = replace_checkpoint_files(self.files, "/data", NEW, END)
            Deferred.fromCoroutine(work).addErrback(failed.append)
            if not failed:
                break
            failures += 1
            self.assertNotIn(MARKER, self.content(), f"failure of write {at}")
        self.assertEqual(self.content(), {**NEW, MARKER: complete(END)})
        self.assertGreater(failures, 5)
