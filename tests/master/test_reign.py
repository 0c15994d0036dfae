# SPDX-License-Identifier: BSD-2-Clause
"""Being the one master: elections, and what ends a term."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster
from ganeti.master.reign import Reign
from ganeti.node.terms import Accepted, Terms
from ganeti.rpc.asking import Asker
from ganeti.rpc.node import AskVersion, ClaimTerm, Version
from ganeti.rpc.server import Answers
from ganeti.testing.builders import a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.nodes import MemoryNodes

NODES = [a_node(f"node{n}") for n in (1, 2, 3)]


class ReignTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNodes(clock=self.clock)
        self.terms = {node.name: Terms(MemoryFiles(MemoryDisk()), "/term") for node in NODES}
        for name, terms in self.terms.items():
            answers = Answers(terms.newest)
            answers.to(ClaimTerm, terms.claim)
            answers.to(AskVersion, self.version)
            self.network.add(name, answers)
        self.over: list[NotMaster] = []

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=1, release="3.0")

    def master(self, name: str) -> tuple[Reign, Asker]:
        asker = Asker(
            self.network,
            self.clock,
            term=lambda: reign.term(),
            master=name,
            elected=lambda: reign.begun,
            deposed=lambda error: reign.heard(error),
        )
        reign = Reign(asker, name, lambda: NODES, self.clock, self.over.append)
        return reign, asker

    def begin(self, name: str, *, votes_needed: bool = True) -> tuple[Reign, Asker]:
        reign, asker = self.master(name)
        known = self.terms[name].newest()
        self.successResultOf(reign.begin(known, votes_needed=votes_needed))
        return reign, asker

    def replace(self, old: str, new: str, term: int, *nodes: str) -> None:
        for node in nodes:
            claim = ClaimTerm(term=term, master=new, instead=(old,))
            self.assertTrue(self.successResultOf(self.terms[node].claim(claim)).granted)

    def accepted(self) -> list[tuple[int, str]]:
        return [(each.accepted.term, each.accepted.master) for each in self.terms.values()]

    def test_a_new_term_is_one_more_than_any_node_knows(self) -> None:
        self.begin("node1")
        reign, _ = self.begin("node1")
        self.assertEqual((reign.term(), reign.begun), (2, True))
        self.assertEqual(self.accepted(), [(2, "node1")] * 3)

    def test_most_nodes_are_enough_and_the_others_follow_when_they_are_asked(self) -> None:
        self.network.vanish("node3")
        _, asker = self.begin("node1")
        self.network.behave("node3")
        self.assertEqual(self.accepted()[2], (0, ""))
        self.successResultOf(asker.ask(NODES[2], AskVersion()))
        self.assertEqual(self.accepted()[2], (1, "node1"))

    def test_who_is_cut_off_waits_and_drives_no_number_on(self) -> None:
        self.begin("node1")
        for name in ("node2", "node3"):
            self.network.vanish(name)
        reign, _ = self.master("node1")
        beginning = Deferred.fromCoroutine(reign.begin(1))
        self.clock.pump([1.0] * 50)
        self.assertNoResult(beginning)
        self.assertEqual(self.accepted(), [(1, "node1")] * 3)
        self.network.behave("node2")
        self.clock.advance(1)
        self.successResultOf(beginning)

    def test_who_was_replaced_while_it_was_away_does_not_begin(self) -> None:
        self.begin("node1")
        self.replace("node1", "node2", 2, "node2", "node3")
        reign, _ = self.master("node1")
        error = self.failureResultOf(reign.begin(1), NotMaster).value
        self.assertIn("node2 is the master by now", str(error))
        self.assertEqual(self.accepted(), [(1, "node1"), (2, "node2"), (2, "node2")])

    def test_the_successor_leads_nodes_that_missed_the_change(self) -> None:
        self.begin("node1")
        self.replace("node1", "node2", 2, "node2", "node3")
        _, asker = self.begin("node2")
        self.successResultOf(asker.ask(NODES[0], AskVersion()))
        self.assertEqual(self.accepted(), [(3, "node2")] * 3)
        self.assertEqual(self.over, [])

    def test_one_node_that_went_over_to_a_master_without_votes_comes_back(self) -> None:
        self.begin("node1")
        self.replace("node1", "node3", 7, "node3")
        _, asker = self.begin("node1")
        self.successResultOf(asker.ask(NODES[2], AskVersion()))
        self.assertEqual(self.accepted(), [(8, "node1")] * 3)

    def test_a_master_is_over_when_it_meets_a_node_that_obeys_a_newer_one(self) -> None:
        reign, asker = self.begin("node1")
        self.replace("node1", "node2", 2, "node2", "node3")
        self.successResultOf(asker.ask(NODES[0], AskVersion()))
        self.assertFalse(reign.over)
        for node in NODES[1:]:
            self.failureResultOf(asker.ask(node, AskVersion()), NotMaster)
        self.assertTrue(reign.over)
        self.assertEqual(len(self.over), 1)

    def test_a_master_is_over_when_its_own_node_obeys_a_newer_one(self) -> None:
        reign, _ = self.begin("node1")
        accepted = Accepted(term=1, master="node1")
        reign.heard_here(accepted.term, accepted.master)
        self.assertEqual(self.over, [])
        reign.heard_here(2, "node2")
        self.assertIn("node2 is the master by now", str(self.over[0]))

    def test_an_idle_master_asks_around_and_finds_that_it_is_over(self) -> None:
        reign, _ = self.begin("node1")
        self.network.vanish("node1")
        for _ in NODES:
            self.successResultOf(reign.look_around())
        self.assertFalse(reign.over)
        self.replace("node1", "node2", 2, "node2", "node3")
        self.successResultOf(reign.look_around())
        self.assertFalse(reign.over)
        self.successResultOf(reign.look_around())
        self.assertTrue(reign.over)

    def test_before_its_term_a_master_makes_nobody_follow(self) -> None:
        self.begin("node1")
        self.replace("node1", "node2", 2, "node2", "node3")
        reign, asker = self.master("node1")
        self.failureResultOf(reign.begin(1), NotMaster)
        self.failureResultOf(asker.ask(NODES[1], AskVersion()), NotMaster)
        self.assertEqual((self.over, reign.over), ([], False))

    def test_without_votes_it_begins_over_whoever_answers(self) -> None:
        self.begin("node1")
        self.network.vanish("node1")
        self.network.vanish("node3")
        self.begin("node2", votes_needed=False)
        self.assertEqual(self.accepted(), [(1, "node1"), (2, "node2"), (1, "node1")])
