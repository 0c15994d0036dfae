# SPDX-License-Identifier: BSD-2-Clause
"""Members follow the master candidates one by one, and never without a quorum."""

from __future__ import annotations

import random
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from ganeti.journal.etcd.member_changes import (
    AddMember,
    Member,
    PromoteMember,
    RemoveMember,
    StartMember,
    find_size,
    may_restart,
    plan_step,
)


def voter(address: str) -> Member:
    return Member(ord(address), address, name=address)


A, B, C, D = map(voter, "abcd")
LEARNER = replace(D, learner=True)


class PlanTests(SynchronousTestCase):
    def test_there_are_one_three_or_five(self) -> None:
        self.assertEqual([find_size(n) for n in range(8)], [1, 1, 1, 3, 3, 5, 5, 5])

    def test_two_candidates_are_not_enough_for_more_than_one(self) -> None:
        self.assertIsNone(plan_step([A], "ab", healthy="a"))

    def test_the_preferred_candidate_gets_the_next_member(self) -> None:
        self.assertEqual(plan_step([A], "cab", healthy="a"), AddMember("c"))

    def test_a_learner_is_completed_before_anything_else(self) -> None:
        unstarted = replace(LEARNER, name="")
        self.assertEqual(plan_step([A, unstarted], "abd", healthy="a"), StartMember(unstarted))
        self.assertEqual(plan_step([A, LEARNER], "abd", healthy="a"), PromoteMember(LEARNER))

    def test_a_learner_whose_node_is_no_candidate_is_removed(self) -> None:
        self.assertEqual(plan_step([A, LEARNER], "abc", healthy="a"), RemoveMember(LEARNER))

    def test_a_replacement_comes_before_the_removal(self) -> None:
        self.assertEqual(plan_step([A, B, C], "abd", healthy="abc"), AddMember("d"))
        self.assertEqual(plan_step([A, B, C, D], "abd", healthy="abcd"), RemoveMember(C))

    def test_a_member_leaves_if_there_is_no_replacement(self) -> None:
        self.assertEqual(plan_step([A, B, C], "ab", healthy="abc"), RemoveMember(C))

    def test_nothing_is_removed_that_a_quorum_needs(self) -> None:
        self.assertIsNone(plan_step([A, B, C], "ab", healthy="ac"))
        self.assertIsNone(plan_step([A], "bcd", healthy=""))

    def test_nothing_is_added_without_a_quorum(self) -> None:
        self.assertIsNone(plan_step([A, B, C], "abcde", healthy="a"))

    def test_those_that_do_not_work_leave_first(self) -> None:
        step = plan_step([A, B, C, D], "ab", healthy="abc")
        self.assertEqual(step, RemoveMember(D))

    def test_a_member_that_is_down_stays_as_long_as_its_node_is_a_candidate(self) -> None:
        self.assertIsNone(plan_step([A, B, C], "abc", healthy="ab"))

    def test_a_member_that_has_lost_its_data_is_replaced_on_its_own_node(self) -> None:
        self.assertEqual(plan_step([A, B, C], "abc", healthy="ab", lost="c"), RemoveMember(C))
        self.assertEqual(plan_step([A, B], "abc", healthy="ab"), AddMember("c"))

    def test_a_member_restarts_if_the_others_work_or_are_a_majority(self) -> None:
        for members, healthy, may in (
            ([A, B, C], "abc", True),
            ([A, B, C], "bc", True),  # it is the one that does not work
            ([A, B, C], "ab", False),
            ([A, B, C, D, voter("e")], "abcd", True),
            ([A, B, C, D, voter("e")], "abc", False),
            ([A, B], "ab", True),
            ([A], "a", True),
            # One that was added and never started has no vote.
            ([A, B, LEARNER], "ab", True),
            ([A, B, LEARNER], "a", False),
        ):
            self.assertEqual(may_restart(A, members, healthy), may, (members, healthy))

    def test_steps_lead_to_the_wanted_members_and_keep_a_quorum(self) -> None:
        for seed in range(300):
            chance = random.Random(seed)
            candidates = chance.sample("abcdefg", chance.randint(1, 7))
            members = [voter(each) for each in chance.sample("abcdefg", chance.choice((1, 3, 5)))]
            down = set(chance.sample([m.address for m in members], (len(members) - 1) // 2))
            for _ in range(40):
                healthy = {m.address for m in members if not m.learner} - down
                step = plan_step(members, candidates, healthy=healthy)
                if step is None:
                    break
                members = self.take(members, step)
                voters = [m.address for m in members if not m.learner]
                self.assertGreater(2 * len(set(voters) - down), len(voters), seed)
            if not down & set(candidates):
                self.assertLessEqual({m.address for m in members}, set(candidates), seed)
                self.assertGreaterEqual(len(members), find_size(len(candidates)), seed)

    def take(self, members: list[Member], step: object) -> list[Member]:
        match step:
            case AddMember(address):
                return [*members, Member(ord(address), address, learner=True)]
            case StartMember(member):
                return [replace(m, name=m.address) if m == member else m for m in members]
            case PromoteMember(member):
                return [replace(m, learner=False) if m == member else m for m in members]
            case RemoveMember(member):
                return [m for m in members if m != member]
        raise AssertionError(step)
