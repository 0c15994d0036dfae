# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster failover``, ``rehearse-failure`` and ``survive`` show what was found."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.guest_failover import format_rehearsal, format_status, format_survey

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
