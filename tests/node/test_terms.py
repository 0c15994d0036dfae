# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.terms import MAX_STEP, Terms
from ganeti.rpc.node import ClaimTerm, Vote
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATH = "/term"


class TermsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.clock = Clock()
        self.terms = Terms(MemoryFiles(self.disk), PATH)

    def claim(self, term: int, master: str) -> Vote:
        return self.asked(ClaimTerm(term=term, master=master))

    def asked(self, call: ClaimTerm) -> Vote:
        vote: Vote = self.successResultOf(self.terms.claim(call))
        return vote

    def test_only_a_newer_term_is_granted(self) -> None:
        self.assertEqual(self.claim(3, "node1"), Vote(granted=True, term=3, master="node1"))
        for term in (1, 2, 3):
            told = self.claim(term, "node2")
            self.assertEqual(told, Vote(granted=False, term=3, master="node1"))
        self.assertEqual(self.claim(4, "node1"), Vote(granted=True, term=4, master="node1"))

    def test_another_master_is_accepted_instead_of_those_it_names(self) -> None:
        self.claim(3, "node1")
        before = Vote(granted=False, term=3, master="node1")
        self.assertEqual(self.claim(4, "node2"), before)
        self.assertEqual(self.asked(ClaimTerm(term=4, master="node2", instead=("node3",))), before)
        told = self.asked(ClaimTerm(term=4, master="node2", instead=("node3", "node1")))
        self.assertEqual(told, Vote(granted=True, term=4, master="node2"))

    def test_a_master_with_most_votes_is_accepted_instead_of_any_other(self) -> None:
        self.claim(3, "node1")
        self.assertTrue(self.asked(ClaimTerm(term=4, master="node2", instead=None)).granted)

    def test_a_claim_of_term_0_only_asks(self) -> None:
        self.assertEqual(self.claim(0, "node1"), Vote(granted=False, term=0, master=""))
        self.claim(3, "node1")
        self.assertEqual(self.claim(0, "node1"), Vote(granted=False, term=3, master="node1"))

    def test_a_term_that_is_far_too_new_is_refused(self) -> None:
        self.claim(3, "node1")
        claim = ClaimTerm(term=4 + MAX_STEP, master="node1")
        told = str(self.failureResultOf(self.terms.claim(claim), Refused).value)
        self.assertIn("but this node knows term 3", told)
        self.assertEqual(self.terms.newest(), 3)
        self.assertTrue(self.claim(3 + MAX_STEP, "node1").granted)

    def test_a_vote_survives_a_crash_of_the_node(self) -> None:
        self.claim(3, "node1")
        again = Terms(MemoryFiles(self.disk.after_crash()), PATH)
        self.assertEqual(again.newest(), 3)

    def test_a_vote_that_cannot_be_kept_is_not_given(self) -> None:
        self.disk.break_down()
        self.failureResultOf(self.terms.claim(ClaimTerm(term=3, master="node1")), OSError)
        self.assertEqual(self.terms.newest(), 0)
        self.disk.heal()
        self.assertTrue(self.claim(3, "node2").granted)

    def test_of_two_masters_of_one_term_one_is_accepted(self) -> None:
        files = MemoryFiles(self.disk, self.clock, latency=1.0)
        terms = Terms(files, PATH)
        one, two = (
            Deferred.fromCoroutine(terms.claim(ClaimTerm(term=3, master=master)))
            for master in ("node1", "node2")
        )
        self.clock.pump([1.0] * 3)
        self.assertTrue(self.successResultOf(one).granted)
        self.assertEqual(self.successResultOf(two), Vote(granted=False, term=3, master="node1"))

    def test_a_damaged_file_stops_the_node_with_advice(self) -> None:
        self.claim(3, "node1")
        self.disk.overwrite(PATH, b"{")
        with self.assertRaisesRegex(Failed, "/term is damaged .* remove it only if"):
            Terms(MemoryFiles(self.disk), PATH)
