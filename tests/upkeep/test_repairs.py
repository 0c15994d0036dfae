# SPDX-License-Identifier: BSD-2-Clause
"""What the watcher decides."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.upkeep.repairs import (
    ATTEMPT_MEMORY,
    DOWN,
    MAX_ATTEMPTS,
    InstanceReport,
    NodeRepairState,
    RepairAttempts,
    Repairs,
    RepairState,
    repairs,
)

NOW = 1_700_000_000.0


def seen(status: str, *, mirrored: bool = False) -> InstanceReport:
    nodes = ("node1", "node2") if mirrored else ("node1",)
    return InstanceReport("web1", status, nodes, mirrored)


def decided(
    notes: RepairState, *instances: InstanceReport, now: float = NOW, **boots: str | None
) -> Repairs:
    return repairs(notes, instances, boots, now)


class StartTests(SynchronousTestCase):
    def test_what_should_run_and_does_not_is_started_and_counted(self) -> None:
        found = decided(RepairState(), seen(DOWN), node1="a")
        notes = RepairState(
            {"node1": NodeRepairState("a")},
            {"web1": RepairAttempts(restart_count=1, restart_when=NOW)},
        )
        self.assertEqual(found, Repairs(("web1",), (), (), notes))

    def test_other_statuses_are_left_alone(self) -> None:
        for status in ("running", "ADMIN_down", "ERROR_nodedown", "ERROR_nodeoffline", "USER_down"):
            self.assertEqual(
                decided(RepairState(), seen(status)), Repairs((), (), (), RepairState())
            )

    def test_after_five_tries_it_is_given_up_until_they_are_forgotten(self) -> None:
        notes, now = RepairState(), NOW
        for _ in range(MAX_ATTEMPTS):
            found = decided(notes, seen(DOWN), now=now)
            self.assertEqual(found.start, ("web1",))
            notes, now = found.notes, now + 300
        found = decided(notes, seen(DOWN), now=now)
        self.assertEqual((found.start, found.given_up), ((), ("web1",)))
        found = decided(found.notes, seen(DOWN), now=now + ATTEMPT_MEMORY)
        self.assertEqual((found.start, found.notes.instance["web1"].restart_count), (("web1",), 1))

    def test_an_instance_that_is_gone_is_forgotten(self) -> None:
        notes = RepairState(instance={"db1": RepairAttempts(restart_count=2, restart_when=NOW)})
        self.assertEqual(decided(notes, seen("running")).notes, RepairState())


class ActivateTests(SynchronousTestCase):
    NOTES = RepairState({"node1": NodeRepairState("a"), "node2": NodeRepairState("a")})

    def test_mirrors_are_activated_after_their_second_node_has_rebooted(self) -> None:
        found = decided(self.NOTES, seen("running", mirrored=True), node1="a", node2="b")
        self.assertEqual((found.activate, found.notes.node["node2"].bootid), (("web1",), "b"))
        again = decided(found.notes, seen("running", mirrored=True), node1="a", node2="b")
        self.assertEqual(again.activate, ())

    def test_a_node_that_does_not_answer_is_remembered(self) -> None:
        found = decided(self.NOTES, seen("running", mirrored=True), node1="a", node2=None)
        self.assertEqual((found.activate, found.notes), ((), self.NOTES))

    def test_who_is_started_gets_its_disks_by_that(self) -> None:
        found = decided(self.NOTES, seen(DOWN, mirrored=True), node1="b", node2="b")
        self.assertEqual((found.start, found.activate), (("web1",), ()))

    def test_what_is_not_mirrored_or_not_wanted_needs_none(self) -> None:
        for each in (seen("running"), seen("ADMIN_down", mirrored=True)):
            self.assertEqual(decided(self.NOTES, each, node1="b", node2="b").activate, ())


class NotesTests(SynchronousTestCase):
    def test_the_form_is_that_of_existing_files(self) -> None:
        text = (
            b'{"node":{"node1":{"bootid":"a"}},"instance":{"web1":{"restart_count":2,'
            b'"restart_when":5.0,"cleanup_count":0,"cleanup_when":0.0}}}'
        )
        notes = msgspec.json.decode(text, type=RepairState)
        self.assertEqual(notes.instance["web1"].restart_count, 2)
        self.assertEqual(msgspec.json.encode(notes), text)
