# SPDX-License-Identifier: BSD-2-Clause
"""The double of etcd does what etcd does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.etcd.interfaces import PutKey, RevisionCompacted, StoreFull, StoreUnavailable
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from tests.contracts.etcd import EtcdContract

T = TypeVar("T")


class MemoryEtcdTests(EtcdContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.etcd = self.memory = MemoryEtcd(EtcdData(self.clock))

    def begun(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 9)
        return working

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(self.begun(work))

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def test_a_lost_request_is_not_carried_out_and_a_lost_answer_hides_what_was(self) -> None:
        for lost, there in (("requests", []), ("answers", ["a"])):
            self.memory.lost = lost
            putting = self.begun(self.memory.txn([], [PutKey("/test/a", b"")]))
            self.clock.pump([self.memory.timeout, 0])
            self.failureResultOf(putting, StoreUnavailable)
            self.memory.lost = ""
            self.assertEqual(self.names(), there)

    def test_a_compacted_revision_cannot_be_read(self) -> None:
        first = self.put("a")
        self.put("a")
        self.memory.data.compact()
        self.failureResultOf(self.begun(self.memory.read("a", revision=first)), RevisionCompacted)

    def test_a_full_store_takes_deletions_only(self) -> None:
        self.memory.data.full = True
        self.failureResultOf(self.begun(self.memory.txn([], [PutKey("/test/a", b"")])), StoreFull)
        self.failureResultOf(self.begun(self.memory.grant(5)), StoreFull)
