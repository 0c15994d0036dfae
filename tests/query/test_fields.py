# SPDX-License-Identifier: BSD-2-Clause
"""Tables of fields: definitions, cells and sources."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.query.fields import Field, FieldStatus, FieldType, Source, Table

Row = dict[str, object]

FIELDS: list[Field[Row]] = [
    Field("name", "Name", FieldType.TEXT, "What it is called.", lambda row: row["name"]),
    Field(
        "ram",
        "RAM",
        FieldType.UNIT,
        "What it uses.",
        lambda row: row.get("ram", FieldStatus.NODATA),
        Source.NODES,
    ),
]
TABLE = Table(FIELDS)
ROWS: list[Row] = [{"name": "a", "ram": 7}, {"name": "b"}]


class TableTests(SynchronousTestCase):
    def test_an_answer_has_definitions_and_cells(self) -> None:
        self.assertEqual(
            TABLE.response(["ram", "name"], ROWS),
            {
                "fields": [
                    {"name": "ram", "title": "RAM", "kind": "unit", "doc": "What it uses."},
                    {"name": "name", "title": "Name", "kind": "text", "doc": "What it is called."},
                ],
                "data": [[[0, 7], [0, "a"]], [[2, None], [0, "b"]]],
            },
        )

    def test_an_unknown_field_is_there_without_values(self) -> None:
        answer = TABLE.response(["colour"], ROWS[:1])
        [definition] = answer["fields"]
        self.assertEqual((definition["title"], definition["kind"]), ("colour", "unknown"))
        self.assertEqual(answer["data"], [[[1, None]]])

    def test_without_names_all_fields_are_told_by_name(self) -> None:
        for found in (TABLE.definitions(), TABLE.definitions([])):
            self.assertEqual([field["name"] for field in found], ["name", "ram"])

    def test_older_queries_get_bare_values(self) -> None:
        self.assertEqual(TABLE.plain(["name", "ram"], ROWS), [["a", 7], ["b", None]])

    def test_older_queries_refuse_unknown_fields_all_at_once(self) -> None:
        self.assertRaisesRegex(Invalid, "colour.*taste", TABLE.plain, ["colour", "taste"], ROWS)

    def test_only_fields_that_need_the_nodes_need_them(self) -> None:
        self.assertEqual(TABLE.sources(["name", "colour"]), {Source.CONFIG})
        self.assertEqual(TABLE.sources(["name", "ram"]), {Source.CONFIG, Source.NODES})

    def test_two_fields_of_one_name_are_a_mistake(self) -> None:
        self.assertRaises(ValueError, Table, FIELDS + FIELDS)
