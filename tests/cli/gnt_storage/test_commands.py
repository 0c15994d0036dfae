# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-storage`` shows what nodes have of providers of external storage."""

from __future__ import annotations

from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_storage.commands import GNT_STORAGE
from ganeti.luxi.methods import Query
from tests.cli.terminal import Terminal, answer

FIELDS = dict.fromkeys(("name", "node_status", "nodegroup_status", "parameters"), "other")
GOOD = ["/usr/share/ganeti/extstorage/rbd", True, "", [["pool", "The pool."]]]
BAD = ["/usr/share/ganeti/extstorage/rbd", False, "create is missing", []]


class ProviderTests(SynchronousTestCase):
    def terminal(self, nodes: Any, works: bool) -> Terminal:
        row = ["rbd", nodes, {"default": works}, [["pool", "The pool."]]]
        return Terminal({Query: answer(FIELDS, row)})

    def test_a_diagnosis_shows_each_node(self) -> None:
        terminal = self.terminal({"node1": [GOOD], "node2": [BAD], "node3": []}, False)
        self.assertEqual(terminal.run(GNT_STORAGE, "diagnose"), 1)
        found = yaml.safe_load(terminal.out)["rbd"]
        self.assertEqual(found["node1"], [{"path": GOOD[0], "valid": True}])
        self.assertEqual(found["node2"][0]["diagnosis"], "create is missing")
        self.assertEqual(found["node3"], "there is no such provider here")

    def test_parameters_are_explained(self) -> None:
        terminal = self.terminal({"node1": [GOOD]}, True)
        self.assertEqual(terminal.run(GNT_STORAGE, "info", "rbd"), 0)
        told = {"parameters": {"pool": "The pool."}, "node groups": {"default": "valid"}}
        self.assertEqual(yaml.safe_load(terminal.out), {"rbd": told})

    def test_an_unknown_one_is_named(self) -> None:
        terminal = self.terminal({"node1": [GOOD]}, True)
        self.assertEqual(terminal.run(GNT_STORAGE, "info", "nosuch"), 1)
        self.assertIn("there is no external storage provider nosuch", terminal.err)
