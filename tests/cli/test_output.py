# SPDX-License-Identifier: BSD-2-Clause
"""Tables and descriptions look as the scripts that read them expect."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli import output
from tests.cli.terminal import in_utc


def a_field(name: str, kind: str) -> dict[str, str]:
    return {"name": name, "title": name.capitalize(), "kind": kind, "doc": ""}


ANSWER: dict[str, Any] = {
    "fields": [
        a_field("name", "text"),
        a_field("mem", "unit"),
        a_field("up", "bool"),
        a_field("tags", "other"),
    ],
    "data": [
        [[0, "web1.example.com"], [0, 512], [0, True], [0, ["a", "b"]]],
        [[0, "db1"], [0, 2048], [4, None], [0, []]],
        [[0, "x"], [2, None], [0, False], [3, None]],
    ],
}


class ListingTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)

    def test_columns_are_aligned_and_the_last_is_not_filled_up(self) -> None:
        self.assertEqual(
            list(output.listing(ANSWER)),
            [
                "Name              Mem Up Tags",
                "web1.example.com 512M Y  a,b",
                "db1              2.0G *  ",
                "x                   ? N  -",
            ],
        )

    def test_a_separator_ends_alignment_and_units_for_people(self) -> None:
        lines = output.listing(ANSWER, separator=":", headers=False)
        self.assertEqual(list(lines), ["web1.example.com:512:Y:a,b", "db1:2048:*:", "x:?:N:-"])

    def test_missing_values_can_be_told_in_words(self) -> None:
        lines = list(output.listing(ANSWER, separator=" ", verbose=True, units="g"))
        self.assertEqual(lines[2:], ["db1 2.0 (offline) ", "x (nodata) N (unavail)"])

    def test_a_number_in_the_last_column_is_aligned_too(self) -> None:
        answer = {"fields": ANSWER["fields"][:2], "data": [row[:2] for row in ANSWER["data"]]}
        self.assertEqual(list(output.listing(answer))[-1], "x                   ?")

    def test_nothing_at_all_has_only_titles(self) -> None:
        answer = {"fields": ANSWER["fields"], "data": []}
        self.assertEqual(list(output.listing(answer)), ["Name Mem Up Tags"])
        self.assertEqual(list(output.listing(answer, headers=False)), [])

    def test_unknown_fields_are_found(self) -> None:
        answer = {"fields": [a_field("colour", "unknown")], "data": [[[1, None]]]}
        self.assertEqual(output.unknown(answer), ["colour"])
        self.assertEqual(list(output.listing(answer)), ["Colour", "??"])

    def test_objects_have_null_where_there_is_no_value(self) -> None:
        self.assertEqual(
            output.objects(ANSWER)[1], {"name": "db1", "mem": 2048, "up": None, "tags": []}
        )

    def test_times_are_local(self) -> None:
        self.assertEqual(output.timestamp(0.0), "1970-01-01 00:00:00")
        self.assertEqual(output.moment([1, 5]), "1970-01-01 00:00:01.000005")
        self.assertEqual(output.moment(None), "-")

    def test_sizes_are_told_for_people_or_programs(self) -> None:
        sizes = (1023, 1024, 1536, 1024 * 1024)
        self.assertEqual([output.size(each) for each in sizes], ["1023M", "1.0G", "1.5G", "1.0T"])
        self.assertEqual([output.size(each, "m") for each in sizes[:2]], ["1023", "1024"])
        self.assertEqual(output.size(1536, "t"), "0.0")

    def test_nested_values_are_json(self) -> None:
        self.assertEqual(output.plain([{"a": None}]), '[{"a":null}]')

    @given(st.lists(st.lists(st.text(alphabet="abc "), min_size=3, max_size=3)))
    def test_all_lines_but_their_last_columns_begin_at_the_same_places(
        self, rows: list[list[str]]
    ) -> None:
        lines = list(output.table(("A", "B", "C"), rows))
        at = {len(line) - len(row[-1]) for line, row in zip(lines[1:], rows, strict=True)}
        self.assertLessEqual(len(at), 1)
