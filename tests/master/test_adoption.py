# SPDX-License-Identifier: BSD-2-Clause
"""A new master adopts the commits that only other copies have, and loses none silently."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.journal.file_journal import FileJournal
from ganeti.master.adoption import RELEASE_TIMEOUT, adopt
from ganeti.master.follower import to_wire
from ganeti.node.replicas import Replica
from ganeti.rpc.quorum import ReplicaSet
from ganeti.rpc.replicas import DescribeReplica, ReadFrames, ReplicaEnd
from ganeti.rpc.server import CallHandlers
from ganeti.testing.builders import a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.nodes import MemoryNodes
from tests.contracts.journal import a_commit

T = TypeVar("T")

DATA = "/var/lib/ganeti"
NODES = {name: a_node(name) for name in ("node1", "node2", "node3")}
ALL = ReplicaSet(in_sync=("node1", "node2", "node3"), voters=("node1", "node2", "node3"))


class AdoptionTests(SynchronousTestCase):
    """node1 becomes the master."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = MemoryNodes(clock=self.clock)
        self.journals = {name: self.open_copy(name) for name in NODES}
        self.journal = self.journals["node1"]

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        waiting = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 20)
        return self.successResultOf(waiting)

    def open_copy(self, name: str) -> FileJournal:
        """Return the journal on a node, whose node daemon answers for its copy."""
        files = MemoryFiles(MemoryDisk())
        replica, handlers = Replica(files, DATA), CallHandlers(lambda: 0)
        handlers.to(DescribeReplica, replica.describe)
        handlers.to(ReadFrames, replica.read_frames)
        self.nodes.add_node(name, handlers)
        return self.done(FileJournal.open(files, f"{DATA}/journal", self.clock))

    def commit(self, *numbers: int, to: str) -> None:
        for name in to.split():
            for number in numbers:
                self.done(self.journals[name].append(a_commit(number)))

    def adopt(
        self, found: ReplicaSet = ALL, *, known: int = 0, accept_loss: bool = False
    ) -> Deferred[bool]:
        """Let node1 adopt; node3 knows so many commits to be acknowledged."""
        mark = to_wire(self.journals["node3"].find_log_position(known))
        acknowledged = {"node3": mark if known else ReplicaEnd(position=0, digest="")}
        others = [NODES["node2"], NODES["node3"]]
        adopting = Deferred.fromCoroutine(
            adopt(
                self.journal,
                self.nodes,
                others,
                found,
                acknowledged,
                "node1",
                self.clock,
                accept_loss=accept_loss,
            )
        )
        self.clock.pump([0.5] * (int(2 * RELEASE_TIMEOUT) + 2))
        return adopting

    def commits(self) -> list[int]:
        return [number for number, _ in self.journal.replay(0)]

    def test_equal_copies_add_nothing(self) -> None:
        self.commit(1, 2, to="node1 node2 node3")
        self.assertFalse(self.successResultOf(self.adopt(known=2)))

    def test_commits_that_another_copy_has_are_fetched(self) -> None:
        self.commit(1, to="node1 node2 node3")
        self.commit(2, 3, to="node3")
        self.assertTrue(self.successResultOf(self.adopt(known=3)))
        self.assertEqual(self.commits(), [1, 2, 3])
        self.assertEqual(self.journal.end_position(), self.journals["node3"].end_position())

    def test_what_a_copy_that_left_the_set_has_beyond_what_is_acknowledged_is_not_fetched(
        self,
    ) -> None:
        # The master before has given it up, and may have undone what depended on it.
        self.commit(1, to="node1 node2 node3")
        self.commit(2, to="node3")
        alone = ReplicaSet(in_sync=("node1",), voters=ALL.voters)
        self.assertFalse(self.successResultOf(self.adopt(alone, known=1)))
        self.assertEqual(self.commits(), [1])

    def test_what_this_disk_has_lost_is_fetched_from_any_copy(self) -> None:
        self.commit(1, to="node1 node2 node3")
        self.commit(2, to="node3")
        alone = ReplicaSet(in_sync=("node1",), voters=ALL.voters)
        self.assertTrue(self.successResultOf(self.adopt(alone, known=2)))
        self.assertEqual(self.commits(), [1, 2])

    def test_a_copy_with_another_history_is_refused_and_named(self) -> None:
        self.commit(1, to="node1")
        self.commit(7, 8, to="node2")
        error = self.failureResultOf(self.adopt(), Refused).value
        self.assertIn("the copy on node2 has more commits", str(error))
        self.assertIn("Make node2 the master", str(error))
        self.assertEqual(self.commits(), [1])

    def test_an_acknowledged_commit_that_nobody_has_any_more_is_refused(self) -> None:
        self.commit(1, to="node1 node2 node3")
        self.commit(2, to="node3")
        self.nodes.vanish("node3")
        error = self.failureResultOf(self.adopt(known=2), Refused).value
        self.assertIn("node3 knows commit 2 to be acknowledged", str(error))
        self.assertIn("--accept-loss", str(error))

    def test_an_administrator_can_accept_the_loss(self) -> None:
        self.commit(1, to="node1 node2 node3")
        self.commit(2, to="node3")
        self.nodes.vanish("node3")
        self.assertFalse(self.successResultOf(self.adopt(known=2, accept_loss=True)))

    def test_a_copy_that_is_not_in_sync_does_not_make_a_master(self) -> None:
        others = ReplicaSet(in_sync=("node2", "node3"), voters=ALL.voters)
        self.failureResultOf(self.adopt(others), Refused)
