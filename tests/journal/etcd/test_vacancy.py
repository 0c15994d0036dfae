# SPDX-License-Identifier: BSD-2-Clause
"""When a candidate finds the role of the master vacant, and when it leaves it alone."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster
from ganeti.journal.etcd.interfaces import StoreFull, StoreUnavailable
from ganeti.journal.etcd.leadership import SILENCE_SECONDS, Holder, Leadership, Term
from ganeti.journal.etcd.vacancy import REGAIN_TIME, Vacancy, VacancyFinder
from ganeti.testing.etcd import EtcdData, MemoryEtcd

PREFIX = "/ganeti/test/"

T = TypeVar("T")


class VacancyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.data = EtcdData(self.clock)
        self.masters, self.etcd = MemoryEtcd(self.data), MemoryEtcd(self.data)
        self.ended = False
        self.master = self.leadership("node1")
        self.finder = self.candidate("node2")

    def leadership(self, name: str) -> Leadership:
        made = Leadership(self.masters, PREFIX, Holder(master=name, process=1), self.clock)
        self.addCleanup(made.stop, NotMaster("the test is over"))
        return made

    def candidate(self, name: str) -> VacancyFinder:
        return VacancyFinder(
            self.etcd, PREFIX, self.clock, name=name, has_ended=lambda _: self.ended
        )

    def done(self, work: Coroutine[Deferred[Any], Any, T], turns: int = 30) -> T:
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0.1 if self.etcd.lost else 0] * turns)
        return self.successResultOf(working)

    def acquired(self, leadership: Leadership) -> None:
        self.done(leadership.acquire(take_over=True))

    def found(self, seconds: float = 0) -> Vacancy | None:
        """What the candidate finds after it has looked for so long."""
        for _ in range(round(10 * seconds)):
            self.done(self.finder.find_vacancy())
            self.clock.advance(0.1)
        return self.done(self.finder.find_vacancy())

    def stop(self, *, stopped: bool = False) -> None:
        self.master.stop(NotMaster("it stops"))
        self.done(self.master.delete_leader_key(stopped=stopped))

    def keep_lease(self) -> None:
        """Let the lease live, as it does after etcd has elected a leader."""
        for lease in self.data.leases.values():
            lease.ends = self.clock.seconds() + 99

    def test_a_new_store_has_no_vacancy(self) -> None:
        self.assertIsNone(self.found(10))

    def test_a_role_is_vacant_when_its_master_was_stopped(self) -> None:
        self.acquired(self.master)
        self.assertIsNone(self.found(10))
        self.stop(stopped=True)
        self.assertEqual(self.found(), Vacancy(Term(term=1, master="node1", stopped=True)))

    def test_a_silent_master_is_found_even_if_its_lease_is_extended(self) -> None:
        self.acquired(self.master)
        self.found(2)
        self.masters.lost = "requests"
        self.assertIsNone(self.found(SILENCE_SECONDS - 1))
        self.keep_lease()
        vacancy = self.found(1.5)
        assert vacancy is not None
        self.assertGreater(vacancy.revision, 0)
        self.assertTrue(self.done(self.finder.delete_leader_key(vacancy)))
        self.assertEqual(self.found(), Vacancy(Term(term=1, master="node1")))

    def test_a_master_that_writes_its_key_in_time_keeps_it(self) -> None:
        self.acquired(self.master)
        self.masters.lost = "requests"
        self.keep_lease()
        vacancy = self.found(SILENCE_SECONDS + 1)
        assert vacancy is not None
        self.masters.lost = ""
        self.clock.pump([0.1] * 20)
        self.assertFalse(self.done(self.finder.delete_leader_key(vacancy)))
        self.assertTrue(self.master.holds_lease())

    def test_a_deposed_master_relied_on_its_lease_no_more(self) -> None:
        self.acquired(self.master)
        self.found(1)
        self.masters.lost = "requests"
        while (vacancy := self.found(0.1)) is None:
            self.keep_lease()
        self.assertFalse(self.master.holds_lease())
        self.done(self.finder.delete_leader_key(vacancy))
        self.masters.lost = ""
        self.clock.pump([0.1] * 20)
        # Nobody has taken the role: it is the master again, in the same term.
        self.assertEqual((self.master.holds_lease(), self.master.term), (True, 1))

    def test_after_an_outage_of_etcd_the_master_may_come_back_first(self) -> None:
        self.acquired(self.master)
        self.found(1)
        self.masters.lost = self.etcd.lost = "requests"
        self.keep_lease()
        failing = Deferred.fromCoroutine(self.finder.find_vacancy())
        self.clock.pump([0.1] * 100)
        self.failureResultOf(failing, StoreUnavailable)
        self.etcd.lost = ""
        self.assertIsNone(self.found(REGAIN_TIME - 0.2))
        self.assertIsNotNone(self.found(0.5))

    def test_a_slow_answer_counts_as_an_outage(self) -> None:
        self.acquired(self.master)
        self.found(1)
        self.masters.lost = "requests"
        self.keep_lease()
        self.etcd.latency = lambda: 2.0
        slow = Deferred.fromCoroutine(self.finder.find_vacancy())
        self.clock.pump([0.1] * 41)
        self.assertIsNone(self.successResultOf(slow))
        self.etcd.latency = lambda: 0.0
        self.assertIsNone(self.found())

    def test_without_space_no_master_is_deposed(self) -> None:
        self.acquired(self.master)
        self.data.full = True
        vacancy = self.found(SILENCE_SECONDS + 1)
        assert vacancy is not None
        ending = Deferred.fromCoroutine(self.finder.delete_leader_key(vacancy))
        self.clock.pump([0] * 30)
        self.failureResultOf(ending, StoreFull)
        self.assertIsNotNone(self.data.entries.get(f"{PREFIX}leader"))

    def test_a_process_of_this_node_that_has_ended_leaves_a_vacancy_at_once(self) -> None:
        self.acquired(self.master)
        own = self.candidate("node1")
        self.assertIsNone(self.done(own.find_vacancy()))
        self.ended = True
        self.assertIsNotNone(self.done(own.find_vacancy()))
        self.assertIsNone(self.found())
