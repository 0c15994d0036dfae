# SPDX-License-Identifier: BSD-2-Clause
"""One master at a time: elections, leases, and replica sets that a majority has on disk."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster, Refused, Unreachable
from ganeti.master.lease_waiting import LEASE_WAIT_TIMEOUT
from ganeti.master.mastership import Election, MasterTerm
from ganeti.model.node import Node
from ganeti.node.membership import PROTOCOL
from ganeti.node.voter import Voter
from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.quorum import (
    LEASE_TIME,
    VOTER_LEASE_TIME,
    DescribeVote,
    ReleaseLease,
    RenewLease,
    ReplicaSet,
    RequestVote,
)
from ganeti.rpc.replicas import ReplicaEnd
from ganeti.rpc.server import CallHandlers
from ganeti.testing.builders import a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.nodes import MemoryNodes

NAMES = tuple(f"node{n}" for n in range(1, 6))


class MasterOf:
    """A master daemon's quorum, and its way to the nodes."""

    def __init__(self, name: str, test: QuorumTests) -> None:
        self.lost: list[NotMaster] = []
        self.acknowledged = ReplicaEnd(position=0, digest="")
        self.own_term = 0
        self.asker = NodeClient(
            test.network,
            test.clock,
            term=lambda: self.quorum.term(),
            master=name,
            elected=lambda: self.quorum.elected,
            deposed=lambda error: self.quorum.observe_newer_master(error),
        )
        self.quorum = MasterTerm(
            self.asker,
            name,
            lambda: test.members,
            test.clock,
            lost=self.lost.append,
            acknowledged=lambda: self.acknowledged,
            own_term=lambda: self.own_term,
            process=1,
            random=Random(1),
        )


class QuorumTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.serves = 0
        self.network = MemoryNodes(clock=self.clock)
        self.members = [a_node(name) for name in NAMES[:3]]
        self.disks = {name: MemoryDisk() for name in NAMES}
        self.voters: dict[str, Voter] = {}
        for name in NAMES:
            self.start_node(name)
        self.masters: list[MasterOf] = []

    def tearDown(self) -> None:
        for master in self.masters:
            master.quorum.stop()

    def start_node(self, name: str) -> None:
        serves = (lambda: self.serves) if name == "node1" else (lambda: 0)
        voter = self.voters[name] = Voter(
            MemoryFiles(self.disks[name]), "/term", self.clock, serves=serves, name=name
        )
        answers = CallHandlers(voter.term)
        answers.to(DescribeVote, voter.describe)
        answers.to(RequestVote, voter.request)
        answers.to(RenewLease, voter.renew)
        answers.to(ReleaseLease, voter.release_lease)
        answers.to(AskVersion, self.version)
        self.network.add_node(name, answers)

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=PROTOCOL, release="3.0")

    def of(self, *names: str) -> list[Node]:
        return [a_node(name) for name in names]

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def master(self, name: str = "node1") -> MasterOf:
        made = MasterOf(name, self)
        self.masters.append(made)
        return made

    def elect(self, master: MasterOf, known: int = 0, *, take_over: bool = False) -> Election:
        electing = Deferred.fromCoroutine(master.quorum.elect(known, take_over=take_over))
        self.run_for(30)
        election: Election = self.successResultOf(electing)
        return election

    def begun(
        self, name: str = "node1", *, in_sync: Iterable[str] = NAMES, take_over: bool = False
    ) -> MasterOf:
        master = self.master(name)
        election = Deferred.fromCoroutine(
            master.quorum.elect(self.voters[name].term(), take_over=take_over)
        )
        while not election.called:
            self.run_for(0.1)
        self.successResultOf(election)
        beginning = Deferred.fromCoroutine(master.quorum.begin_term(in_sync))
        self.run_for(0.5)
        self.successResultOf(beginning)
        return master

    def cut_off(self, *names: str) -> None:
        for name in names:
            self.network.vanish(name)

    def heal(self, *names: str) -> None:
        for name in names or NAMES:
            self.network.behave(name)

    def granted(self) -> list[tuple[int, str]]:
        states = [self.voters[node.name].state for node in self.members]
        return [(state.term, state.master) for state in states]

    # --- elections

    def test_a_new_term_is_one_more_than_any_node_knows(self) -> None:
        self.begun()
        master = self.begun()
        self.assertEqual((master.quorum.term(), master.quorum.begun), (2, True))
        self.assertEqual(self.granted(), [(2, "node1")] * 3)

    def test_a_majority_is_enough_and_the_others_follow_when_they_are_asked(self) -> None:
        self.cut_off("node3")
        master = self.begun()
        self.assertEqual(self.granted()[2], (0, ""))
        self.heal()
        self.successResultOf(master.asker.ask(self.members[2], AskVersion()))
        self.assertEqual(self.granted()[2], (1, "node1"))

    def test_one_that_is_cut_off_waits_and_drives_no_number_on(self) -> None:
        self.begun()
        self.cut_off("node2", "node3")
        electing = Deferred.fromCoroutine(self.master().quorum.elect(1))
        self.run_for(50)
        self.assertNoResult(electing)
        self.assertEqual(self.granted(), [(1, "node1")] * 3)
        self.heal("node2")
        self.run_for(2)
        self.assertEqual(self.successResultOf(electing).term, 2)

    def test_one_that_was_replaced_while_it_was_away_does_not_begin(self) -> None:
        self.begun()
        self.cut_off("node1")
        self.begun("node2", take_over=True)
        self.heal()
        electing = Deferred.fromCoroutine(self.master("node1").quorum.elect(1))
        error = self.failureResultOf(electing, NotMaster).value
        self.assertIn("node2 is the master now", str(error))

    def test_a_second_master_daemon_of_one_node_does_not_begin(self) -> None:
        self.begun()
        self.serves = 4711
        electing = Deferred.fromCoroutine(self.master().quorum.elect(1))
        told = str(self.failureResultOf(electing, NotMaster).value)
        self.assertIn("another master daemon of node1 is running (process 4711)", told)
        self.assertEqual(self.granted(), [(1, "node1")] * 3)

    def test_another_node_takes_over_only_when_the_lease_has_ended(self) -> None:
        old = self.begun()
        self.cut_off("node1")
        new = self.master("node2")
        electing = Deferred.fromCoroutine(new.quorum.elect(1, take_over=True))
        while not electing.called:
            self.run_for(0.1)
            self.assertFalse(old.quorum.holds_lease() and new.quorum.elected)
        self.assertEqual(self.successResultOf(electing).term, 2)

    def test_it_need_not_wait_for_a_master_that_has_ended(self) -> None:
        old = self.begun()
        old.quorum.stop()
        self.successResultOf(old.quorum.release_lease())
        electing = Deferred.fromCoroutine(self.master("node2").quorum.elect(1, take_over=True))
        self.assertEqual(self.successResultOf(electing).term, 2)

    def test_a_successor_leads_nodes_that_missed_the_change(self) -> None:
        self.begun()
        self.cut_off("node1")
        new = self.begun("node2", take_over=True)
        self.heal()
        self.successResultOf(new.asker.ask(self.members[0], AskVersion()))
        self.assertEqual(self.granted()[0], (2, "node2"))
        self.assertEqual(new.lost, [])

    def test_of_two_that_take_over_at_once_one_wins(self) -> None:
        self.begun()
        self.cut_off("node1")
        electing = [
            Deferred.fromCoroutine(self.master(name).quorum.elect(1, take_over=True))
            for name in ("node2", "node3")
        ]
        for each in electing:
            each.addErrback(lambda failure: failure.trap(NotMaster) and None)
        self.run_for(20)
        won = [each for each in electing if isinstance(getattr(each, "result", None), Election)]
        self.assertGreaterEqual(len(won), 1)
        self.assertEqual(len({master for _, master in self.granted()[1:]}), 1)

    def test_after_a_tie_one_of_those_that_take_over_wins(self) -> None:
        self.members = self.of(*NAMES[:4])
        for name, master in zip(NAMES[:4], ("node2", "node2", "node3", "node3"), strict=True):
            vote = RequestVote(term=6, master=master, elected=True)
            self.successResultOf(self.voters[name].request(vote))
        electing = [
            Deferred.fromCoroutine(self.master(name).quorum.elect(6, take_over=True))
            for name in ("node2", "node3")
        ]
        for each in electing:
            each.addErrback(lambda failure: failure.trap(NotMaster) and None)
        self.run_for(30)
        won = [each for each in electing if isinstance(getattr(each, "result", None), Election)]
        self.assertGreaterEqual(len(won), 1)

    def test_slow_votes_are_waited_for_while_the_quick_ones_are_no_majority(self) -> None:
        self.members = self.of(*NAMES)
        # Its set is of before node1 came back into the in-sync set, so it refuses.
        stale = ReplicaSet(term=1, generation=1, in_sync=("node2",), voters=NAMES)
        newer = ReplicaSet(term=2, generation=1, in_sync=("node1",), voters=NAMES)
        zero = ReplicaEnd(position=0, digest="")
        for name in NAMES:
            replica_set = stale if name in ("node2", "node3") else newer
            renewal = RenewLease(acknowledged=zero, replica_set=replica_set)
            self.successResultOf(self.voters[name].renew(renewal))
        for name in ("node4", "node5"):
            self.network.slow(name, 1.0)
        self.elect(self.master())

    def test_without_voting_a_person_answers_for_the_nodes_that_do_not(self) -> None:
        self.begun()
        self.cut_off("node1", "node3")
        master = self.master("node2")
        electing = Deferred.fromCoroutine(master.quorum.elect(1, take_over=True, voting=False))
        self.run_for(2 * VOTER_LEASE_TIME)
        self.successResultOf(electing)
        beginning = Deferred.fromCoroutine(master.quorum.begin_term(["node2"]))
        self.run_for(1)
        self.successResultOf(beginning)
        self.assertTrue(master.quorum.holds_lease())
        self.assertEqual(self.voters["node2"].state.replica_set.voters, ("node2",))

    # --- the lease

    def test_a_master_without_a_majority_loses_its_lease_and_has_it_back(self) -> None:
        master = self.begun()
        self.cut_off("node2", "node3")
        self.run_for(LEASE_TIME + 1)
        self.assertFalse(master.quorum.holds_lease())
        confirming = Deferred.fromCoroutine(master.quorum.confirm_lease())
        self.assertNoResult(confirming)
        self.heal("node3")
        self.run_for(2)
        self.successResultOf(confirming)
        self.assertTrue(master.quorum.holds_lease())

    def test_what_is_missing_and_what_to_do_is_told(self) -> None:
        master = self.begun()
        self.cut_off("node2", "node3")
        self.run_for(LEASE_TIME + 1)
        asking = Deferred.fromCoroutine(master.quorum.ready())
        self.run_for(LEASE_WAIT_TIMEOUT + 1)
        told = str(self.failureResultOf(asking, Refused).value)
        self.assertIn("1 of 3 voting nodes answer", told)
        self.assertIn("node2: node node2 is unreachable: connection refused", told)
        self.assertIn("gnt-cluster confirm-down node2 node3", told)

    def test_a_change_that_was_begun_when_the_lease_ends_does_not_wait_for_ever(self) -> None:
        master = self.begun()
        work: Deferred[int] = Deferred()
        waiting = Deferred.fromCoroutine(master.quorum.bounded(work))
        self.run_for(60)
        self.assertNoResult(waiting)
        self.cut_off("node2", "node3")
        self.run_for(LEASE_TIME + LEASE_WAIT_TIMEOUT + 2)
        told = str(self.failureResultOf(waiting, Refused).value)
        self.assertIn("unknown whether this request will be carried out", told)
        work.callback(1)

    def test_what_is_done_in_time_is_answered(self) -> None:
        master = self.begun()
        work: Deferred[int] = Deferred()
        waiting = Deferred.fromCoroutine(master.quorum.bounded(work))
        work.callback(7)
        self.assertEqual(self.successResultOf(waiting), 7)

    def test_a_person_can_say_that_nodes_are_down(self) -> None:
        master = self.begun()
        self.assertRaises(Refused, master.quorum.confirm_down, ["node2"])
        self.cut_off("node2", "node3")
        self.run_for(LEASE_TIME + 1)
        master.quorum.confirm_down(["node2", "node3"])
        self.run_for(2)
        self.assertTrue(master.quorum.holds_lease())
        self.assertEqual(master.quorum.in_effect.voters, ("node1",))

    def test_nodes_that_come_back_vote_again(self) -> None:
        self.test_a_person_can_say_that_nodes_are_down()
        self.heal()
        self.run_for(5)
        self.assertEqual(self.masters[0].quorum.in_effect.voters, NAMES[:3])

    def test_its_own_vote_counts_while_its_node_daemon_is_away(self) -> None:
        self.members = self.of("node1")
        master = self.master()
        self.elect(master)
        master.own_term = self.voters["node1"].term()
        beginning = Deferred.fromCoroutine(master.quorum.begin_term(["node1"]))
        self.run_for(1)
        self.successResultOf(beginning)
        self.cut_off("node1")
        self.run_for(3 * LEASE_TIME)
        self.assertTrue(master.quorum.holds_lease())

    # --- the end

    def test_a_master_is_lost_when_it_meets_a_node_that_obeys_a_newer_one(self) -> None:
        old = self.begun()
        self.cut_off("node1")
        self.begun("node2", take_over=True)
        self.failureResultOf(old.asker.ask(self.members[1], AskVersion()), NotMaster)
        self.assertTrue(old.quorum.lost)
        self.assertEqual(len(old.lost), 1)
        self.failureResultOf(old.quorum.confirm_lease(), NotMaster)

    def test_a_master_is_lost_when_its_own_node_obeys_a_newer_one(self) -> None:
        master = self.begun()
        master.quorum.observed(1, "node1")
        self.assertEqual(master.lost, [])
        master.quorum.observed(2, "node2")
        self.assertIn("node2 is the master now", str(master.lost[0]))

    def test_before_it_is_elected_a_master_makes_no_node_follow(self) -> None:
        master = self.master("node2")
        self.start_node("node1")
        self.successResultOf(
            self.voters["node1"].request(RequestVote(term=5, master="node1", elected=True))
        )
        asking = Deferred.fromCoroutine(master.asker.ask(self.members[0], AskVersion()))
        self.failureResultOf(asking, NotMaster, Unreachable)
        self.assertEqual(self.granted()[0], (5, "node1"))

    # --- replica sets

    def test_a_smaller_set_takes_effect_when_a_majority_has_it(self) -> None:
        master = self.begun(in_sync=NAMES[:3])
        self.cut_off("node2", "node3")
        master.quorum.propose_in_sync(["node1"])
        self.run_for(10)
        self.assertEqual(master.quorum.in_effect.in_sync, NAMES[:3])
        self.assertEqual(master.quorum.required(), frozenset(NAMES[:3]))
        self.heal("node2")
        self.run_for(2)
        self.assertEqual(master.quorum.in_effect.in_sync, ("node1",))
        self.assertEqual(self.voters["node2"].state.replica_set.in_sync, ("node1",))

    def test_a_member_that_is_let_in_counts_from_the_start(self) -> None:
        master = self.begun(in_sync=["node1"])
        self.cut_off("node2", "node3")
        master.quorum.propose_in_sync(["node1", "node2"])
        self.assertEqual(master.quorum.required(), {"node1", "node2"})

    def test_whoever_wins_a_vote_knows_the_set_in_effect(self) -> None:
        master = self.begun(in_sync=NAMES[:3])
        self.cut_off("node3")
        master.quorum.propose_in_sync(["node1", "node2"])
        self.run_for(2)
        self.cut_off("node1")
        self.heal("node3")
        election = self.elect(self.master("node2"), take_over=True)
        self.assertEqual(election.replica_set.in_sync, ("node1", "node2"))

    def test_one_that_is_not_in_sync_asks_for_no_vote(self) -> None:
        self.begun(in_sync=["node1", "node2"])
        electing = Deferred.fromCoroutine(self.master("node3").quorum.elect(1, take_over=True))
        self.assertIn("node3 is not in sync", str(self.failureResultOf(electing, Refused).value))
        self.assertEqual(self.granted(), [(1, "node1")] * 3)

    # --- who votes

    def test_a_new_node_votes_when_it_has_answered(self) -> None:
        master = self.begun()
        self.members = self.of(*NAMES[:4])
        self.cut_off("node4")
        self.run_for(5)
        self.assertEqual(master.quorum.in_effect.voters, NAMES[:3])
        self.heal()
        self.run_for(5)
        found = master.quorum.in_effect
        self.assertEqual((found.voters, found.old_voters), (NAMES[:4], ()))

    def test_a_node_that_is_marked_offline_votes_no_more(self) -> None:
        master = self.begun()
        self.members = [*self.of("node1", "node2"), a_node("node3", offline=True)]
        master.quorum.on_members_changed()
        self.run_for(3)
        found = master.quorum.in_effect
        self.assertEqual((found.voters, found.old_voters), (NAMES[:2], ()))

    def test_a_node_may_leave_when_a_majority_has_agreed_that_it_does_not_vote(self) -> None:
        self.members = self.of("node1", "node2")
        master = self.begun()
        self.members = self.of("node1")
        self.cut_off("node2")
        master.quorum.on_members_changed()
        agreeing = Deferred.fromCoroutine(master.quorum.agreed())
        self.run_for(5)
        self.assertNoResult(agreeing)
        self.heal()
        self.run_for(3)
        self.successResultOf(agreeing)
        self.assertEqual(master.quorum.in_effect.voters, ("node1",))

    def test_voters_change_only_with_a_majority_of_the_old_ones(self) -> None:
        self.members = self.of(*NAMES)
        master = self.begun()
        self.cut_off("node3", "node4", "node5")
        self.members = self.of("node1", "node2")
        master.quorum.on_members_changed()
        self.run_for(5)
        self.assertEqual(master.quorum.in_effect.voters, NAMES)
        self.assertFalse(master.quorum.holds_lease())

    def test_a_successor_finishes_a_change_of_voters(self) -> None:
        master = self.begun()
        joint = ReplicaSet(
            term=1, generation=50, in_sync=("node1",), voters=NAMES[:2], old_voters=NAMES[:3]
        )
        for name in NAMES[:3]:
            renewal = RenewLease(acknowledged=master.acknowledged, replica_set=joint)
            self.successResultOf(self.voters[name].renew(renewal))
        master.quorum.stop()
        self.members = self.of("node1", "node2")
        again = self.begun(in_sync=["node1"])
        self.run_for(3)
        found = again.quorum.in_effect
        self.assertEqual((found.voters, found.old_voters), (NAMES[:2], ()))
