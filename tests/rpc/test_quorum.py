# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rpc.quorum import ReplicaSet, newest

NAMES = tuple("abcde")
groups = st.frozensets(st.sampled_from(NAMES), min_size=1)


class ReplicaSetTests(SynchronousTestCase):
    def test_more_than_half_of_the_voters_are_a_majority(self) -> None:
        voting = ReplicaSet(voters=("a", "b", "c", "d"))
        self.assertFalse(voting.has_majority({"a", "b", "x"}))
        self.assertTrue(voting.has_majority({"a", "b", "c"}))

    def test_while_voters_change_both_groups_must_agree(self) -> None:
        voting = ReplicaSet(voters=("a", "b"), old_voters=("a", "b", "c", "d", "e"))
        self.assertFalse(voting.has_majority({"a", "b"}))
        self.assertFalse(voting.has_majority({"a", "c", "d"}))
        self.assertTrue(voting.has_majority({"a", "b", "c"}))

    def test_a_node_that_a_person_says_is_down_is_no_voter(self) -> None:
        voting = ReplicaSet(voters=("a", "b"))
        self.assertTrue(voting.has_majority({"a"}, without={"b"}))

    @given(groups, groups)
    def test_any_two_majorities_of_a_change_share_a_node(
        self, new: frozenset[str], old: frozenset[str]
    ) -> None:
        joint = ReplicaSet(voters=tuple(new), old_voters=tuple(old))
        subsets = [set(each) for n in range(6) for each in combinations(NAMES, n)]
        before = [each for each in subsets if ReplicaSet(voters=tuple(old)).has_majority(each)]
        after = [each for each in subsets if ReplicaSet(voters=tuple(new)).has_majority(each)]
        during = [each for each in subsets if joint.has_majority(each)]
        for one in during:
            self.assertTrue(all(one & other for other in (*before, *after, *during)))

    def test_the_newest_set_is_of_the_newest_term(self) -> None:
        sets = [ReplicaSet(term=2, generation=1), ReplicaSet(term=1, generation=9)]
        self.assertEqual(newest(sets), sets[0])
        self.assertEqual(newest([]), ReplicaSet())
