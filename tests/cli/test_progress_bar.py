# SPDX-License-Identifier: BSD-2-Clause
"""The progress of a job is a bar on a terminal, and lines elsewhere."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_job.commands import GNT_JOB
from ganeti.cli.progress_bar import format_bar
from ganeti.luxi.methods import WaitForJobChange
from ganeti.model.work_progress import WorkProgress
from tests.cli.terminal import NOW, Terminal

HALF = WorkProgress("syncing disk/0", 50.0, 75)


def entry(serial: int, message: str) -> list[Any]:
    return [serial, [int(NOW), 0], "message", message]


class FormatTests(SynchronousTestCase):
    def test_a_bar_has_the_part_the_time_and_the_subject(self) -> None:
        self.assertEqual(
            format_bar(HALF, 80), f"[{'=' * 12}{' ' * 12}] 50 %, 1:15 left  syncing disk/0"
        )
        long = WorkProgress("sending web1", 100.0, 3 * 3600 + 61)
        self.assertEqual(format_bar(long, 80), f"[{'=' * 24}] 100 %, 3:01:01 left  sending web1")
        self.assertEqual(format_bar(WorkProgress("x", 0.0), 80), f"[{' ' * 24}] 0 %  x")

    def test_a_narrow_terminal_gets_what_fits(self) -> None:
        self.assertEqual(len(format_bar(HALF, 39)), 39)


class WatchTests(SynchronousTestCase):
    def watch(self, size: tuple[int, int] | None) -> str:
        said = ["starting", str(HALF), str(WorkProgress("syncing disk/0", 75.0, 30)), "started"]
        entries = [entry(number, each) for number, each in enumerate(said, start=1)]
        end = [["success", ["success"], [None]], entries]
        terminal = Terminal({WaitForJobChange: end}, size=size)
        self.assertEqual(terminal.run(GNT_JOB, "watch", "7"), 0, terminal.err)
        return terminal.out

    def test_a_terminal_shows_one_bar_that_makes_room_for_messages(self) -> None:
        out = self.watch((80, 24))
        self.assertEqual(out.count("\r\x1b[K["), 2)
        self.assertNotIn("% done", out)
        last = out.rpartition("\r\x1b[K")[2]
        self.assertRegex(last, r"^\w.* started\n$")

    def test_a_file_gets_the_messages(self) -> None:
        out = self.watch(None)
        self.assertIn("syncing disk/0: 50.0% done, 75 s left\n", out)
        self.assertNotIn("\x1b", out)
