# SPDX-License-Identifier: BSD-2-Clause
"""Details are YAML for people and formats for programs, and what is missing is named."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.session import ExitTool
from ganeti.cli.value_output import require_found, show_formatted, show_values
from tests.cli.terminal import Terminal, arguments

FACTS = [{"name": "web1", "memory": 128}]
TOLD = {"Instance name": "web1", "memory": 128}


class ShowTests(SynchronousTestCase):
    def shown(self, **values: Any) -> str:
        terminal = Terminal()
        code = terminal.call(lambda it: show_values(it, arguments(**values), FACTS, TOLD))
        self.assertEqual(code, 0)
        return terminal.out

    def test_people_get_their_own_text(self) -> None:
        self.assertEqual(self.shown(), "Instance name: web1\nmemory: 128\n")

    def test_programs_get_the_facts(self) -> None:
        self.assertEqual(self.shown(output="csv"), "name,memory\nweb1,128\n")
        self.assertEqual(self.shown(output="csv", no_headers=True), "web1,128\n")

    def test_roman_numerals_are_for_people_only(self) -> None:
        self.assertEqual(self.shown(roman=True), "Instance name: web1\nmemory: CXXVIII\n")
        self.assertIn("128", self.shown(roman=True, output="json"))

    def test_without_a_format_nothing_is_printed(self) -> None:
        terminal = Terminal()
        shown = terminal.call(lambda it: show_formatted(it, arguments(), FACTS))
        self.assertEqual((shown, terminal.out), (False, ""))
        shown = terminal.call(lambda it: show_formatted(it, arguments(output="json"), []))
        self.assertEqual((shown, terminal.out), (True, "[]\n"))


class FoundTests(SynchronousTestCase):
    def test_all_that_are_missing_are_named(self) -> None:
        with self.assertRaisesRegex(ExitTool, "^unknown node n2, n3; see gnt-node list$"):
            require_found(["n1", "n2", "n3"], [{"name": "n1"}], "node", "gnt-node")

    def test_none_is_missing_where_all_are_found_or_none_is_named(self) -> None:
        require_found(["n1"], [{"name": "n1"}, {"name": "n2"}], "node", "gnt-node")
        require_found([], [], "node", "gnt-node")

    def test_a_pattern_and_a_filter_may_match_nothing(self) -> None:
        require_found(["n*", 'name == "n2"'], [], "node", "gnt-node")
