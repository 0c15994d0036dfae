# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os`` tells what instances can be installed with, and what is wrong with the rest."""

from __future__ import annotations

import json
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_os.actions import modify, names_of, usable
from ganeti.cli.gnt_os.commands import GNT_OS
from ganeti.cli.session import ExitTool
from ganeti.config.state import ClusterState
from ganeti.luxi.methods import Query
from ganeti.rpc.node import OSDefinitionReport
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster
from ganeti.views import oses
from tests.cli.terminal import Terminal, answer, arguments
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


class UsableTests(SynchronousTestCase):
    KINDS = dict.fromkeys(("name", "valid", "hidden", "blacklisted", "variants"), "other")

    def usable(self, *rows: list[Any]) -> list[str]:
        return Terminal({Query: answer(self.KINDS, *rows)}).call(usable)

    def test_a_definition_with_variants_is_installed_by_one_of_them(self) -> None:
        self.assertEqual(
            names_of({"name": "debian", "variants": ["12", "13"]}), ["debian+12", "debian+13"]
        )
        self.assertEqual(names_of({"name": "noop", "variants": []}), ["noop"])
        self.assertEqual(names_of({"name": "noop", "variants": None}), ["noop"])

    def test_only_valid_ones_that_are_neither_hidden_nor_blacklisted_are_offered(self) -> None:
        found = self.usable(
            ["good", True, False, False, []],
            ["broken", False, False, False, []],
            ["hidden", True, True, False, []],
            ["banned", True, False, True, []],
            ["debian", True, False, False, ["12"]],
        )
        self.assertEqual(found, ["good", "debian+12"])

    def test_where_none_can_be_used_the_diagnosis_is_named(self) -> None:
        for rows in ([], [["hidden", True, True, False, []]]):
            with self.assertRaisesRegex(ExitTool, "see gnt-os diagnose$"):
                self.usable(*rows)

    def test_a_list_has_a_title_that_can_be_omitted(self) -> None:
        terminal = Terminal({Query: answer(self.KINDS, ["noop", True, False, False, []])})
        self.assertEqual(terminal.run(GNT_OS, "list"), 0)
        self.assertEqual(terminal.out, "Name\nnoop\n")
        terminal.run(GNT_OS, "list", "--no-headers")
        self.assertEqual(terminal.out, "noop\n")


class ModifyTests(SynchronousTestCase):
    def modify(self, name: str, **values: Any) -> Terminal:
        terminal = Terminal({Query: answer({"name": "text"}, ["debian"])})
        given = arguments("modify", name=name, **values)
        self.assertEqual(terminal.call(lambda session: modify(session, given)), 0)
        return terminal

    def test_lists_get_or_lose_the_definition(self) -> None:
        job: Any = self.modify("debian", hidden=True, blacklisted=False).job()
        self.assertEqual(list(map(tuple, job.hidden_os)), [("add", "debian")])
        self.assertEqual(list(map(tuple, job.blacklisted_os)), [("remove", "debian")])

    def test_a_definition_that_no_node_has_is_noted(self) -> None:
        for name, noted in (("debian", False), ("debian+12", False), ("debain", True)):
            self.assertEqual(bool(self.modify(name, hidden=True).err), noted, name)

    def test_a_change_of_nothing_is_refused(self) -> None:
        nothing: tuple[dict[str, Any], ...] = ({}, {"osparams": {}})
        for values in nothing:
            with self.assertRaisesRegex(ExitTool, "no changes requested"):
                self.modify("debian", **values)


class PlaceTests(SynchronousTestCase):
    def test_a_place_that_does_not_work_has_its_diagnosis_only(self) -> None:
        report = replace(DEBIAN, valid=False, diagnosis="create is missing")
        found = oses.rows(a_moment(a_cluster()), {"node1": [report]})
        terminal = Terminal({Query: lambda it: oses.OSES.response(it.fields, found)})
        self.assertEqual(terminal.run(GNT_OS, "diagnose"), 1)
        [place] = yaml.safe_load(terminal.out)["debian"]["nodes"]["node1"]
        wanted = {"path": "/srv/os/debian", "valid": False, "diagnosis": "create is missing"}
        self.assertEqual(place, wanted)
