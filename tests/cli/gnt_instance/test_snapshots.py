# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-instance snapshot`` lists snapshots, and submits jobs about them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.luxi.methods import QueryInstances
from ganeti.opcodes.instance.snapshots import CreateSnapshot, RevertInstance
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal


def a_row(name: str, **over: object) -> dict[str, Any]:
    row = {"name": name, "ctime": 0.0, "state": "ready", "running": False}
    disks = [{"uuid": "u1", "size": 64}, {"uuid": "u2", "size": 8}]
    row |= {"frozen": False, "memory": False}
    return {**row, "reverting": False, "disks": disks, **over}


class SnapshotCommandTests(SynchronousTestCase):
    def listed(self, *words: str, **over: object) -> list[list[str]]:
        rows = [a_row("one", **over)]
        terminal = Terminal({QueryInstances: [[rows]]})
        self.assertEqual(terminal.run(GNT_INSTANCE, "snapshot", "list", *words, "web1"), 0)
        return [line.split("|") for line in terminal.out.splitlines()]

    def test_a_list_has_titles_and_a_line_for_each(self) -> None:
        [titles, row] = self.listed("--separator=|")
        self.assertEqual(titles, ["Name", "Created", "Size", "State", "Guest"])
        self.assertEqual([row[0], *row[2:]], ["one", "64M,8M", "ready", "stopped"])

    def test_the_state_and_the_guest_of_each_are_shown(self) -> None:
        for over, shown in (
            ({"running": True}, ["ready", "running"]),
            ({"running": True, "frozen": True}, ["ready", "frozen"]),
            ({"running": True, "memory": True}, ["ready", "memory"]),
            ({"state": "creating"}, ["creating", "stopped"]),
            ({"reverting": True}, ["reverting", "stopped"]),
        ):
            [row] = self.listed("--separator=|", "--no-headers", **over)
            self.assertEqual(row[3:], shown)

    def test_jobs_have_the_names_and_options_that_were_given(self) -> None:
        terminal = Terminal()
        terminal.run(GNT_INSTANCE, "snapshot", "create", "web1", "before")
        expected = CreateSnapshot(instance_name="web1", snapshot_name="before")
        self.assertEqual(replace(terminal.job(), reason=()), expected)
        terminal = Terminal()
        words = ("--restart", "--force", "web1", "before")
        terminal.run(GNT_INSTANCE, "snapshot", "revert", *words)
        revert = RevertInstance(instance_name="web1", snapshot_name="before", restart=True)
        self.assertEqual(replace(terminal.job(), reason=()), revert)

    def test_a_revert_asks_first(self) -> None:
        terminal = Terminal(answers=["n"])
        terminal.run(GNT_INSTANCE, "snapshot", "revert", "web1", "before")
        self.assertIn("What was written since is lost", terminal.questions[0])
