# SPDX-License-Identifier: BSD-2-Clause
"""A candidate's copy of the journal, and the commit that makes its node the master."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.copy import read, take_over
from ganeti.config.formats import Checkpoint
from ganeti.errors import Failed, Refused
from ganeti.journal.file import FileJournal
from ganeti.journal.in_sync import record_of
from ganeti.journal.interfaces import Commit
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles

DATA = "/var/lib/ganeti"
NODE2 = a_node("node2")


class CopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk)
        self.state = a_cluster(nodes=["node1", NODE2, a_node("node3", master_candidate=False)])
        self.disk.add_folder(f"{DATA}/journal", 0o750)
        self.disk.put(f"{DATA}/config.data", Checkpoint().text(self.state), 0o640, 0.0)

    def journal(self) -> FileJournal:
        opening = FileJournal.open(self.files, f"{DATA}/journal", Clock())
        return self.successResultOf(Deferred.fromCoroutine(opening))

    def record(self, *members: str) -> None:
        clock = Clock()
        opening = FileJournal.open(self.files, f"{DATA}/journal", clock)
        journal = self.successResultOf(Deferred.fromCoroutine(opening))
        commit = Commit(at=1.0, who="master", why="", edits=(record_of(members),))
        keeping = Deferred.fromCoroutine(journal.append(commit))
        clock.advance(0)
        self.successResultOf(keeping)

    def take_over(self, name: str) -> None:
        self.successResultOf(take_over(self.files, DATA, name, now=9.0))

    def test_the_copy_of_a_candidate_that_was_in_sync_is_whole(self) -> None:
        self.assertFalse(read(self.files, DATA).is_whole("node2"))
        self.record(NODE2.uuid)
        copy = read(self.files, DATA)
        self.assertEqual(
            (copy.end, copy.is_whole("node2"), copy.is_whole("node3")), (1, True, False)
        )
        self.record()
        self.assertFalse(read(self.files, DATA).is_whole("node2"))

    def test_the_masters_own_is_whole(self) -> None:
        self.assertTrue(read(self.files, DATA).is_whole("node1"))

    def test_a_node_becomes_the_master_by_a_commit(self) -> None:
        self.record(NODE2.uuid)
        self.take_over("node2")
        copy = read(self.files, DATA)
        self.assertEqual(
            (copy.state.master.name, copy.end, copy.in_sync), ("node2", 2, frozenset())
        )
        [(_, commit)] = self.journal().replay(1)
        self.assertEqual(
            (commit.who, commit.why), ("master-failover", "node2 is the master, after node1")
        )

    def test_done_again_it_changes_nothing_but_the_record(self) -> None:
        self.take_over("node2")
        before = read(self.files, DATA).state
        self.take_over("node2")
        self.assertEqual(read(self.files, DATA).state.cluster, before.cluster)

    def test_what_is_no_candidate_has_no_copy(self) -> None:
        refused = self.failureResultOf(take_over(self.files, DATA, "node3", now=9.0), Refused)
        self.assertIn("is no master candidate", str(refused.value))

    def test_a_node_without_a_copy_is_told_where_there_is_one(self) -> None:
        with self.assertRaisesRegex(Failed, "ssconf_master_candidates lists them"):
            read(MemoryFiles(MemoryDisk()), DATA)
