# SPDX-License-Identifier: BSD-2-Clause
"""Lists have the columns and the selection that were asked for, and name unknown fields."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.listing import Listing
from ganeti.cli.listing_output import columns, show_answer, show_fields, show_list
from ganeti.cli.session import UNKNOWN_FIELD, ExitTool
from ganeti.luxi.methods import Query, QueryFields
from tests.cli.terminal import Terminal, answer, arguments

NODES = Listing(what="node", columns=("name", "pip"))
ROWS = answer({"name": "text", "mem": "unit"}, ["node1", 2048])


class ListTests(SynchronousTestCase):
    def asked(self, listed: Listing = NODES, **values: Any) -> Query:
        terminal = Terminal({Query: ROWS})
        terminal.call(lambda session: show_list(listed, session, arguments("list", **values)))
        [query] = terminal.asked()
        assert isinstance(query, Query)
        return query

    def test_without_anything_all_are_shown_in_the_usual_columns(self) -> None:
        self.assertEqual(self.asked(), Query(what="node", fields=("name", "pip"), qfilter=None))

    def test_names_select_and_columns_are_added(self) -> None:
        query = self.asked(names=["node1", "node2"], output=["+role"])
        wanted = ["|", ["==", "name", "node1"], ["==", "name", "node2"]]
        self.assertEqual((query.fields, query.qfilter), (("name", "pip", "role"), wanted))

    def test_a_filter_is_one_if_it_is_said_so(self) -> None:
        self.assertEqual(self.asked(names=["offline"], filter=True).qfilter, ["?", "offline"])
        named = ["|", ["==", "name", "offline"]]
        self.assertEqual(self.asked(names=["offline"]).qfilter, named)

    def test_options_of_a_kind_narrow_the_selection_and_add_columns(self) -> None:
        narrow = ["==", "role", "M"]
        listed = Listing(
            what="node", columns=("name",), chosen=lambda _: (narrow, ("name", "role"))
        )
        query = self.asked(listed)
        self.assertEqual((query.fields, query.qfilter), (("name", "role"), narrow))
        both = ["&", ["|", ["==", "name", "node1"]], narrow]
        self.assertEqual(self.asked(listed, names=["node1"]).qfilter, both)

    def test_a_kind_may_be_named_by_another_field(self) -> None:
        listed = Listing(what="job", columns=("id",), key="id", numbers=True)
        self.assertEqual(self.asked(listed, names=["7"]).qfilter, ["|", ["==", "id", 7]])

    def test_a_list_that_is_watched_is_a_table_or_json(self) -> None:
        for form in ("csv", "yaml"):
            with self.assertRaisesRegex(
                ExitTool, f"--watch prints tables and json only, not {form}"
            ):
                self.asked(watch=True, output=[form])


class ColumnTests(SynchronousTestCase):
    def test_the_last_columns_count_and_those_with_a_plus_are_added(self) -> None:
        for given, fields in (
            ([], ["x"]),
            (["a"], ["a"]),
            (["a", "b,c"], ["b", "c"]),
            (["+a", "+b"], ["x", "a", "b"]),
            (["+a", "b"], ["b"]),
            (["a,,b,"], ["a", "b"]),
        ):
            self.assertEqual(columns(given, ["x"]), (fields, "table"))

    def test_a_format_may_stand_anywhere(self) -> None:
        self.assertEqual(columns(["json", "a"], ["x"]), (["a"], "json"))
        self.assertEqual(columns(["a", "json", "csv"], ["x"]), (["a"], "csv"))

    def test_no_column_at_all_is_refused(self) -> None:
        for given in ([""], [","], ["a", ""]):
            with self.assertRaisesRegex(ExitTool, "give at least one field"):
                columns(given, ["x"])


class AnswerTests(SynchronousTestCase):
    def shown(self, made: Any, form: str = "table", **values: Any) -> Terminal:
        terminal = Terminal()
        given = arguments("list", **values)
        self.code = terminal.call(lambda it: show_answer(it, given, made(None), form))
        return terminal

    def test_people_and_programs_get_the_same_values(self) -> None:
        self.assertEqual(self.shown(ROWS).out, "Name   Mem\nnode1 2.0G\n")
        found = json.loads(self.shown(ROWS, "json").out)
        self.assertEqual(found, [{"name": "node1", "mem": 2048}])
        self.assertEqual(self.code, 0)

    def test_a_table_is_as_the_options_say(self) -> None:
        found = self.shown(ROWS, no_headers=True, separator="|", units="g").out
        self.assertEqual(found, "node1|2.0\n")

    def test_every_unknown_field_is_named_after_the_list(self) -> None:
        unknown = answer({"name": "text", "a": "unknown", "b": "unknown"}, ["node1", None, None])
        for form in ("table", "json"):
            terminal = self.shown(unknown, form)
            self.assertEqual(self.code, UNKNOWN_FIELD)
            self.assertIn("node1", terminal.out)
            self.assertEqual(terminal.err, "Warning: unknown field a, b; see list-fields\n")


class FieldTests(SynchronousTestCase):
    FIELDS = {
        "fields": [{"name": "mfree", "kind": "unit", "title": "MFree", "doc": "Free memory."}]
    }

    def shown(self, **values: Any) -> Terminal:
        terminal = Terminal({QueryFields: self.FIELDS})
        given = arguments("list-fields", **values)
        self.code = terminal.call(lambda it: show_fields(NODES, it, given))
        return terminal

    def test_they_are_explained(self) -> None:
        terminal = self.shown(separator="|")
        told = "Name|Type|Title|Description\nmfree|Storage size|MFree|Free memory.\n"
        self.assertEqual((self.code, terminal.out), (0, told))
        self.assertEqual(terminal.asked(), [QueryFields(what="node", fields=None)])

    def test_some_may_be_asked_for(self) -> None:
        terminal = self.shown(names=["mfree"], no_headers=True, separator="|")
        self.assertEqual(terminal.out.count("\n"), 1)
        self.assertEqual(terminal.asked(), [QueryFields(what="node", fields=("mfree",))])

    def test_programs_get_their_definitions(self) -> None:
        self.assertEqual(json.loads(self.shown(output="json").out), self.FIELDS["fields"])
