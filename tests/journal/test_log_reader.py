# SPDX-License-Identifier: BSD-2-Clause
"""The log as history: everything in order, also while it is written, and nothing damaged."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import JournalDamaged
from ganeti.journal.log_reader import history
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.contracts.journal import a_commit

FOLDER = "/data/journal"


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.clock = MemoryDisk(), Clock()
        self.files = MemoryFiles(self.disk, self.clock)
        self.journal = self.finish(FileJournal.open(self.files, FOLDER, self.clock))

    def finish(self, work: Any) -> Any:
        begun = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 9)
        return self.successResultOf(begun)

    def append(self, *numbers: int) -> None:
        for number in numbers:
            self.finish(self.journal.append(a_commit(number)))

    def positions(self) -> list[int]:
        return [position for position, _ in history(self.files, FOLDER)]

    def segments(self) -> list[str]:
        return [f"{FOLDER}/{name}" for name in self.files.names(FOLDER)]

    def test_an_empty_journal_has_no_history(self) -> None:
        self.assertEqual(self.positions(), [])

    def test_commits_of_all_segments_come_oldest_first(self) -> None:
        for number in (1, 2, 3):
            self.append(number)
            self.finish(self.journal.rotate())
        found = list(history(self.files, FOLDER))
        self.assertEqual(found, [(number, a_commit(number)) for number in (1, 2, 3)])

    def test_history_begins_where_older_segments_were_removed(self) -> None:
        self.append(1, 2)
        self.finish(self.journal.rotate())
        self.append(3)
        self.finish(self.journal.remove_before(3))
        self.assertEqual(self.positions(), [3])

    def test_other_files_of_the_folder_are_ignored(self) -> None:
        self.append(1)
        for name in ("checkpoint", "segment-1", "segment-0000000000000001.new"):
            self.disk.put(f"{FOLDER}/{name}", b"other", 0o600, 0.0)
        self.assertEqual(self.positions(), [1])

    def test_a_commit_that_is_being_written_is_not_there_yet(self) -> None:
        self.append(1, 2)
        [path] = self.segments()
        content = self.files.read(path)
        self.disk.put(path, content[:-3], 0o600, 0.0)
        self.assertEqual(self.positions(), [1])

    def test_a_missing_segment_is_damage(self) -> None:
        for number in (1, 2, 3):
            self.append(number)
            self.finish(self.journal.rotate())
        self.finish(self.files.remove(self.segments()[1]))
        reading = history(self.files, FOLDER)
        self.assertEqual(next(reading)[0], 1)
        with self.assertRaisesRegex(JournalDamaged, "does not follow the segment before it"):
            list(reading)

    def test_a_segment_without_a_header_is_damage(self) -> None:
        self.append(1)
        [path] = self.segments()
        self.disk.put(path, b"something else", 0o600, 0.0)
        with self.assertRaises(JournalDamaged):
            self.positions()
