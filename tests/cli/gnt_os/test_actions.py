# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os`` tells what instances can be installed with, and what is wrong with the rest."""

from __future__ import annotations

import json
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_os.commands import GNT_OS
from ganeti.config.state import ClusterState
from ganeti.luxi.methods import Query
from ganeti.rpc.node import OSDefinitionReport
from ganeti.testing.builders import a_cluster
from ganeti.views import oses
from tests.cli.terminal import Terminal
from tests.views.moments import a_moment

DEBIAN = OSDefinitionReport(
    name="debian",
    path="/srv/os/debian",
    valid=True,
    diagnosis="",
    variants=("bookworm",),
    parameters=(("size", "How large it is."),),
    api_versions=(20,),
    trusted=True,
)


class DefinitionTests(SynchronousTestCase):
    def terminal(self, *reports: OSDefinitionReport, **settings: Any) -> Terminal:
        """A cluster whose two nodes report this, but that the second has nothing."""
        state: ClusterState = a_cluster(nodes=["node1", "node2"], **settings)

        def rows(request: Query) -> Any:
            found = oses.rows(a_moment(state), {"node1": reports, "node2": ()})
            return oses.OSES.response(request.fields, found)

        return Terminal({Query: rows})

    def test_what_one_node_lacks_is_no_choice(self) -> None:
        terminal = self.terminal(DEBIAN)
        self.assertEqual(terminal.run(GNT_OS, "list"), 1)
        self.assertIn("no OS definition is valid on all nodes", terminal.err)

    def test_a_diagnosis_says_which_node_lacks_it(self) -> None:
        terminal = self.terminal(DEBIAN, hidden_os=("debian",))
        self.assertEqual(terminal.run(GNT_OS, "diagnose"), 1)
        [(name, told)] = yaml.safe_load(terminal.out).items()
        self.assertEqual((name, told["status"]), ("debian", "invalid, hidden"))
        self.assertEqual(told["nodes"]["node2"], "this node has no such OS definition")
        place = {"path": "/srv/os/debian", "valid": True}
        versions = {"API versions": [20], "variants": ["bookworm"]}
        self.assertEqual(told["nodes"]["node1"], [{**place, **versions}])

    def test_everything_about_one_is_told(self) -> None:
        settings = {"osparams": {"debian": {"size": "small"}}, "blacklisted_os": ("debian",)}
        terminal = self.terminal(DEBIAN, **settings)
        self.assertEqual(terminal.run(GNT_OS, "info", "debian"), 0, terminal.err)
        told = yaml.safe_load(terminal.out)["debian"]
        self.assertEqual((told["blacklisted"], told["hidden"]), (True, False))
        self.assertEqual(told["OS parameters"], {"size": "small"})

    def test_one_that_there_is_not_is_named_after_the_others(self) -> None:
        terminal = self.terminal(DEBIAN)
        self.assertEqual(terminal.run(GNT_OS, "info", "debian", "vms"), 1)
        self.assertEqual(list(yaml.safe_load(terminal.out)), ["debian"])
        self.assertEqual(terminal.err, "Error: unknown OS definition vms; see gnt-os list\n")

    def test_programs_get_names(self) -> None:
        usual = {"valid": True, "hidden": False, "blacklisted": False, "variants": ["12"]}
        fields = ("name", *usual)
        kinds = [{"name": name, "title": name, "kind": "other", "doc": ""} for name in fields]
        row = [[0, value] for value in ("debian", *usual.values())]
        terminal = Terminal({Query: {"fields": kinds, "data": [row]}})
        self.assertEqual(terminal.run(GNT_OS, "list", "-o", "json"), 0)
        self.assertEqual(json.loads(terminal.out), [{"name": "debian+12"}])
