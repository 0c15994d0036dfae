# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster failover``, ``rehearse-failure`` and ``survive`` show what was found."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.guest_failover import (
    NOT_WANTED,
    format_rehearsal,
    format_status,
    format_survey,
)
from ganeti.luxi.methods import QueryFailover
from ganeti.opcodes.failover import RehearseFailure, SurveyFailures
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal

NODE: dict[str, Any] = {
    "name": "node2",
    "needs_lease": True,
    "maintenance": False,
    "guard": "device",
    "answered": 0.4,
    "fence": None,
    "method": None,
    "reason": "",
    "problem": "",
}


def status(**settings: object) -> list[str]:
    return list(format_status({"settings": settings, "nodes": [NODE]}))


class StatusTests(SynchronousTestCase):
    def test_a_guarded_node_is_shown(self) -> None:
        self.assertEqual(status()[-1].split(), ["node2", "device", "0", "s", "ago", "-"])

    def test_maintenance_is_named_first(self) -> None:
        self.assertIn("in maintenance", status(maintenance=True)[0])

    def test_a_weak_guard_is_explained(self) -> None:
        weak = {"settings": {}, "nodes": [{**NODE, "guard": "process"}]}
        self.assertIn("weaker than a device", list(format_status(weak))[-1])

    def test_a_fence_has_its_reason(self) -> None:
        fence = {"fence": "fenced", "method": "power", "reason": "node node2 is silent"}
        found = {"settings": {}, "nodes": [{**NODE, **fence}]}
        self.assertIn("confirmed by power: node node2 is silent", list(format_status(found))[-1])


class RehearsalTests(SynchronousTestCase):
    def test_placements_and_refusals_are_shown(self) -> None:
        found = {
            "fences": [["node2", "device", 30.0]],
            "placements": [["web1", "node2", "node3", 33]],
            "refusals": [["db1", "node2", "its disks are on node2 only"]],
        }
        lines = list(format_rehearsal(found))
        self.assertEqual(lines[0], "Node node2: certainly off after about 30 seconds (device).")
        self.assertEqual(lines[2].split(), ["web1", "node2", "node3", "33", "s"])
        self.assertIn("does not start elsewhere: its disks are on node2 only", lines[3])

    def test_a_node_without_instances_has_none(self) -> None:
        found: dict[str, Any] = {"fences": [], "placements": [], "refusals": []}
        self.assertEqual(list(format_rehearsal(found)), ["No instance runs there."])


class SurveyTests(SynchronousTestCase):
    def test_losses_are_named(self) -> None:
        loss = {"failed": ["node1", "node2"], "lost": [["db1", "node2: it fails as well"]]}
        found = {"instances": 1, "nodes": 3, "pairs": 3, "single": [], "double": [loss],
                 "unguarded": []}  # fmt: skip
        self.assertEqual(
            list(format_survey(found)),
            [
                "Survived: the failure of each of 3 nodes alone.",
                "Not survived: the failure of 1 of 3 pairs of nodes.",
                "  node1, node2",
                "    instance db1: node2: it fails as well",
            ],
        )

    def test_without_instances_the_command_to_begin_with_is_named(self) -> None:
        [line] = format_survey({"instances": 0})
        self.assertIn("gnt-instance failover-policy", line)

    def test_nodes_without_a_guard_are_named(self) -> None:
        found = {"instances": 1, "nodes": 2, "pairs": 0, "single": [], "double": [],
                 "unguarded": ["node2"]}  # fmt: skip
        *_, line = format_survey(found)
        self.assertTrue(line.startswith("Node node2 has no guard: after its failure a person"))


