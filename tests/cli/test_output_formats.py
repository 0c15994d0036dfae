# SPDX-License-Identifier: BSD-2-Clause
"""Values are printed as JSON, YAML, CSV or a table."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.output_formats import csv_lines, format_values

ROWS = [
    {"name": "web1", "os": {"type": "noop", "args": None}, "tags": ["a", "b"], "up": True},
    {"name": "db, main", "os": {"type": "mini"}, "memory": 128},
]


def lines(values: object, form: str, *, headers: bool = True) -> list[str]:
    return list(format_values(values, form, headers=headers))


class FormatTests(SynchronousTestCase):
    def test_json_and_yaml_keep_the_structure(self) -> None:
        [text] = lines(ROWS, "json")
        self.assertEqual(json.loads(text), ROWS)
        self.assertEqual(lines({"a": {"b": 1}}, "yaml"), ["a:", "  b: 1"])

    def test_a_row_of_csv_has_the_fields_of_nested_objects(self) -> None:
        self.assertEqual(
            lines(ROWS, "csv"),
            [
                "name,os.type,os.args,tags,up,memory",
                'web1,noop,,"[""a"",""b""]",true,',
                '"db, main",mini,,,,128',
            ],
        )

    def test_a_single_object_has_a_row_for_each_field(self) -> None:
        self.assertEqual(lines({"a": 1, "b": {"c": "d"}}, "csv"), ["name,value", "a,1", "b.c,d"])
        self.assertEqual(lines({"a": 1}, "table"), ["name value", "a    1"])

    def test_a_list_of_texts_is_a_column(self) -> None:
        self.assertEqual(lines(["a", "b"], "csv"), ["value", "a", "b"])
        self.assertEqual(lines(["a", "b"], "csv", headers=False), ["a", "b"])

    def test_an_empty_list_has_the_headers_of_its_fields_if_they_are_known(self) -> None:
        fields = ["name", "os.type"]
        self.assertEqual(list(format_values([], "csv", fields=fields)), ["name,os.type"])
        self.assertEqual(list(format_values([], "csv", fields=fields, headers=False)), [])
        self.assertEqual(lines([], "csv"), [])

    def test_nothing_is_no_line_of_a_table(self) -> None:
        for form, expected in {"json": ["[]"], "table": [], "csv": [], "yaml": []}.items():
            self.assertEqual(lines([], form), expected, form)

    @given(some.lists(some.lists(some.text(alphabet='a,"\n\r ;'), min_size=2, max_size=2)))
    def test_every_text_survives_csv(self, rows: list[list[str]]) -> None:
        text = "\n".join(csv_lines(rows))
        self.assertEqual(list(csv.reader(io.StringIO(text, newline=""))), rows)
