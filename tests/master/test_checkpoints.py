# SPDX-License-Identifier: BSD-2-Clause
"""A checkpoint holds what its marker says, whatever becomes of whoever has asked for it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.marker import CheckpointMarker, read_marker
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryFiles


class AbandonedTests(SynchronousTestCase):
    """A candidate was removed, or marked offline, while a checkpoint was written for it."""

    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.cluster.pass_time(30.0)
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
        self.cluster.settle()
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