class NodeTests(SynchronousTestCase):
    """The words about one node."""

    def words(self, **over: Any) -> list[str]:
        found = {"settings": {}, "nodes": [{**NODE, **over}]}
        return list(format_status(found))[2].split(maxsplit=2)

    def test_a_node_that_needs_no_lease_needs_no_guard(self) -> None:
        self.assertEqual(self.words(guard=None, needs_lease=False)[1], "-")
        self.assertEqual(self.words(guard=None, needs_lease=True)[1], "none")

    def test_one_that_never_answered_has_no_age(self) -> None:
        self.assertEqual(self.words(answered=None)[2], "-        -")

    def test_everything_that_is_known_is_told(self) -> None:
        told = self.words(
            maintenance=True, fence="fencing", reason="it is silent", problem="no power helper"
        )[2]
        self.assertTrue(
            told.endswith("in maintenance; is being fenced: it is silent; no power helper")
        )

    def test_the_settings_have_their_defaults(self) -> None:
        [line, *_] = format_status({"settings": {}, "nodes": []})
        self.assertTrue(line.endswith("at most 1 within 1800 seconds."))


class CommandTests(SynchronousTestCase):
    SURVEY: dict[str, Any] = {
        "instances": 1,
        "nodes": 2,
        "pairs": 0,
        "single": [],
        "double": [],
        "unguarded": [],
    }

    def run_tool(self, result: object, *words: str) -> int:
        self.terminal = Terminal(result=result)
        return self.terminal.run(GNT_CLUSTER, *words)

    def rehearsed(self, *refusals: list[str]) -> int:
        found = {"fences": [["node2", "", None]], "placements": [], "refusals": refusals}
        return self.run_tool(found, "rehearse-failure", "node2", "node3")

    def test_a_rehearsal_fails_if_an_instance_is_lost_that_should_fail_over(self) -> None:
        self.assertEqual(self.rehearsed(), 0)
        self.assertEqual(self.rehearsed(["db1", "node2", NOT_WANTED]), 0)
        self.assertEqual(self.rehearsed(["db1", "node2", "its disks are lost"]), 1)
        wanted = RehearseFailure(node_names=("node2", "node3"))
        self.assertEqual(replace(self.terminal.job(), reason=()), wanted)
        self.assertIn("gnt-node confirm-off node2", self.terminal.out)

    def test_a_survey_fails_if_one_node_is_not_survived_or_not_guarded(self) -> None:
        loss = {"failed": ["node1"], "lost": [["db1", "its disks are lost"]]}
        for over, code in (
            ({}, 0),
            ({"double": [loss]}, 0),
            ({"single": [loss]}, 1),
            ({"unguarded": ["node1"]}, 1),
        ):
            self.assertEqual(self.run_tool({**self.SURVEY, **over}, "survive"), code, over)
        self.assertEqual(replace(self.terminal.job(), reason=()), SurveyFailures())

    def test_programs_get_a_rehearsal_and_a_survey_as_objects(self) -> None:
        found = {
            "fences": [["node2", "lease", 30.0]],
            "placements": [["web1", "node2", "node3", 40]],
            "refusals": [["db1", "node2", NOT_WANTED]],
        }
        self.run_tool(found, "rehearse-failure", "node2", "-o", "json")
        expected = {
            "fences": [{"node": "node2", "method": "lease", "seconds": 30.0}],
            "placements": [{"instance": "web1", "from": "node2", "to": "node3", "seconds": 40}],
            "refusals": [{"instance": "db1", "node": "node2", "reason": NOT_WANTED}],
        }
        self.assertEqual(json.loads(self.terminal.out), expected)
        self.run_tool(self.SURVEY, "survive", "-o", "json")
        self.assertEqual(json.loads(self.terminal.out), self.SURVEY)

    def test_the_status_is_what_the_master_knows(self) -> None:
        terminal = Terminal({QueryFailover: {"settings": {"max_nodes": 2}, "nodes": [NODE]}})
        self.assertEqual(terminal.run(GNT_CLUSTER, "failover status"), 0, terminal.err)
        self.assertIn("at most 2 within", terminal.out)
        terminal.run(GNT_CLUSTER, "failover status", "-o", "json")
        self.assertEqual(json.loads(terminal.out)["settings"], {"max_nodes": 2})
