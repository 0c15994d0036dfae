# SPDX-License-Identifier: BSD-2-Clause
"""A candidate's copy of the journal: whole, or refused with a reason."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.journal_copy import read
from ganeti.config.formats import ConfigDataEncoder
from ganeti.errors import Failed
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import LogPosition
from ganeti.journal.marker import CheckpointMarker, complete, encode_transition_marker
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.contracts.journal import a_commit

DATA = "/var/lib/ganeti"


class CopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk)
        self.clock = Clock()
        state = a_cluster(nodes=["node1", a_node("node2")])
        self.disk.add_folder(f"{DATA}/journal", 0o750)
        self.disk.put(f"{DATA}/config.data", ConfigDataEncoder().text(state), 0o640, 0.0)
        opening = FileJournal.open(self.files, f"{DATA}/journal", self.clock)
        self.journal = self.successResultOf(Deferred.fromCoroutine(opening))

    def appended(self, *numbers: int) -> None:
        for number in numbers:
            commit = a_commit(number)
            keeping = Deferred.fromCoroutine(
                self.journal.append(type(commit)(at=1.0, who="", why=commit.why, edits=()))
            )
            self.clock.advance(0)
            self.successResultOf(keeping)

    def mark(self, content: bytes) -> None:
        self.disk.put(f"{DATA}/journal/checkpoint", content, 0o640, 0.0)

    def test_a_copy_ends_with_its_last_commit(self) -> None:
        self.appended(1, 2)
        copy = read(self.files, DATA)
        self.assertEqual((copy.mark, copy.end), (self.journal.end_position(), 2))
        self.assertEqual(copy.state.master.name, "node1")

    def test_a_checkpoint_of_another_history_is_no_copy(self) -> None:
        self.appended(1, 2)
        self.mark(complete(LogPosition(2, b"x" * 32)))
        with self.assertRaisesRegex(
            Failed, "contains commit 2, which is not in the journal beside it"
        ):
            read(self.files, DATA)

    def test_a_checkpoint_that_is_ahead_of_its_journal_is_no_copy(self) -> None:
        self.appended(1, 2)
        self.mark(complete(LogPosition(3, b"x" * 32)))
        with self.assertRaisesRegex(Failed, "contains commit 3"):
            read(self.files, DATA)

    def test_files_that_may_be_of_another_history_are_no_copy(self) -> None:
        self.appended(1, 2)
        self.mark(encode_transition_marker(CheckpointMarker(), LogPosition(2, b"x" * 32)))
        with self.assertRaisesRegex(Failed, "contains commit 2"):
            read(self.files, DATA)

    def test_a_checkpoint_of_the_journal_beside_it_is_a_copy(self) -> None:
        self.appended(1, 2, 3)
        self.mark(complete(self.journal.find_log_position(2)))
        self.assertEqual(read(self.files, DATA).end, 3)

    def test_a_node_without_a_copy_is_told_where_there_is_one(self) -> None:
        with self.assertRaisesRegex(Failed, "ssconf_master_candidates lists them"):
            read(MemoryFiles(MemoryDisk()), DATA)
