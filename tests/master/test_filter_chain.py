# SPDX-License-Identifier: BSD-2-Clause
"""Job filters at work: which rule decides, and which are refused."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.jobs.filter_actions import JobRateLimit, Reject
from ganeti.jobs.job import Job
from ganeti.jobs.submission import new_job
from ganeti.master.filter_chain import FilterChain, make_rule
from ganeti.model.filters import FilterRule
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.schema.records import replace

UUID = "00000000-0000-4000-8000-00000000000%d"


def a_rule(number: int = 1, action: Any = "PAUSE", watermark: int = 0, **over: Any) -> FilterRule:
    given = {"priority": 0, "predicates": [], "reason": [], **over}
    return make_rule(UUID % number, watermark, action=action, **given)


def a_job(name: str = "web1") -> Job:
    return new_job(7, [StartInstance(instance_name=name)], 1_700_000_000.0)


class RulebookTests(SynchronousTestCase):
    def test_each_action_has_its_verdict(self) -> None:
        for action, verdict in (
            ("ACCEPT", None),
            ("CONTINUE", None),
            ("PAUSE", JobRateLimit(UUID % 1, 0)),
            (["RATE_LIMIT", 3], JobRateLimit(UUID % 1, 3)),
            ("REJECT", Reject(f"rejected by job filter {UUID % 1}")),
        ):
            self.assertEqual(FilterChain([a_rule(action=action)])(a_job()), verdict)

    def test_owners_limit_how_many_of_their_jobs_run_by_a_reason(self) -> None:
        for text, verdict in (
            ("rate-limit:3:nightly", JobRateLimit("rate-limit:3:nightly", 3)),
            ("rate-limit:0:nightly", None),
            ("rate-limit:many:nightly", None),
            ("rate-limit:3", None),
            ("a rate-limit:3:nightly", None),
        ):
            start = StartInstance(instance_name="web1", reason=(("gnt:user", text, 0),))
            job = new_job(7, [start], 1_700_000_000.0)
            self.assertEqual(FilterChain([])(job), verdict, text)
            self.assertEqual(FilterChain([a_rule(action="PAUSE")])(job), JobRateLimit(UUID % 1, 0))
            self.assertEqual(FilterChain([a_rule(action="ACCEPT")])(job), verdict)

    def test_priority_comes_before_watermark_and_that_before_uuid(self) -> None:
        first = a_rule(4, "ACCEPT", watermark=9, priority=1)
        second = a_rule(3, "REJECT", watermark=1, priority=2)
        third = a_rule(1, "PAUSE", watermark=2, priority=2)
        fourth = a_rule(2, "PAUSE", watermark=2, priority=2)
        for chain, verdict in (
            ((first, second, third, fourth), None),
            ((second, third, fourth), Reject(f"rejected by job filter {UUID % 3}")),
            ((third, fourth), JobRateLimit(UUID % 1, 0)),
        ):
            for order in permutations(chain):
                self.assertEqual(FilterChain(order)(a_job()), verdict)

    def test_a_rule_that_does_not_match_or_continues_leaves_it_to_the_next(self) -> None:
        other = [["opcode", ["=", "instance_name", "db1"]]]
        book = FilterChain(
            [
                a_rule(1, "REJECT", predicates=other),
                a_rule(2, "CONTINUE"),
                a_rule(3, "PAUSE"),
                a_rule(4, "REJECT"),
            ]
        )
        self.assertEqual(book(a_job()), JobRateLimit(UUID % 3, 0))

    def test_the_watermark_is_that_of_the_rule(self) -> None:
        newer = [["jobid", [">", "id", "watermark"]]]
        for watermark, verdict in ((6, JobRateLimit(UUID % 1, 0)), (7, None)):
            rule = a_rule(watermark=watermark, predicates=newer)
            self.assertEqual(FilterChain([rule])(a_job()), verdict)

    def test_who_is_rejected_hears_what_the_administrator_said(self) -> None:
        trail = [["gnt:user", "audit", 1], ["gnt:client", "gnt-filter add", 1]]
        verdict = FilterChain([a_rule(action="REJECT", reason=trail)])(a_job())
        why = f"rejected by job filter {UUID % 1}, because: audit"
        self.assertEqual(verdict, Reject(why))

    def test_a_rule_of_other_software_that_is_not_understood_decides_nothing(self) -> None:
        strange = FilterRule(
            uuid=UUID % 1,
            watermark=0,
            priority=0,
            predicates=(("phase", ["=", "moon", "full"]),),
            action="EXPLODE",
            reason_trail=(),
        )
        self.assertEqual(FilterChain([strange, a_rule(2)])(a_job()), JobRateLimit(UUID % 2, 0))

    def test_a_costly_search_does_not_hold_up_the_queue(self) -> None:
        costly = a_rule(1, "REJECT", predicates=[["opcode", ["=~", "instance_name", "(a|a)*b"]]])
        self.assertEqual(
            FilterChain([costly, a_rule(2)])(a_job("a" * 10_000)), JobRateLimit(UUID % 2, 0)
        )

    def test_a_stored_expression_that_needs_backtracking_decides_nothing(self) -> None:
        expression = ["opcode", ["=~", "instance_name", r"(a)\1"]]
        stored = replace(a_rule(1), predicates=(expression,))
        self.assertEqual(FilterChain([stored, a_rule(2)])(a_job("aa")), JobRateLimit(UUID % 2, 0))


class RuleTests(SynchronousTestCase):
    def test_a_rule_is_as_it_was_asked_for(self) -> None:
        rule = a_rule(
            1,
            ["RATE_LIMIT", 2],
            watermark=10,
            predicates=[["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]]],
            reason=[["luxid", "maintenance", 1_700_000_000_000_000_000]],
            priority=3,
        )
        self.assertEqual(
            rule,
            FilterRule(
                uuid=UUID % 1,
                watermark=10,
                priority=3,
                predicates=(("opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]),),
                action=["RATE_LIMIT", 2],
                reason_trail=(("luxid", "maintenance", 1_700_000_000_000_000_000),),
            ),
        )

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        with self.assertRaises(Invalid) as raised:
            make_rule(
                "mine",
                0,
                priority=-1,
                predicates=[["jobid", ["=", "number", 1]], ["job", None]],
                action="EXPLODE",
                reason=[["x", 1, 2]],
            )
        told = [each.path for each in raised.exception.problems]
        wrong = ["uuid", "priority", "reason[0][1]", "predicates[0]", "predicates[1]", "action"]
        self.assertEqual(told, wrong)

    def test_there_is_no_other_action(self) -> None:
        wrong_numbers: list[Any] = [["RATE_LIMIT", n] for n in (0, -1, True, "2", 1.5)]
        others: list[Any] = ["RATE_LIMIT", ["RATE_LIMIT"], ["RATE_LIMIT", 1, 2], ["PAUSE"], "pause"]
        for action in (*wrong_numbers, *others, None, 5, {}):
            with self.assertRaisesRegex(Invalid, "^action: must be"):
                a_rule(action=action)
