# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster info`` shows every setting in words."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.info import joined
from ganeti.testing.builders import a_cluster
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, in_utc


class InfoTests(SynchronousTestCase):
    def shown(self, *words: str) -> str:
        state = a_cluster(
            nodes=["node1"],
            cluster_name="cluster1.example.com",
            tags=("b", "a"),
            candidate_pool_size=7,
            reserved_lvs=("root", "swap"),
            hidden_os=("secret",),
        )
        terminal = Terminal(answers_about(state))
        self.assertEqual(terminal.run(GNT_CLUSTER, "info", *words), 0, terminal.err)
        return terminal.out

    def test_settings_are_told_under_their_titles(self) -> None:
        in_utc(self)
        shown = self.shown()
        for line in (
            "Cluster name: cluster1.example.com",
            "Creation time: 2023-11-14 22:13:20",
            "Master node: node1",
            "Architecture (this node): 64bits x86_64",
            "Hidden OSes: secret",
            "  candidate pool size: 7",
            "  lvm reserved volumes: root, swap",
        ):
            self.assertIn(f"{line}\n", shown)

    def test_whole_numbers_may_be_roman(self) -> None:
        self.assertIn("  candidate pool size: VII\n", self.shown("--roman"))

    def test_programs_get_the_facts_as_they_are(self) -> None:
        facts = json.loads(self.shown("-o", "json"))
        self.assertEqual((facts["candidate_pool_size"], facts["hidden_os"]), (7, ["secret"]))

    def test_only_lists_of_words_are_joined(self) -> None:
        self.assertEqual(joined(["a", "b"]), "a, b")
        self.assertEqual(joined([[1, 2]]), [[1, 2]])
        self.assertIs(joined(None), None)
