# SPDX-License-Identifier: BSD-2-Clause
"""A master starts from its store: the first one founds it, and no other does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, NotMaster, Refused
from ganeti.journal.etcd.leadership import Holder, Leadership
from ganeti.journal.interfaces import LogPosition
from ganeti.journal.marker import complete
from ganeti.master.lease_waiting import LEASE_WAIT_TIMEOUT
from ganeti.master.state_paths import StatePaths
from ganeti.master.store_startup import START_TIMEOUT, OpenedStore, open_store
from ganeti.master.store_term import StoreTerm
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from tests.contracts.journal import a_commit

PREFIX = "/ganeti/test/"
PLACES = StatePaths("/data")

T = TypeVar("T")


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.data = EtcdData(self.clock)
        self.etcd = MemoryEtcd(self.data)
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk, self.clock)
        self.disk.add_folder("/data", 0o750)
        self.disk.put("/data/config.data", b"{}", 0o640, 0.0)
        self.founded = False

    async def note(self) -> None:
        self.founded = True

    def opening(self, name: str = "node1", **how: Any) -> Deferred[OpenedStore]:
        leadership = Leadership(self.etcd, PREFIX, Holder(master=name), self.clock)
        self.addCleanup(leadership.stop, NotMaster("the test is over"))
        opening = Deferred.fromCoroutine(
            open_store(
                self.etcd,
                PREFIX,
                leadership,
                self.files,
                PLACES,
                self.clock,
                on_founded=self.note,
                **{"founded": self.founded, **how},
            )
        )
        self.clock.pump([0] * 99)
        return opening

    def opened(self, **how: Any) -> OpenedStore:
        return self.successResultOf(self.opening(**how))

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 30)
        return self.successResultOf(working)


class OpenTests(Case):
    def test_the_first_master_founds_the_state(self) -> None:
        opened = self.opened()
        opened.journal.replicate_to(opened.store)
        self.done(opened.journal.append(a_commit(1)))
        self.assertTrue(self.founded)
        opened.leadership.stop(NotMaster("it stops"))
        self.done(opened.leadership.delete_leader_key())
        self.assertEqual(self.opened().journal.last_commit(), 1)

    def test_a_start_that_was_interrupted_after_founding_is_repeated(self) -> None:
        first = self.opened()
        first.leadership.stop(NotMaster("it stops"))
        self.done(first.leadership.delete_leader_key())
        self.assertEqual(self.opened(founded=False).journal.last_commit(), 0)

    def test_an_etcd_that_has_lost_its_data_is_not_founded_again(self) -> None:
        failed = self.failureResultOf(self.opening(founded=True), Failed)
        self.assertIn("etcd has lost its data", failed.getErrorMessage())
        # Another master need not wait for the lease.
        self.assertEqual([key for key in self.data.entries if key.endswith("leader")], [])

    def test_the_state_of_a_cluster_that_is_not_new_is_not_used(self) -> None:
        marker = complete(LogPosition(5, bytes(32)))
        self.disk.add_folder("/data/journal", 0o750)
        self.disk.put(PLACES.marker, marker, 0o640, 0.0)
        self.failureResultOf(self.opening(), Refused)

    def test_a_store_that_does_not_answer_is_named(self) -> None:
        self.etcd.lost = "requests"
        opening = self.opening()
        self.clock.pump([0.5] * round(2 * START_TIMEOUT + 9))
        self.assertIn("no answer", self.failureResultOf(opening, Failed).getErrorMessage())

    def test_a_full_store_is_compacted(self) -> None:
        self.data.full = True
        self.assertEqual(self.opened().journal.last_commit(), 0)

    def test_a_store_that_stays_full_is_told(self) -> None:
        self.data.full, self.data.reclaimable = True, False
        self.assertIn("space quota", self.failureResultOf(self.opening(), Failed).getErrorMessage())


class TermTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.leadership = self.opened(floor=4).leadership
        self.term = StoreTerm(self.leadership, self.clock)

    def ready(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.term.ready())

    def test_the_term_is_above_that_of_the_nodes(self) -> None:
        self.assertEqual(
            (self.term.term(), self.term.holds_lease(), self.term.lost), (5, True, False)
        )

    def test_changes_wait_for_the_first_commit(self) -> None:
        waiting = self.ready()
        self.clock.advance(1.0)
        self.assertNoResult(waiting)
        self.term.serve()
        self.clock.advance(0)
        self.successResultOf(waiting)

    def test_changes_without_the_lease_are_refused_with_the_reason(self) -> None:
        self.term.serve()
        self.etcd.lost = "requests"
        self.clock.pump([0.5] * 12)
        waiting = self.ready()
        self.clock.pump([0.5] * round(2 * LEASE_WAIT_TIMEOUT + 2))
        refused = self.failureResultOf(waiting, Refused).getErrorMessage()
        self.assertIn("the state store does not acknowledge them (etcd: no answer)", refused)

    def test_a_request_whose_outcome_is_unknown_does_not_wait_forever(self) -> None:
        self.etcd.lost = "requests"
        answer: Deferred[None] = Deferred()
        waiting = Deferred.fromCoroutine(self.term.bounded(answer))
        self.clock.pump([1.0] * 20)
        self.assertIn("unknown whether", self.failureResultOf(waiting, Refused).getErrorMessage())

    def test_a_newer_master_that_a_node_follows_ends_this_one(self) -> None:
        self.term.observed(5, "node1")
        self.assertFalse(self.term.lost)
        self.term.observed(6, "node2")
        self.assertTrue(self.term.lost)
        failed = self.failureResultOf(self.ready(), NotMaster)
        self.assertIn("node2 is the master now", failed.getErrorMessage())

    def test_nodes_cannot_be_declared_down(self) -> None:
        with self.assertRaisesRegex(Refused, "nodes do not vote"):
            self.term.confirm_down(["node2"])
