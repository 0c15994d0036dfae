# SPDX-License-Identifier: BSD-2-Clause
"""Plans and capacities as the tool shows them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.placement import format_capacity, format_plan


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
