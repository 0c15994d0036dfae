# SPDX-License-Identifier: BSD-2-Clause
"""A node's vote: one master a term, promises that are kept, and the newest replica set on disk."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.node.voter import YIELD_SECONDS, Voter
from ganeti.rpc.quorum import (
    MAX_TERM_STEP,
    VOTER_LEASE_TIME,
    Ballot,
    DescribeVote,
    ReleaseLease,
    RenewLease,
    ReplicaSet,
    RequestVote,
)
from ganeti.rpc.replicas import ReplicaEnd
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATH = "/term"
NOTHING = ReplicaEnd(position=0, digest="")


class VoterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.clock = Clock()
        self.serves = 0
        self.voter = self.started()

    def started(self) -> Voter:
        return Voter(
            MemoryFiles(self.disk), PATH, self.clock, serves=lambda: self.serves, name="node9"
        )

    def request(
        self,
        term: int,
        master: str,
        *instead: str,
        elected: bool = False,
        voter: Voter | None = None,
    ) -> bool:
        call = RequestVote(term=term, master=master, instead=instead, elected=elected)
        ballot: Ballot = self.successResultOf((voter or self.voter).request(call))
        return ballot.granted

    def renew(self, replica_set: ReplicaSet | None = None, position: int = 0) -> int:
        mark = ReplicaEnd(position=position, digest="ab" if position else "")
        call = RenewLease(acknowledged=mark, replica_set=replica_set)
        generation: int = self.successResultOf(self.voter.renew(call))
        return generation

    def granted(self) -> tuple[int, str]:
        return self.voter.state.term, self.voter.state.master

    # --- terms

    def test_only_a_newer_term_is_granted(self) -> None:
        self.assertTrue(self.request(3, "node1"))
        for term in (1, 2, 3):
            self.assertFalse(self.request(term, "node1"))
        self.assertTrue(self.request(4, "node1"))
        self.assertEqual(self.granted(), (4, "node1"))

    def test_a_term_far_beyond_the_known_one_is_not_granted(self) -> None:
        self.assertFalse(self.request(MAX_TERM_STEP + 1, "node1"))
        self.assertTrue(self.request(MAX_TERM_STEP, "node1"))

    def test_a_question_changes_nothing(self) -> None:
        self.request(3, "node1")
        ballot = self.successResultOf(self.voter.describe(DescribeVote()))
        self.assertEqual((ballot.granted, ballot.state), (False, self.voter.state))

    def test_a_vote_is_on_disk_when_it_is_given(self) -> None:
        self.request(3, "node1")
        self.disk = self.disk.after_crash()
        self.assertEqual(self.started().term(), 3)

    def test_a_vote_that_cannot_be_kept_is_not_given(self) -> None:
        self.disk.break_down()
        self.failureResultOf(self.voter.request(RequestVote(term=3, master="node1")), OSError)
        self.assertEqual(self.voter.term(), 0)
        self.disk.heal()
        self.assertTrue(self.request(3, "node2"))

    def test_of_two_masters_that_ask_at_once_one_is_granted_the_term(self) -> None:
        voter = Voter(MemoryFiles(self.disk, self.clock, latency=1.0), PATH, self.clock)
        one, two = (
            Deferred.fromCoroutine(voter.request(RequestVote(term=3, master=master)))
            for master in ("node1", "node2")
        )
        self.clock.pump([1.0] * 3)
        self.assertTrue(self.successResultOf(one).granted)
        self.assertFalse(self.successResultOf(two).granted)

    def test_a_damaged_file_stops_the_node_with_advice(self) -> None:
        self.request(3, "node1")
        for content in (b"{", b'{"x":' + b"[" * 100_000):
            self.disk.overwrite(PATH, content)
            with self.assertRaisesRegex(Failed, "/term is damaged .* remove it only if"):
                self.started()

    # --- another master

    def test_another_master_must_name_the_one_it_replaces(self) -> None:
        self.request(3, "node1")
        self.clock.advance(VOTER_LEASE_TIME)
        self.assertFalse(self.request(4, "node2"))
        self.assertFalse(self.request(4, "node2", "node3"))
        self.assertTrue(self.request(4, "node2", "node3", "node1"))

    def test_a_promise_to_a_master_is_kept_until_it_has_run_out(self) -> None:
        self.request(3, "node1")
        self.clock.advance(VOTER_LEASE_TIME - 0.1)
        self.renew()
        self.clock.advance(VOTER_LEASE_TIME - 0.1)
        self.assertFalse(self.request(4, "node2", "node1"))
        self.clock.advance(0.1)
        self.assertTrue(self.request(4, "node2", "node1"))

    def test_a_failover_stops_renewals_so_that_it_succeeds_while_the_old_master_runs(self) -> None:
        self.request(3, "node1")
        self.assertFalse(self.request(4, "node2", "node1"))
        renewal = self.voter.renew(RenewLease(acknowledged=NOTHING))
        failure = self.failureResultOf(renewal, Failed)
        self.assertIn("a failover to node2 is in progress", str(failure.value))
        self.clock.advance(VOTER_LEASE_TIME)
        self.assertTrue(self.request(4, "node2", "node1"))
        self.renew()

    def test_a_failover_that_never_comes_back_leaves_the_old_master_its_lease(self) -> None:
        self.request(3, "node1")
        self.request(4, "node2", "node1")
        self.clock.advance(YIELD_SECONDS)
        self.renew()
        self.assertFalse(self.request(4, "node2", "node1"))

    def test_a_restarted_node_keeps_the_promise_that_it_may_have_given(self) -> None:
        self.request(3, "node1")
        self.clock.advance(60)
        again = self.started()
        self.assertFalse(self.request(4, "node2", "node1", voter=again))
        self.assertTrue(self.request(4, "node1", voter=again))

    def test_a_master_that_has_ended_frees_the_node(self) -> None:
        self.request(3, "node1")
        self.successResultOf(self.voter.release_lease(ReleaseLease()))
        self.assertTrue(self.request(4, "node2", "node1"))

    def test_a_master_that_a_majority_has_elected_is_accepted_instead_of_any_other(self) -> None:
        self.request(3, "node1")
        self.assertTrue(self.request(4, "node2", elected=True))

    def test_the_loser_of_a_term_obeys_the_one_that_a_majority_has_elected_in_it(self) -> None:
        self.request(3, "node9")
        self.assertFalse(self.request(3, "node2"))
        self.assertTrue(self.request(3, "node2", elected=True))
        self.assertEqual(self.granted(), (3, "node2"))

    def test_the_host_of_a_running_master_votes_for_no_other(self) -> None:
        self.request(3, "node9")
        self.clock.advance(VOTER_LEASE_TIME)
        self.serves = 4711
        self.assertFalse(self.request(4, "node2", "node9"))
        self.assertTrue(self.request(4, "node9"))

    def test_the_host_of_a_master_that_was_not_elected_votes_for_another_one(self) -> None:
        self.serves = 4711
        self.assertTrue(self.request(4, "node9"))
        self.successResultOf(self.voter.release_lease(ReleaseLease()))
        self.assertTrue(self.request(5, "node2", "node9"))
        self.assertFalse(self.request(6, "node3", "node2"))

    def test_one_whose_copy_is_not_in_sync_deposes_no_master(self) -> None:
        self.request(3, "node1")
        self.renew(ReplicaSet(term=3, generation=1, in_sync=("node1", "node2")))
        self.clock.advance(VOTER_LEASE_TIME)
        self.assertFalse(self.request(4, "node3", "node1"))
        call = RequestVote(term=4, master="node3", instead=("node1",), accept_loss=True)
        self.assertTrue(self.successResultOf(self.voter.request(call)).granted)

    def test_a_set_that_this_node_has_missed_says_who_is_in_sync(self) -> None:
        self.request(3, "node1")
        self.renew(ReplicaSet(term=3, generation=2, in_sync=("node1",)))
        self.clock.advance(VOTER_LEASE_TIME)
        for term, generation, granted in ((3, 1, False), (4, 1, True)):
            missed = ReplicaSet(term=term, generation=generation, in_sync=("node2",))
            call = RequestVote(term=5, master="node2", instead=("node1",), replica_set=missed)
            self.assertIs(self.successResultOf(self.voter.request(call)).granted, granted)

    def test_one_that_does_not_vote_becomes_no_master(self) -> None:
        self.request(3, "node1")
        self.renew(ReplicaSet(term=3, generation=1, voters=("node1", "node2", "node9")))
        self.clock.advance(VOTER_LEASE_TIME)
        self.assertFalse(self.request(4, "node3", "node1"))
        self.assertTrue(self.request(4, "node2", "node1"))

    # --- what it is sent

    def test_a_newer_set_is_on_disk_when_it_is_answered(self) -> None:
        self.request(3, "node1")
        made = ReplicaSet(term=3, generation=7, in_sync=("node1",), voters=("node1",))
        self.assertEqual(self.renew(made), 7)
        self.disk = self.disk.after_crash()
        self.assertEqual(self.started().state.replica_set, made)

    def test_an_older_set_never_replaces_a_newer_one(self) -> None:
        self.request(3, "node1")
        self.renew(ReplicaSet(term=3, generation=7))
        self.assertEqual(self.renew(ReplicaSet(term=3, generation=6)), 7)
        self.request(4, "node1")
        self.assertEqual(self.renew(), 0)
        self.assertEqual(self.renew(ReplicaSet(term=4, generation=1)), 1)

    def test_the_newest_acknowledged_commit_is_remembered(self) -> None:
        self.request(3, "node1")
        self.renew(ReplicaSet(term=3, generation=1), position=40)
        self.renew(position=39)
        self.assertEqual(self.voter.state.acknowledged.position, 40)

    def test_a_new_master_says_anew_what_is_acknowledged(self) -> None:
        self.request(3, "node1")
        self.renew(ReplicaSet(term=3, generation=1), position=40)
        self.request(4, "node1")
        self.renew(ReplicaSet(term=4, generation=1), position=30)
        self.assertEqual(self.voter.state.acknowledged.position, 30)
