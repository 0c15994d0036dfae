# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster adopt`` says what it would do, does it, and shows the next steps."""

from __future__ import annotations

import os
from pathlib import Path

from ganeti.bootstrap.foreign_folder import is_foreign
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.take_over import adopt_cluster
from ganeti.cli.session import BAD_OPTION, ExitTool
from tests.bootstrap.take_over.ganeti_host import GanetiHost
from tests.cli.terminal import Terminal, arguments


class AdoptTests(GanetiHost):
    def setUp(self) -> None:
        super().setUp()
        self.terminal = Terminal(paths=self.paths)

    def adopt(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "adopt", *words)

    def test_a_check_changes_nothing(self) -> None:
        before = self.contents()
        self.assertEqual(self.adopt("--check", self.paths.data), 0)
        self.assertEqual(self.contents(), before)
        self.assertIn("This comes over:\n  - cluster cluster.example.com", self.terminal.out)
        self.assertIn(
            f"Nothing stands in the way: gnt-cluster adopt {self.paths.data}", self.terminal.out
        )

    def test_an_obstacle_keeps_all_as_it_is(self) -> None:
        os.makedirs(f"{self.paths.data}/ganeti-before")
        before = self.contents()
        for words in (("--check",), ()):
            self.assertEqual(self.adopt(*words, self.paths.data), 1)
        self.assertEqual(self.contents(), before)
        self.assertIn("This stands in the way, and nothing was changed:", self.terminal.out)

    def test_the_next_steps_are_shown(self) -> None:
        self.put("queue/drain", "")
        self.assertEqual(self.adopt(self.paths.data), 0)
        self.assertFalse(is_foreign(self.paths))
        for part in (
            "Cluster cluster.example.com is taken over; node1 is its master.",
            f"  GANETI_ROOTDIR={self.paths.root} GANETI_HOSTNAME=node1 ganeti-masterd",
            "  gnt-cluster queue undrain",
            "  node2: echo ",
            "| GANETI_ROOTDIR=FOLDER GANETI_HOSTNAME=node2 ganeti-noded --join - --rejoin",
            "  gnt-node add --readd --joined node2",
        ):
            self.assertIn(part, self.terminal.out)
        self.assertNotIn("node3", self.terminal.out.partition("Start the daemons")[2])

    def test_the_way_back_is_the_same_command(self) -> None:
        self.adopt(self.paths.data)
        self.assertEqual(self.adopt("--give-back"), 0)
        self.assertTrue(is_foreign(self.paths))
        self.assertIn("Ganeti has the present configuration", self.terminal.out)

    def test_words_that_do_not_fit_together_are_refused(self) -> None:
        for words in ((), ("--give-back", self.paths.data)):
            self.assertEqual(self.adopt(*words), 2, words)

    def test_the_way_back_can_be_checked(self) -> None:
        self.adopt(self.paths.data)
        before = self.contents()
        self.assertEqual(self.adopt("--give-back", "--check"), 0)
        self.assertEqual(self.contents(), before)

    def test_an_interrupted_take_over_is_completed_by_the_same_command(self) -> None:
        self.adopt(self.paths.data)
        prepared = f"{self.paths.data}/adopting"
        os.makedirs(prepared)
        os.rename(self.paths.node_certificate, f"{prepared}/server.pem")
        Path(prepared, ".moved-out").touch()
        self.assertEqual(self.adopt("--check", self.paths.data), 1)
        self.assertIn("A take-over was interrupted", self.terminal.out)
        self.assertEqual(self.adopt(self.paths.data), 0)
        self.assertIn("  node2: echo ", self.terminal.out)

    def refusal(self, **values: object) -> ExitTool:
        given = arguments("adopt", **values)
        error: ExitTool = self.assertRaises(
            ExitTool, self.terminal.call, lambda session: adopt_cluster(session, given)
        )
        return error

    def test_the_folder_of_ganeti_must_be_said(self) -> None:
        for names in ((), ("check",), ("new_rapi_certificate",)):
            error = self.refusal(**dict.fromkeys(names, True))
            told = f"give the folder of Ganeti, such as {self.paths.data}"
            self.assertEqual((error.code, str(error)), (BAD_OPTION, told))

    def test_the_way_back_takes_no_other_option(self) -> None:
        for name in ("folder", "new_rapi_certificate"):
            error = self.refusal(give_back=True, **{name: "x"})
            self.assertEqual(error.code, BAD_OPTION)
            self.assertIn("--give-back takes no folder", str(error))

    def test_a_check_of_an_interrupted_take_over_completes_nothing(self) -> None:
        self.adopt(self.paths.data)
        prepared = f"{self.paths.data}/adopting"
        os.makedirs(prepared)
        Path(prepared, ".moved-out").touch()
        before = self.contents()
        self.assertEqual(self.adopt("--check", self.paths.data), 1)
        self.assertEqual(self.contents(), before)

    def test_an_undrained_queue_is_not_undrained(self) -> None:
        self.assertEqual(self.adopt(self.paths.data), 0)
        self.assertNotIn("gnt-cluster queue undrain", self.terminal.out)
        self.assertTrue(self.terminal.out.endswith("At last: gnt-cluster verify\n"))
