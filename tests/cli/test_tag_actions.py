# SPDX-License-Identifier: BSD-2-Clause
"""Tags are listed sorted, changed by jobs, and found by patterns."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.session import ExitTool
from ganeti.cli.tag_actions import change_tags, list_tags, search
from ganeti.luxi.methods import QueryTags
from ganeti.opcodes.tags import AddTags, RemoveTags, SearchTags, TagKind
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, arguments


class TagCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal({QueryTags: ["web", "blue"]})

    def run_action(self, action: Any, **values: Any) -> int:
        code: int = self.terminal.call(lambda session: action(session, arguments(**values)))
        return code

    def job(self) -> Any:
        return replace(self.terminal.job(), reason=())


class ListTests(TagCase):
    def test_they_are_sorted_one_on_a_line(self) -> None:
        self.assertEqual(self.run_action(partial(list_tags, "node"), name="node1"), 0)
        self.assertEqual(self.terminal.asked(), [QueryTags(kind="node", name="node1")])
        self.assertEqual(self.terminal.out, "blue\nweb\n")

    def test_those_of_the_cluster_have_no_name(self) -> None:
        self.run_action(partial(list_tags, "cluster"))
        self.assertEqual(self.terminal.asked(), [QueryTags(kind="cluster", name="")])

    def test_programs_get_a_list(self) -> None:
        self.assertEqual(self.run_action(partial(list_tags, "cluster"), output="json"), 0)
        self.assertEqual(json.loads(self.terminal.out), ["blue", "web"])


class ChangeTests(TagCase):
    def test_tags_are_added_and_removed(self) -> None:
        for adds, opcode in ((True, AddTags), (False, RemoveTags)):
            self.run_action(partial(change_tags, "nodegroup", adds), name="rack1", tags=["a", "b"])
            wanted = opcode(kind=TagKind.NODEGROUP, name="rack1", tags=("a", "b"))
            self.assertEqual(self.job(), wanted)

    def test_lines_of_a_file_come_after_those_of_the_command(self) -> None:
        path = Path(self.mktemp())
        path.write_text("  b \n\n c d\n")
        self.run_action(partial(change_tags, "cluster", True), tags=["a"], source=str(path))
        self.assertEqual(self.job().tags, ("a", "b", "c d"))

    def test_no_tags_at_all_are_refused(self) -> None:
        path = Path(self.mktemp())
        path.write_text(" \n\n")
        nothing: tuple[dict[str, Any], ...] = ({}, {"tags": []}, {"source": str(path)})
        for values in nothing:
            with self.assertRaisesRegex(ExitTool, "no tags given; name tags, or a file"):
                self.run_action(partial(change_tags, "cluster", True), **values)
        self.assertEqual(self.terminal.asked(), [])


class SearchTests(TagCase):
    def test_what_is_found_is_sorted_by_object(self) -> None:
        self.terminal.result = [["/nodes/node1", "web"], ["/cluster", "web"]]
        self.assertEqual(self.run_action(search, pattern="^web"), 0)
        self.assertEqual(self.job(), SearchTags(pattern="^web"))
        self.assertEqual(self.terminal.out, "/cluster web\n/nodes/node1 web\n")

    def test_nothing_found_is_a_failure_that_names_the_pattern(self) -> None:
        self.terminal.result = []
        with self.assertRaisesRegex(ExitTool, "has a tag that matches x.*y$"):
            self.run_action(search, pattern="x.*y")

    def test_programs_get_the_empty_list_as_well(self) -> None:
        self.terminal.result = []
        self.assertRaises(ExitTool, self.run_action, search, pattern="x", output="json")
        self.assertEqual(self.terminal.out, "[]\n")
