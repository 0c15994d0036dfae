# SPDX-License-Identifier: BSD-2-Clause
"""The state moves between files and etcd; whenever the master dies, one of them is in charge."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import set_role
from ganeti.config.writer import ChangeCause
from ganeti.errors import Failed, GanetiError, Refused
from ganeti.master.current_store import CurrentTerm
from ganeti.master.startup import StartupMandate
from ganeti.master.state_move import ANSWER_WITHIN, STEP_TIMEOUT, StateMove
from ganeti.master.store_term import StoreTerm
from ganeti.model.node import NodeRole
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.opcodes.test import Delay
from ganeti.testing.cluster import SimulatedCluster

STEP = 0.02
"""Seconds between two moments at which the master dies; a message takes up to that long."""


class Case(SynchronousTestCase):
    def make(self, seed: int = 1, store: str = "file") -> SimulatedCluster:
        cluster = SimulatedCluster(seed)
        cluster.know_etcd(cluster.hosts[0])
        cluster.pass_time(5.0)
        if store == "etcd":
            cluster.wait(cluster.process.move_state("etcd"))
        return cluster

    def in_etcd(self, cluster: SimulatedCluster) -> bool:
        return isinstance(cluster.master.quorum.now, StoreTerm)

    def tag(self, cluster: SimulatedCluster, *names: str) -> None:
        for name in names:
            cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=(name,)))
            cluster.pass_time(0.05)

    def tags(self, cluster: SimulatedCluster) -> set[str]:
        return set(cluster.master.config.state().cluster.tags)

    def assert_in_charge(self, cluster: SimulatedCluster) -> None:
        """The master can change the state, and has all that was acknowledged."""
        self.tag(cluster, "last")
        cluster.pass_time(30.0)
        jobs = {each.id: str(each.status) for each in cluster.master.queue.jobs()}
        missing = [number for number in cluster.acknowledged if number not in jobs]
        self.assertEqual(missing, [])
        self.assertIn("last", self.tags(cluster))


class MoveTests(Case):
    def test_jobs_go_on_while_the_state_moves_to_etcd_and_back(self) -> None:
        cluster = self.make()
        cluster.submit(Delay(duration=60.0))
        for store in ("etcd", "file", "etcd"):
            moving = Deferred.fromCoroutine(cluster.process.move_state(store))
            self.tag(cluster, *(f"{store}-{n}" for n in range(9)))
            cluster.wait(moving)
            self.assertEqual(self.in_etcd(cluster), store == "etcd")
            self.assert_in_charge(cluster)
        statuses = {str(each.status) for each in cluster.master.queue.jobs()}
        self.assertEqual(statuses, {"success"})

    def test_the_term_stays_the_same(self) -> None:
        cluster = self.make()
        before = cluster.process.term
        for store in ("etcd", "file"):
            cluster.wait(cluster.process.move_state(store))
            self.assertEqual(cluster.process.term, before)

    def test_a_state_that_is_there_already_is_not_moved(self) -> None:
        cluster = self.make()
        with self.assertRaisesRegex(Refused, "the state is in files already"):
            cluster.wait(cluster.process.move_state("file"))

    def test_a_candidate_that_does_not_answer_prevents_the_move(self) -> None:
        cluster = self.make()
        cluster.network.vanish("node3")
        with self.assertRaisesRegex(Failed, "node3 is a master candidate and does not answer"):
            cluster.wait(cluster.process.move_state("etcd"))
        cluster.network.behave("node3")
        self.assertFalse(self.in_etcd(cluster))
        self.assert_in_charge(cluster)

    def test_a_full_etcd_is_left_alone(self) -> None:
        cluster = self.make()
        cluster.etcd.full = True
        with self.assertRaisesRegex(Failed, "the state was not moved: .*space quota"):
            cluster.wait(cluster.process.move_state("etcd"))
        self.assert_in_charge(cluster)


class RefusalTests(Case):
    """What a move is refused for, or fails of; the state stays where it was."""

    def failure(self, cluster: SimulatedCluster, store: str = "etcd") -> str:
        """What a move fails of."""
        before = self.in_etcd(cluster)
        with self.assertRaises(GanetiError) as caught:
            cluster.wait(cluster.process.move_state(store))
        self.assertEqual(self.in_etcd(cluster), before)
        return str(caught.exception)

    def test_a_daemon_that_cannot_move_the_state_says_so(self) -> None:
        part: Any = None
        term = CurrentTerm(part, part)
        move = StateMove(
            part, part, term, *(part,) * 4, checkpoint=part, replicate=part, tools=None
        )
        refused = self.failureResultOf(move.move("etcd"), Refused).value
        self.assertEqual(str(refused), "this master daemon cannot move the state")

    def test_a_candidate_that_does_not_know_of_etcd_prevents_the_move(self) -> None:
        cluster = self.make()
        config = cluster.master.config
        because = ChangeCause("test", "test")
        node = config.state().node("node3")
        cluster.wait(config.change(set_role(node, NodeRole.REGULAR), because=because))
        moving = Deferred.fromCoroutine(cluster.process.move_state("etcd"))
        moving.addErrback(lambda failure: failure.value)
        cluster.pass_time(5 * STEP)
        cluster.wait(config.change(set_role(node, NodeRole.CANDIDATE), because=because))
        said = "the state was not moved: node3 became a master candidate meanwhile"
        self.assertIn(said, str(cluster.wait(moving)))
        self.assert_in_charge(cluster)

    def test_one_move_at_a_time(self) -> None:
        cluster = self.make()
        move = cluster.master.state_move
        moving = Deferred.fromCoroutine(move.move("etcd"))
        refused = self.failureResultOf(move.move("file"), Refused).value
        self.assertEqual(str(refused), "the state is being moved already; wait for its end")
        self.assertTrue(cluster.wait(moving))

    def test_a_second_client_that_asks_for_the_same_move_waits_for_it(self) -> None:
        cluster = self.make()
        asking = [Deferred.fromCoroutine(cluster.process.move_state("etcd")) for _ in range(2)]
        cluster.wait(asking[0])
        with self.assertRaisesRegex(Refused, "the state is in etcd already"):
            cluster.wait(asking[1])

    def test_a_move_that_takes_long_is_answered_in_between(self) -> None:
        cluster = self.make()
        cluster.network.hang("node3")
        begun = cluster.clock.seconds()
        self.assertFalse(cluster.wait(cluster.master.state_move.move("etcd")))
        self.assertEqual(cluster.clock.seconds() - begun, ANSWER_WITHIN)
        cluster.network.behave("node3")

    def test_a_host_without_settings_of_the_store_does_not_move_to_it(self) -> None:
        cluster = SimulatedCluster(1)
        cluster.pass_time(5.0)
        self.assertIn("there are no settings of the store", self.failure(cluster))
        self.assert_in_charge(cluster)

    def test_a_move_to_files_waits_for_a_majority_of_the_nodes_but_not_for_ever(self) -> None:
        cluster = self.make(store="etcd")
        for name in ("node2", "node3"):
            cluster.network.vanish(name)
        begun = cluster.clock.seconds()
        self.assertIn("most nodes do not answer", self.failure(cluster, "file"))
        self.assertGreaterEqual(cluster.clock.seconds() - begun, STEP_TIMEOUT)
        self.assert_in_charge(cluster)

    def test_a_move_to_files_waits_for_a_copy_on_every_candidate(self) -> None:
        cluster = self.make(store="etcd")
        cluster.network.vanish("node3")
        said = self.failure(cluster, "file")
        self.assertIn("not all master candidates have a copy (node3: ", said)
        self.assertIn("Bring them back, or mark them offline", said)
        self.assert_in_charge(cluster)

    def test_a_move_that_was_stopped_is_undone(self) -> None:
        for store in ("etcd", "file"):
            cluster = self.make(store="file" if store == "etcd" else "etcd")
            moving = Deferred.fromCoroutine(cluster.process.move_state(store))
            cluster.pass_time(STEP)
            cluster.master.state_move.stop()
            with self.assertRaises(CancelledError):
                cluster.wait(moving)
            self.assertEqual(self.in_etcd(cluster), store == "file")
            self.assert_in_charge(cluster)


class InterruptedTests(Case):
    """The master dies at some moment of a move, and another one is started, here or elsewhere."""

    def interrupt(self, store: str, after: float, *, elsewhere: bool) -> bool:
        """Let the master die so long after the begin of a move; return whether that was over."""
        cluster = self.make(store="file" if store == "etcd" else "etcd")
        cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("before",)))
        moving = Deferred.fromCoroutine(cluster.process.move_state(store))
        moving.addErrback(lambda failure: failure.trap(GanetiError))
        cluster.process.clock.keep_referenced(moving)
        self.tag(cluster, "meanwhile")
        cluster.pass_time(after)
        over = moving.called
        cluster.process.die()
        cluster.pass_time(15.0)
        mandate = StartupMandate(take_over=elsewhere)
        cluster.start_master(cluster.hosts[1 if elsewhere else 0], mandate)
        self.assert_in_charge(cluster)
        # The place that is not in charge does not come back with an older state.
        before = self.in_etcd(cluster)
        cluster.process.die()
        cluster.pass_time(15.0)
        cluster.start_master(cluster.hosts[2], StartupMandate(take_over=True))
        self.assertEqual((self.in_etcd(cluster), "last" in self.tags(cluster)), (before, True))
        return over

    def play(self, store: str, *, elsewhere: bool) -> None:
        step = 0
        while not self.interrupt(store, step * STEP, elsewhere=elsewhere):
            step += 1
        self.assertGreater(step, 5)

    def test_to_etcd(self) -> None:
        self.play("etcd", elsewhere=False)

    def test_to_etcd_with_another_master_afterwards(self) -> None:
        self.play("etcd", elsewhere=True)

    def test_to_files(self) -> None:
        self.play("file", elsewhere=False)

    def test_to_files_with_another_master_afterwards(self) -> None:
        self.play("file", elsewhere=True)


class AbandonedTests(Case):
    def test_a_move_whose_client_has_gone_does_not_prevent_another(self) -> None:
        cluster = self.make()
        move = cluster.master.state_move
        cluster.etcd.full = True
        client = Deferred.fromCoroutine(move.move("etcd"))
        client.addErrback(lambda failure: failure.trap(CancelledError) and None)
        client.cancel()
        cluster.pass_time(120.0)
        cluster.etcd.full = False
        with self.assertRaisesRegex(Refused, "the state is in files already"):
            cluster.wait(move.move("file"))


class RivalTests(Case):
    """A master that moves the state is cut off from the nodes, and another one takes over."""

    def rival(self, after: float) -> bool:
        """Return whether the rival has become the master, so long after the begin of a move."""
        cluster = self.make()
        old = cluster.process
        moving = Deferred.fromCoroutine(old.move_state("etcd"))
        moving.addErrback(lambda failure: failure.trap(GanetiError))
        old.clock.keep_referenced(moving)
        cluster.pass_time(after)
        cluster.cut_off(old.host)
        _, beginning = cluster.launch_master(cluster.hosts[1], StartupMandate(take_over=True))
        outcome: list[object] = []
        beginning.addBoth(outcome.append)
        cluster.pass_time(90.0)
        [result] = outcome
        new = cluster.hosts[1].process
        assert new is not None
        acting = [each for each in (old, new) if each.acts and each.master.quorum.holds_lease()]
        self.assertEqual(len(acting), 1, f"{after} s after the begin of the move: {result}")
        return acting == [new]

    def test_only_one_of_them_acts_whenever_that_happens(self) -> None:
        winners = {self.rival(step * STEP) for step in range(12)}
        self.assertEqual(winners, {True, False})
