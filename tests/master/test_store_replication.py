# SPDX-License-Identifier: BSD-2-Clause
"""The state of a store, and when its log is replaced by a checkpoint."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import CommitFailed, NotMaster
from ganeti.journal.etcd.etcd_store import CHECKPOINT_DUE, EtcdStore
from ganeti.journal.etcd.interfaces import MemberHealth, StoreHealth
from ganeti.journal.etcd.leadership import Holder, Leadership
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import BEGINNING, IReplicas
from ganeti.master.follower import CheckpointFiles
from ganeti.master.store_replication import (
    SPACE_INTERVAL,
    StoreReplication,
    find_problems,
)
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from tests.contracts.journal import a_commit

T = TypeVar("T")


class StoreReplicationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.etcd = MemoryEtcd(EtcdData(self.clock))
        self.leadership = Leadership(self.etcd, "/t/", Holder(master="node1"), self.clock)
        self.addCleanup(self.leadership.stop, NotMaster("the test is over"))
        self.done(self.leadership.acquire())
        self.store = EtcdStore(self.etcd, "/t/", self.leadership, self.clock)
        self.done(self.store.create({}, BEGINNING))
        files = MemoryFiles(MemoryDisk(), self.clock)
        self.journal = self.done(FileJournal.open(files, "/journal", self.clock))
        self.checkpoints = 0
        self.replication = StoreReplication(
            self.journal, self.store, self.etcd, self.clock, self.checkpoint
        )
        self.journal.replicate_to(self.replication)

    async def checkpoint(self) -> CheckpointFiles:
        self.checkpoints += 1
        return CheckpointFiles({"config.data": b"{}"}, self.journal.last_commit())

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 99)
        return self.successResultOf(working)

    def refuse(self, work: Coroutine[Deferred[Any], Any, object]) -> None:
        """The store is full, which is told."""
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 99)
        failed = self.failureResultOf(working, CommitFailed)
        self.assertIn("space quota", failed.getErrorMessage())

    def value(self, name: str) -> object:
        [family] = [each for each in self.replication.families() if each.name == name]
        return [sample.value for sample in family.samples]

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IReplicas, self.replication)

    def test_a_log_that_has_grown_gets_a_checkpoint(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        self.assertEqual(self.checkpoints, 0)
        self.done(self.journal.append(a_commit(2, size=CHECKPOINT_DUE)))
        log = self.done(EtcdStore(self.etcd, "/t/", self.leadership, self.clock).load())
        assert log is not None
        self.assertEqual((self.checkpoints, log.checkpoint.position), (1, 1))
        self.done(self.journal.append(a_commit(3)))
        self.assertEqual(self.checkpoints, 1)

    def test_space_is_freed_when_the_store_is_full(self) -> None:
        self.etcd.data.full = True
        self.refuse(self.journal.append(a_commit(1)))
        self.done(self.journal.reopen())
        self.clock.pump([0.1] * 10)
        self.done(self.journal.append(a_commit(1)))
        self.assertEqual(self.journal.last_commit(), 1)

    def test_a_store_that_stays_full_is_not_compacted_all_the_time(self) -> None:
        self.etcd.data.full, self.etcd.data.reclaimable = True, False
        self.refuse(self.journal.append(a_commit(1)))
        self.refuse(self.journal.reopen())
        self.etcd.data.reclaimable = True
        self.refuse(self.journal.reopen())
        self.clock.pump([1.0] * round(SPACE_INTERVAL))
        self.done(self.journal.reopen())

    def test_members_without_a_problem_are_up(self) -> None:
        self.assertEqual(self.value("ganeti_store_member_up"), [1])

    def test_problems_name_the_member_and_the_alarm(self) -> None:
        self.assertEqual(self.done(self.replication.problems()), [])
        member = MemberHealth("https://192.0.2.1:2379", problem="connection refused")
        found = list(find_problems(StoreHealth((member,), ("NOSPACE",))))
        self.assertIn("192.0.2.1:2379 of the state store: connection refused", found[0])
        self.assertIn("etcdctl alarm disarm", found[1])
