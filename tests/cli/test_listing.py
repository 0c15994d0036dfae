# SPDX-License-Identifier: BSD-2-Clause
"""Every kind of object is listed alike, and its fields are explained."""

from __future__ import annotations

import csv
import io
import json

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_group.commands import GNT_GROUP
from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.cli.listing import FILTER, UNITS, WATCH, Listing, lists
from ganeti.cli.listing_output import columns
from ganeti.cli.session import ExitTool
from ganeti.luxi.methods import QueryFields
from ganeti.testing.builders import a_cluster, a_node
from ganeti.views.registry import TABLES
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal
from tests.golden.command_table import tools


def at_a_pair() -> Terminal:
    return Terminal(answers_about(a_cluster(nodes=["node1", a_node("node2", offline=True)])))


class FieldsTests(SynchronousTestCase):
    def test_the_fields_of_every_kind_have_a_type_and_an_explanation(self) -> None:
        asked = set()
        for tool in tools():
            if tool.command("list-fields") is None:
                continue
            terminal = at_a_pair()
            self.assertEqual(terminal.run(tool, "list-fields", "--separator", "|"), 0, tool.name)
            for line in terminal.out.splitlines()[1:]:
                self.assertNotIn("", line.split("|", 3), line)
            [request] = terminal.asked()
            assert isinstance(request, QueryFields)
            asked.add(request.what)
        # Locks are listed by gnt-debug; the others have commands of their own.
        self.assertEqual(set(TABLES) - asked, {"cluster", "extstorage", "image", "lock", "os"})

    def test_some_may_be_asked_for(self) -> None:
        terminal = at_a_pair()
        self.assertEqual(terminal.run(GNT_NODE, "list-fields", "--no-headers", "pip"), 0)
        self.assertRegex(terminal.out, "^pip +Text +PrimaryIP ")

    def test_one_that_there_is_not_has_an_exit_code(self) -> None:
        terminal = at_a_pair()
        self.assertEqual(terminal.run(GNT_NODE, "list-fields", "pip", "colour"), 14)
        self.assertEqual(terminal.err, "Warning: unknown field colour\n")

    def test_programs_get_definitions(self) -> None:
        terminal = at_a_pair()
        self.assertEqual(terminal.run(GNT_GROUP, "list-fields", "-o", "json", "name"), 0)
        [definition] = json.loads(terminal.out)
        self.assertEqual((definition["name"], definition["kind"]), ("name", "text"))


class ListTests(SynchronousTestCase):
    def test_patterns_and_filters_choose(self) -> None:
        for words in (("*2",), ("-F", "offline"), ('name == "node2"',)):
            terminal = at_a_pair()
            code = terminal.run(GNT_NODE, "list", "--no-headers", "-o", "name", *words)
            self.assertEqual((code, terminal.out), (0, "node2\n"), words)

    def test_why_a_value_is_missing_is_said_in_words_if_wanted(self) -> None:
        words = ("list", "--no-headers", "-o", "name,mfree", "node2")
        terminal = at_a_pair()
        self.assertEqual(terminal.run(GNT_NODE, *words), 0)
        self.assertEqual(terminal.out.split(), ["node2", "*"])
        self.assertEqual(terminal.run(GNT_NODE, *words, "--verbose"), 0)
        self.assertEqual(terminal.out.split(), ["node2", "(offline)"])

    def test_programs_get_the_same_values_in_every_format(self) -> None:
        words = ("list", "-o", "name,offline,pip")
        terminal = at_a_pair()
        self.assertEqual(terminal.run(GNT_NODE, *words, "-o", "json"), 0)
        rows = json.loads(terminal.out)
        terminal.run(GNT_NODE, *words, "-o", "yaml")
        self.assertEqual(yaml.safe_load(terminal.out), rows)
        terminal.run(GNT_NODE, *words, "-o", "csv")
        read = list(csv.DictReader(io.StringIO(terminal.out)))
        self.assertEqual(read, [{**row, "offline": json.dumps(row["offline"])} for row in rows])

    def test_the_titles_of_csv_can_be_left_out(self) -> None:
        terminal = at_a_pair()
        terminal.run(GNT_NODE, "list", "-o", "name", "-o", "csv", "--no-headers")
        self.assertEqual(terminal.out, "node1\nnode2\n")

    def test_a_list_that_is_watched_is_a_table_or_json(self) -> None:
        terminal = at_a_pair()
        self.assertEqual(terminal.run(GNT_NODE, "list", "--watch", "-o", "csv"), 1)
        self.assertIn("--watch prints tables and json only, not csv", terminal.err)

    def test_details_are_printed_in_every_format(self) -> None:
        terminal = at_a_pair()
        for form, expected in {
            "json": '"name": "node1"',
            "yaml": "name: node1",
            "csv": "node1",
            "table": "node1",
        }.items():
            self.assertEqual(terminal.run(GNT_NODE, "info", "-o", form, "node1"), 0)
            self.assertIn(expected, terminal.out)

    def test_columns_are_set_added_and_never_none(self) -> None:
        self.assertEqual(columns(["a,b", "+c"], ["x"]), (["a", "b", "c"], "table"))
        self.assertEqual(columns(["+c", "json"], ["x"]), (["x", "c"], "json"))
        self.assertRaises(ExitTool, columns, [","], ["x"])


class DeclarationTests(SynchronousTestCase):
    """What the commands of a kind of object take."""

    def test_a_list_of_named_objects_takes_names_and_filters(self) -> None:
        found, fields = lists(Listing(what="node", columns=("name",)), doc="X.", words="node")
        self.assertEqual(found.usage("gnt-node"), "gnt-node list [options] [NODE…]")
        self.assertIn(FILTER, found.options)
        self.assertEqual(fields.usage("gnt-node"), "gnt-node list-fields [options] [FIELD…]")

    def test_a_list_without_names_takes_neither(self) -> None:
        found, _ = lists(Listing(what="export", columns=("name",)), doc="X.")
        self.assertEqual(found.words, ())
        self.assertNotIn(FILTER, found.options)

    def test_units_and_watching_are_offered_where_they_do_something(self) -> None:
        listed = Listing(what="node", columns=("name",))
        for given in (False, True):
            found, _ = lists(listed, doc="X.", units=given, watch=given)
            self.assertEqual([each in found.options for each in (UNITS, WATCH)], [given, given])
