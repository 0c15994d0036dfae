# SPDX-License-Identifier: BSD-2-Clause
"""Jobs that an external iallocator proposes: which are accepted, and what is said of others."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.operations.allocation.iallocator_jobs import IAllocatorJobs, get_allocator_jobs
from ganeti.operations.operation import IAllocatorReply, NodeAnswers

MIGRATE = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "target_node": "node2"}
FAILOVER = {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web1"}
REPLACE = {
    "OP_ID": "OP_INSTANCE_REPLACE_DISKS",
    "instance_name": "db1",
    "mode": "replace_new_secondary",
    "remote_node": "node3",
    "early_release": True,
}


def proposed(result: Any, *, early_release: bool = False) -> IAllocatorJobs:
    text = json.dumps({"success": True, "info": "", "result": result})
    facts = NodeAnswers(advice=IAllocatorReply("mine", text))
    return get_allocator_jobs(facts, early_release=early_release)


class ProposalTests(SynchronousTestCase):
    def refusal(self, words: str, result: Any) -> None:
        with self.assertRaisesRegex(Refused, words) as caught:
            proposed(result)
        self.assertEqual(caught.exception.code, Code.ENVIRONMENT)

    def test_jobs_are_read_in_their_order(self) -> None:
        found = proposed([[["web1", "g", ["node2"]]], [], [[MIGRATE], [FAILOVER, REPLACE]]])
        replace = ReplaceDisks(
            instance_name="db1", mode=ReplacementMode.NEW_SECONDARY, remote_node="node3"
        )
        self.assertEqual(
            found.jobs,
            (
                (MigrateInstance(instance_name="web1", target_node="node2"),),
                (FailoverInstance(instance_name="web1"), replace),
            ),
        )
        self.assertEqual(found.stuck, ())

    def test_the_request_decides_about_an_early_release(self) -> None:
        for early in (True, False):
            [[opcode]] = proposed([[], [], [[REPLACE]]], early_release=early).jobs
            assert isinstance(opcode, ReplaceDisks)
            self.assertEqual(opcode.early_release, early)

    def test_an_instance_that_is_stuck_has_a_reason_in_any_case(self) -> None:
        found = proposed([[], [["web1", "too large"], ["web2", ""], ["web3", None]], []])
        expected = (
            ("web1", "too large"),
            ("web2", "no reason given"),
            ("web3", "no reason given"),
        )
        self.assertEqual(found, IAllocatorJobs((), expected))

    def test_only_opcodes_that_move_instances_are_accepted(self) -> None:
        remove = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": "web1"}
        self.refusal("must not propose OP_INSTANCE_REMOVE", [[], [], [[MIGRATE, remove]]])

    def test_an_invalid_opcode_is_refused_with_its_problem(self) -> None:
        wrong = {**MIGRATE, "colour": "blue"}
        for opcode in (wrong, {"OP_ID": "OP_NOTHING"}, "text", None):
            self.refusal("proposed an invalid opcode: ", [[], [], [[opcode]]])

    def test_another_form_is_refused(self) -> None:
        wrong: list[Any] = [[], [[], []], {"jobs": []}, [None, [], []], "text", [[], {}, []]]
        for result in wrong:
            self.refusal(r"does not have the form \[moved, failed, jobs\]", result)

    def test_failures_and_jobs_have_their_form_as_well(self) -> None:
        for result in (
            [[], [["web1"]], []],
            [[], ["web1"], []],
            [[], [5], []],
            [[], ["ab"], []],
            [[], [["web1", 5]], []],
            [[], [], [5]],
            [[], [], [None]],
        ):
            self.refusal("pairs of instance and reason in failed", result)

    def test_no_solution_has_the_reason_of_the_iallocator(self) -> None:
        text = json.dumps({"success": False, "info": "too few nodes", "result": []})
        facts = NodeAnswers(advice=IAllocatorReply("mine", text))
        with self.assertRaisesRegex(Refused, "mine found no solution: too few nodes"):
            get_allocator_jobs(facts, early_release=False)
