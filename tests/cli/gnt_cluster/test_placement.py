# SPDX-License-Identifier: BSD-2-Clause
"""Plans and capacities as the tool shows them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.placement import format_capacity, format_plan
from ganeti.luxi.methods import PlanJob, SubmitJob
from ganeti.opcodes.placement import BalanceCluster, CountCapacity
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal


def a_group(**given: Any) -> dict[str, Any]:
    scores = {"before": {"score": 3.0}, "after": {"score": 0.5}}
    return {"name": "default", "moves": [], "timed_out": False, **scores, **given}


MOVE = {
    "instance": "db1",
    "from": ["node1", "node2"],
    "to": ["node2", "node1"],
    "steps": [["migrate", "node2"]],
    "score": 0.5,
}


class FormatTests(SynchronousTestCase):
    def test_a_plan_has_the_scores_and_the_moves(self) -> None:
        plan = {"groups": [a_group(moves=[MOVE])], "silent": []}
        title, _, move = format_plan(plan)
        self.assertEqual(title, "Group default: 1 move lowers the score from 3.000 to 0.500.")
        self.assertEqual(move.split()[:5], ["1", "db1", "node1:node2", "node2:node1", "0.500"])
        self.assertTrue(move.endswith("migrate to node2"))

    def test_a_plan_without_moves_says_so(self) -> None:
        [line] = format_plan({"groups": [a_group()], "silent": []})
        self.assertEqual(line, "Group default: score 3.000; no move lowers it enough.")

    def test_nodes_without_an_answer_are_named(self) -> None:
        [line] = format_plan({"groups": [], "silent": ["node3"]})
        self.assertEqual(line, "Node node3 does not answer; its instances stay there.")

    def test_a_capacity_says_what_stops_the_next_one(self) -> None:
        group = {"name": "default", "count": 1, "limits": {"memory": 2, "disk space": 1}}
        size = {"disk_template": "plain", "memory": 128, "vcpus": 1, "disk_space": 1024}
        first, second = format_capacity({**size, "count": 1, "groups": [group]})
        self.assertTrue(first.startswith("1 more instance with 128M of memory"))
        self.assertTrue(second.endswith("stopped by: memory (2 nodes), disk space (1 node)"))

    def test_a_search_that_was_ended_says_what_gives_it_more_time(self) -> None:
        for timed_out in (False, True):
            plan = {"groups": [a_group(moves=[MOVE], timed_out=timed_out)], "silent": []}
            told = "The time limit ended the search; --time-limit gives it more."
            self.assertEqual(told in format_plan(plan), timed_out)

    def test_several_moves_are_numbered(self) -> None:
        title, _, first, second = format_plan(
            {"groups": [a_group(moves=[MOVE, {**MOVE, "instance": "web1"}])], "silent": []}
        )
        self.assertIn("2 moves lower the score", title)
        self.assertEqual(
            [each.split()[:2] for each in (first, second)], [["1", "db1"], ["2", "web1"]]
        )


class BalanceTests(SynchronousTestCase):
    """The plan is shown before anything is asked or submitted."""

    def balance(self, *words: str, answers: list[str] | None = None, moves: int = 1) -> int:
        preview = {"groups": [a_group(moves=[MOVE] * moves)], "silent": []}
        self.terminal = Terminal(
            {PlanJob: [{"preview": preview}]}, answers=answers, result={"jobs": [[True, 1]]}
        )
        return self.terminal.run(GNT_CLUSTER, "balance", *words)

    def submitted(self) -> list[Any]:
        asked = [each for each in self.terminal.asked() if isinstance(each, SubmitJob)]
        return [replace(opcode, reason=()) for each in asked for opcode in each.ops]

    def test_its_jobs_are_submitted_when_that_is_confirmed(self) -> None:
        self.assertEqual(self.balance(answers=["yes"]), 0)
        self.assertEqual(self.submitted(), [BalanceCluster()])
        [question] = self.terminal.questions
        self.assertTrue(question.startswith("Move these instances?"))
        self.assertIn("Group default: 1 move lowers", self.terminal.out)

    def test_nothing_is_moved_otherwise(self) -> None:
        for words, answers, code in (((), ["no"], 1), ((), None, 13), (("--dry-run",), None, 0)):
            self.assertEqual(self.balance(*words, answers=answers), code)
            self.assertEqual(self.submitted(), [])

    def test_where_no_move_is_worth_it_nothing_is_asked(self) -> None:
        self.assertEqual(self.balance(moves=0), 0)
        self.assertEqual((self.submitted(), self.terminal.questions), ([], []))

    def test_force_skips_the_question(self) -> None:
        self.assertEqual(self.balance("-f"), 0)
        self.assertEqual(self.submitted(), [BalanceCluster()])


class CapacityTests(SynchronousTestCase):
    def test_each_size_is_shown(self) -> None:
        size = {"disk_template": "plain", "memory": 128, "vcpus": 1, "disk_space": 0}
        terminal = Terminal(result=[{**size, "count": n, "groups": []} for n in (0, 5)])
        self.assertEqual(terminal.run(GNT_CLUSTER, "capacity"), 0, terminal.err)
        first, second = terminal.out.splitlines()
        self.assertTrue(first.startswith("0 more instances with 128M of memory"))
        self.assertTrue(second.startswith("5 more instances"))
        terminal.run(GNT_CLUSTER, "capacity", "-o", "csv")
        self.assertTrue(terminal.out.startswith("disk_template,memory,"), terminal.out)
        self.assertEqual(replace(terminal.job(), reason=()), CountCapacity())
