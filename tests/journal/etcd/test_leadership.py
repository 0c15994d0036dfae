# SPDX-License-Identifier: BSD-2-Clause
"""Who is the leader: one at a time, for as long as the lease is renewed."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster
from ganeti.journal.etcd.leadership import (
    LEASE_MARGIN,
    LEASE_SECONDS,
    SILENCE_SECONDS,
    Holder,
    Leadership,
    end_silence,
)
from ganeti.testing.etcd import EtcdData, MemoryEtcd

PREFIX = "/ganeti/test/"

T = TypeVar("T")


class LeadershipTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.data = EtcdData(self.clock)
        self.lost: list[str] = []
        self.etcd, self.first = self.candidate("node1")

    def candidate(self, name: str, process: int = 1) -> tuple[MemoryEtcd, Leadership]:
        etcd = MemoryEtcd(self.data)
        made = Leadership(
            etcd,
            PREFIX,
            Holder(master=name, process=process),
            self.clock,
            lost=lambda _: self.lost.append(name),
        )
        self.addCleanup(made.stop, NotMaster("the test is over"))
        return etcd, made

    def begun(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 30)
        return working

    def acquired(self, leadership: Leadership, **how: Any) -> None:
        self.successResultOf(self.begun(leadership.acquire(**how)))

    def seconds(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(10 * seconds))

    def test_the_first_term_is_above_those_that_nodes_know(self) -> None:
        self.acquired(self.first, floor=7)
        self.assertEqual((self.first.term, self.first.holds_lease()), (8, True))

    def test_the_lease_is_held_as_long_as_it_is_renewed(self) -> None:
        self.acquired(self.first)
        self.seconds(3 * LEASE_SECONDS)
        self.assertTrue(self.first.holds_lease())
        self.etcd.lost = "answers"
        self.seconds(SILENCE_SECONDS - LEASE_MARGIN + 0.1)
        self.assertFalse(self.first.holds_lease())

    def test_a_lease_counts_only_while_candidates_see_it_renewed(self) -> None:
        self.acquired(self.first)
        self.data.full = True
        self.seconds(LEASE_SECONDS)
        # The lease is renewed, but the key cannot be written.
        self.assertFalse(self.first.holds_lease())
        self.assertIn("space", self.first.problem)
        self.data.full = False
        self.seconds(1)
        self.assertEqual((self.first.holds_lease(), self.first.term), (True, 1))

    def test_a_lease_ends_here_before_another_can_be_granted(self) -> None:
        self.acquired(self.first)
        self.etcd.lost = "requests"
        other = self.candidate("node2")[1]
        taking = self.begun(other.acquire(take_over=True))
        while not taking.called:
            self.assertFalse(self.first.holds_lease() and other.holds_lease())
            self.seconds(0.1)
        self.assertEqual((other.term, self.first.holds_lease()), (2, False))

    def test_a_master_whose_lease_ends_early_is_not_overlapped(self) -> None:
        self.acquired(self.first)
        self.etcd.lost = "requests"
        for lease in list(self.data.leases):
            self.data.end_lease(lease)
        other = self.candidate("node2")[1]
        taking = self.begun(other.acquire(take_over=True))
        self.assertTrue(self.first.holds_lease())
        while not taking.called:
            self.assertFalse(self.first.holds_lease() and other.holds_lease())
            self.seconds(0.1)
        self.assertEqual((other.term, self.first.holds_lease()), (2, False))

    def test_a_silent_master_is_deposed_before_its_lease_ends(self) -> None:
        self.acquired(self.first)
        self.etcd.lost = "requests"
        taking = self.begun(self.candidate("node2")[1].acquire(take_over=True))
        self.seconds(SILENCE_SECONDS - 0.5)
        self.assertNoResult(taking)
        self.seconds(1)
        self.successResultOf(taking)
        self.assertFalse(self.first.holds_lease())

    def test_a_take_over_does_not_wait_for_a_master_that_was_faster(self) -> None:
        self.acquired(self.first)
        self.etcd.lost = "requests"
        taking = self.begun(self.candidate("node2")[1].acquire(take_over=True))
        self.seconds(SILENCE_SECONDS - 1)
        for lease in list(self.data.leases):
            self.data.end_lease(lease)
        self.acquired(self.candidate("node3")[1], vacant=True)
        self.seconds(1)
        self.assertIn("node3 is the master", str(self.failureResultOf(taking, NotMaster).value))

    def test_a_note_of_an_earlier_silence_does_not_depose_a_master_that_came_back(self) -> None:
        self.acquired(self.first)
        revision = self.data.entries[self.first.key].mod_revision
        self.successResultOf(self.begun(end_silence(self.etcd, PREFIX, "node3", revision)))
        self.seconds(1)
        self.assertTrue(self.first.holds_lease())
        self.etcd.lost = "requests"
        for lease in list(self.data.leases):
            self.data.end_lease(lease)
        other = self.candidate("node2")[1]
        taking = self.begun(other.acquire(take_over=True))
        while not taking.called:
            self.assertFalse(self.first.holds_lease() and other.holds_lease())
            self.seconds(0.1)

    def test_a_master_that_was_stopped_is_replaced_at_once(self) -> None:
        self.acquired(self.first)
        self.first.stop(NotMaster("it stops"))
        self.successResultOf(self.begun(self.first.delete_leader_key(stopped=True)))
        self.acquired(self.candidate("node2")[1], take_over=True)

    def test_another_node_takes_over_only_if_it_is_told_to(self) -> None:
        self.acquired(self.first)
        other = self.candidate("node2")[1]
        for _ in range(2):
            refused = self.failureResultOf(self.begun(other.acquire()), NotMaster)
            self.assertIn("node1 is the master", refused.getErrorMessage())
            # The second time, it has no lease, and was the last one nevertheless.
            self.first.stop(NotMaster("it stops"))
            self.successResultOf(self.begun(self.first.delete_leader_key()))
        taking = self.begun(other.acquire(take_over=True))
        self.seconds(SILENCE_SECONDS + 1)
        self.successResultOf(taking)
        self.assertEqual(other.term, 2)

    def test_a_released_role_can_be_taken_at_once(self) -> None:
        self.acquired(self.first)
        self.first.stop(NotMaster("it stops"))
        self.successResultOf(self.begun(self.first.delete_leader_key()))
        self.acquired(self.candidate("node1", 2)[1])

    def test_a_vacant_role_is_taken_and_one_that_is_held_is_not(self) -> None:
        self.acquired(self.first)
        other = self.candidate("node2")[1]
        self.failureResultOf(self.begun(other.acquire(vacant=True)), NotMaster)
        self.first.stop(NotMaster("it stops"))
        self.successResultOf(self.begun(self.first.delete_leader_key()))
        self.acquired(other, vacant=True)
        self.assertEqual(other.term, 2)

    def test_the_lease_of_a_process_that_has_ended_is_revoked(self) -> None:
        self.acquired(self.first)
        again = self.candidate("node1", 2)[1]
        self.acquired(again, has_ended=lambda holder: holder.process == 1)
        self.assertEqual(again.term, 2)

    def test_the_lease_of_a_process_that_may_run_is_waited_for(self) -> None:
        self.acquired(self.first)
        waiting = self.begun(self.candidate("node1", 2)[1].acquire())
        self.seconds(2 * LEASE_SECONDS)
        self.assertNoResult(waiting)
        self.first.stop(NotMaster("it is killed"))
        self.seconds(LEASE_SECONDS + 1)
        self.successResultOf(waiting)

    def test_one_that_was_replaced_says_so_once(self) -> None:
        self.acquired(self.first)
        self.etcd.lost = "requests"
        other = self.candidate("node2")[1]
        taking = self.begun(other.acquire(take_over=True))
        self.seconds(2 * LEASE_SECONDS)
        self.successResultOf(taking)
        self.etcd.lost = ""
        self.seconds(5)
        self.assertEqual((self.lost, self.first.superseded), (["node1"], True))
        self.failureResultOf(self.begun(self.first.revision()), NotMaster)

    def test_a_lease_that_has_ended_is_granted_again_in_the_same_term(self) -> None:
        self.acquired(self.first)
        before = self.successResultOf(self.begun(self.first.revision()))
        self.etcd.lost = "requests"
        self.seconds(3 * LEASE_SECONDS)
        self.etcd.lost = ""
        self.seconds(5)
        after = self.successResultOf(self.begun(self.first.revision()))
        self.assertGreater(after, before)
        self.assertEqual((self.first.term, self.first.holds_lease(), self.lost), (1, True, []))

    def test_an_acquisition_whose_answers_are_lost_succeeds_when_they_arrive(self) -> None:
        self.etcd.lost = "answers"
        acquiring = self.begun(self.first.acquire())
        self.seconds(3)
        self.assertNoResult(acquiring)
        self.assertIn("no answer", self.first.problem)
        self.etcd.lost = ""
        self.seconds(2 * LEASE_SECONDS)
        self.successResultOf(acquiring)
        self.assertEqual(self.first.problem, "")
