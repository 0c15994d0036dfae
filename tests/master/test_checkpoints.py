# SPDX-License-Identifier: BSD-2-Clause
"""A checkpoint holds what its marker says, whatever becomes of whoever has asked for it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.objects import add, together
from ganeti.config.writer import ChangeCause
from ganeti.journal.marker import CheckpointMarker, read_marker
from ganeti.master.checkpoints import MAX_AGE
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.testing.builders import a_network
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryFiles


class LargeTests(SynchronousTestCase):
    """A configuration of so many objects that a few commits are no reason to write it again."""

    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.host = self.cluster.hosts[0]
        networks = (add(a_network(f"net{number}")) for number in range(100))
        change = self.cluster.master.config.change(
            together(*networks), because=ChangeCause("test", "many objects")
        )
        self.cluster.wait(change)
        self.cluster.pass_time(30.0)
        self.before = self.config()
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
        self.cluster.finish_jobs()
        self.cluster.pass_time(30.0)

    def config(self) -> bytes:
        return MemoryFiles(self.host.disk).read(self.host.paths.config_file)

    def test_only_the_files_of_the_queue_are_written(self) -> None:
        self.assertEqual(self.config(), self.before)
        self.assertIn("job-1", self.host.disk.names(self.host.paths.queue))

    def test_a_master_that_was_killed_finds_what_the_file_lacks(self) -> None:
        self.cluster.kill_master()
        self.cluster.start_master()
        self.assertEqual(self.cluster.master.config.state().cluster.tags, ("one",))
        self.assertEqual(self.cluster.problems(), [])

    def test_it_is_written_after_a_while(self) -> None:
        self.cluster.pass_time(MAX_AGE)
        self.assertIn(b'"tags":["one"]', self.config())

    def test_a_master_that_stops_leaves_it_complete(self) -> None:
        self.cluster.wait(self.cluster.process.stop())
        self.assertIn(b'"tags":["one"]', self.config())

    def test_many_commits_are_a_reason(self) -> None:
        for number in range(20):
            self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=(f"tag{number}",)))
            self.cluster.finish_jobs()
        self.cluster.pass_time(30.0)
        self.assertTrue(b'"tag0"' in self.config())


class AbandonedTests(SynchronousTestCase):
    """A candidate was removed, or marked offline, while a checkpoint was written for it."""

    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.cluster.pass_time(30.0)
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
        self.cluster.finish_jobs()
        getting = Deferred.fromCoroutine(self.cluster.master.checkpoints.whole())
        self.assertNoResult(getting)
        getting.cancel()
        self.failureResultOf(getting, CancelledError)
        self.host = self.cluster.hosts[0]

    def marker(self) -> CheckpointMarker:
        return read_marker(MemoryFiles(self.host.disk), f"{self.host.paths.journal}/checkpoint")

    def test_later_ones_have_all_jobs(self) -> None:
        self.cluster.pass_time(20.0)
        self.assertIn("job-1", self.host.disk.names(self.host.paths.queue))

    def test_a_master_that_was_replaced_leaves_it_complete(self) -> None:
        self.cluster.pass_time(0.0012)
        self.assertNotEqual(self.marker().holds, self.marker().newest)
        self.cluster.wait(self.cluster.master.checkpoints.stop(write=False))
        self.assertEqual(self.marker().holds, self.marker().newest)
