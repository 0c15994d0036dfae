# SPDX-License-Identifier: BSD-2-Clause
"""Filters on rows: every operator, every mistake, and the shortcut for names."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, from_wire, to_wire
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Table
from ganeti.query.filters import MAX_CONDITIONS, MAX_PARTS, BadFilter, compile_filter

Row = dict[str, Any]


def a_field(name: str, kind: FieldType, compare: Compare = Compare.PLAIN) -> Field[Row]:
    return Field(
        name,
        name,
        kind,
        "For tests.",
        lambda row: row.get(name, FieldStatus.NODATA),
        compare=compare,
    )


TABLE = Table(
    [
        a_field("name", FieldType.TEXT, Compare.HOSTNAME),
        a_field("uuid", FieldType.TEXT),
        a_field("ram", FieldType.UNIT),
        a_field("up", FieldType.BOOL),
        a_field("tags", FieldType.OTHER),
        a_field("ended", FieldType.OTHER, Compare.SPLIT_TIMESTAMP),
        a_field("id", FieldType.NUMBER, Compare.JOB_ID),
    ]
)
ROW: Row = {
    "name": "Web1.example.com",
    "uuid": "aa-bb",
    "ram": 512,
    "up": True,
    "tags": ["red", "big"],
    "ended": [100, 500000],
    "id": 7,
}

TRUE: list[Any] = [
    None,
    ["==", "name", "web1"],
    ["=", "name", "WEB1.EXAMPLE.COM"],
    ["!=", "name", "web"],
    ["==", "ram", 512],
    ["<", "ram", 513],
    ["<=", "ram", 512],
    [">", "ram", 511],
    [">=", "ram", 512],
    ["?", "up"],
    ["!", ["!", ["?", "up"]]],
    ["=~", "name", "(?i)^web"],
    ["=[]", "tags", "red"],
    [">", "ended", 100],
    ["<", "ended", 101],
    ["==", "id", "7"],
    ["<", "id", "10"],
    ["&"],
    ["&", ["==", "ram", 512], ["?", "up"]],
    ["|", ["==", "ram", 1], ["?", "up"]],
    ["|", ["==", "name", "db1"], ["=", "name", "web1.EXAMPLE"], ["==", "ram", 1]],
    ["|", ["==", "ram", 1], ["==", "ram", 512]],
    ["|", ["==", "ended", 1], ["==", "id", "7"]],
]
FALSE: list[Any] = [
    ["==", "name", "we"],
    ["==", "uuid", "aa"],
    ["==", "ram", 511],
    ["<", "ram", 512],
    ["!", ["?", "up"]],
    ["=~", "name", "^web"],
    ["=[]", "tags", "re"],
    [">", "ended", 101],
    ["==", "tags", "red"],
    [">", "tags", 5],
    ["|"],
    ["&", ["?", "up"], ["==", "ram", 1]],
    ["|", ["==", "name", "we"], ["==", "name", "example.com"]],
    ["|", ["==", "tags", "red"], ["==", "tags", "big"]],
]
WRONG: list[tuple[Any, str]] = [
    (["==", "colour", "red"], "no field colour"),
    (["~~", "name", "x"], "no operator ~~"),
    (["==", "name"], "must be used as"),
    (["!", ["?", "up"], ["?", "up"]], "must be used as"),
    (["?", "name"], "compare it with something"),
    (["==", "up", 1], r'use \["\?", "up"\]'),
    (["==", "ram", "much"], "ram is a number; much is not"),
    (["==", "name", 5], "name is text; 5 is not"),
    (["==", "ram", True], "text or a whole number"),
    (["==", "ram", 1.5], "text or a whole number"),
    (["=~", "name", "("], "not a regular expression"),
    (["=~", "name", "(?=web)"], "without backreferences and lookaround"),
    (["|", ["==", "ram", "a"], ["==", "ram", "b"]], "a is not; ram is a number; b is not"),
    (["==", "id", "9" * 5000], "18 digits"),
    (["=~", "name", "x" * 2000], "1024 characters"),
    (["=~", "ram", "5"], "cannot be searched"),
    (["=[]", "name", "x"], "not a list"),
    (["==", ["name"], "x"], "must be used as"),
    ([], "begins with an operator"),
    ("name", "begins with an operator"),
    ([["=="]], "begins with an operator"),
]


def matches(written: Any, row: Row) -> bool:
    return compile_filter(TABLE, written).matches(row)


def nested(depth: int) -> list[Any]:
    written: list[Any] = ["?", "up"]
    for _ in range(depth):
        written = ["!", written]
    return written


class FilterTests(SynchronousTestCase):
    def test_what_matches(self) -> None:
        for written in TRUE:
            self.assertTrue(matches(written, ROW), written)

    def test_what_does_not_match(self) -> None:
        for written in FALSE:
            self.assertFalse(matches(written, ROW), written)

    def test_what_is_wrong_is_told(self) -> None:
        for written, message in WRONG:
            self.assertRaisesRegex(BadFilter, message, compile_filter, TABLE, written)

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        written = ["&", ["==", "colour", "red"], ["|", ["?", "up"], ["~~", "name", "x"]]]
        error = self.assertRaises(BadFilter, compile_filter, TABLE, written)
        self.assertEqual(
            [each.message.split(";")[0] for each in error.problems],
            ["there is no field colour to filter by", "there is no operator ~~"],
        )

    def test_a_comparison_without_data_holds(self) -> None:
        self.assertTrue(matches(["==", "ram", 5], {}))
        self.assertTrue(matches(["?", "up"], {}))
        self.assertFalse(matches(["!=", "ram", 5], {}))

    def test_nesting_has_an_end(self) -> None:
        compile_filter(TABLE, nested(63))
        for depth in (64, 100_000):
            self.assertRaisesRegex(BadFilter, "64 deep", compile_filter, TABLE, nested(depth))

    def test_a_bad_filter_is_a_parameter_error_on_the_wire(self) -> None:
        error = self.assertRaises(BadFilter, compile_filter, TABLE, 5)
        self.assertEqual(to_wire(error)[0], "ParameterError")
        self.assertEqual(len(error.arguments()), 1)
        read = from_wire(to_wire(error))
        self.assertEqual((type(read), str(read)), (Invalid, str(error)))

    def test_whoever_sent_a_bad_filter_is_told_that_it_was_bad(self) -> None:
        error = self.assertRaises(BadFilter, compile_filter, TABLE, ["nosuch", "name", "x"])
        told = from_wire(to_wire(error))
        self.assertIsInstance(told, Invalid)
        self.assertEqual(str(told), str(error))

    @given(
        st.recursive(
            st.none()
            | st.integers()
            | st.text()
            | st.sampled_from(["==", "|", "!", "name", "ram"]),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=12,
        )
    )
    def test_garbage_is_refused_and_nothing_worse(self, written: Any) -> None:
        try:
            compile_filter(TABLE, written).matches(ROW)
        except BadFilter as e:
            self.assertTrue(str(e))


class SizeTests(SynchronousTestCase):
    def test_a_long_list_of_names_is_one_condition(self) -> None:
        names = ["|", *(["==", "name", f"db{number}"] for number in range(10_000))]
        chosen = compile_filter(TABLE, [*names, ["==", "name", "web1"]])
        self.assertEqual(chosen.conditions, 1)
        self.assertTrue(chosen.matches(ROW))
        self.assertFalse(compile_filter(TABLE, names).matches(ROW))

    def test_a_filter_of_too_much_is_refused(self) -> None:
        for part, count, why in (
            (["==", "name", "web1"], MAX_PARTS, "parts"),
            ([">", "ram", 5], MAX_CONDITIONS + 1, "conditions"),
            (["=~", "name", "(?:ab?){900}"], 20, "expressions of this filter are too long"),
        ):
            written = ["|", *([part] * count)]
            error = self.assertRaises(BadFilter, compile_filter, TABLE, written)
            self.assertIn(why, str(error))
            self.assertLess(len(error.problems), 101)


class NamesTests(SynchronousTestCase):
    def test_a_filter_for_names_says_which(self) -> None:
        names = ("web1", "web2", "web1")
        found = compile_filter(TABLE, ["|", *(["==", "name", each] for each in names)])
        self.assertEqual(found.names, ("web1", "web2"))
        self.assertEqual(compile_filter(TABLE, ["=", "uuid", "aa"]).names, ("aa",))

    def test_any_other_filter_says_that_all_may_match(self) -> None:
        for written in (
            None,
            ["|", ["==", "name", "web1"], ["?", "up"]],
            ["&", ["==", "name", "web1"]],
            ["!", ["==", "name", "web1"]],
        ):
            self.assertIsNone(compile_filter(TABLE, written).names)

    def test_a_filter_tells_the_fields_it_looks_at(self) -> None:
        written = ["&", ["?", "up"], ["!", ["==", "ram", 5]]]
        self.assertEqual(compile_filter(TABLE, written).fields, {"up", "ram"})
