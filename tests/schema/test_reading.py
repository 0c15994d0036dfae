# SPDX-License-Identifier: BSD-2-Clause
"""A document that is refused is told everything that is wrong with it."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.schema.parameters import parameters
from ganeti.schema.reading import problems, read
from ganeti.schema.records import Record, doc, replace
from ganeti.schema.types import MiB, Name, Parameters, Seconds, Tag


class Colour(enum.StrEnum):
    """For the one below."""

    RED = "red"
    BLUE = "blue"


class Part(Record):
    """Something inside a thing."""

    size: MiB


class Thing(Record, tag_field="OP_ID", tag="OP_THING"):
    """Something to read."""

    name: Annotated[Name, doc("What it is called.")]
    timeout: Annotated[Seconds, doc("How long it takes.", metavar="T")] = 120
    colour: Annotated[Colour | None, doc("How it looks.")] = None
    loud: bool = False
    parts: tuple[Part, ...] = ()
    tag: Tag | None = None
    counts: dict[str, int] = {}
    extra: Parameters = {}
    paint: tuple[dict[Colour, str], ...] | None = None


NAMES = ("name", "timeout", "colour", "parts", "counts", "paint", "else")
documents = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


def wrong(document: Any) -> list[str]:
    return [str(problem) for problem in problems(Thing, document)]


class ReadingTests(SynchronousTestCase):
    def test_a_document_becomes_a_record(self) -> None:
        document = {"OP_ID": "OP_THING", "name": "a", "colour": "red", "parts": [{"size": 1}]}
        thing = Thing(name="a", colour=Colour.RED, parts=(Part(size=1),))
        self.assertEqual(read(Thing, document), thing)

    def test_every_problem_is_told_with_its_path(self) -> None:
        document = {
            "timeout": -1,
            "colour": "green",
            "loud": "x",
            "parts": [{"size": 1}, {"size": "big"}],
            "tag": 7,
            "counts": [],
            "size": 1,
        }
        self.assertEqual(
            wrong(document),
            [
                "name: is required",
                "timeout: must be a whole number >= 0",
                "colour: must be one of red, blue, not 'green'",
                "loud: must be true or false, not text",
                "parts[1].size: must be a whole number, not text",
                "tag: must be text or null, not a whole number",
                "counts: must be an object, not a list",
                "size: unknown parameter",
            ],
        )

    def test_every_problem_inside_lists_and_objects_is_told(self) -> None:
        document = {
            "name": "a",
            "parts": [{"size": "big", "else": 1}, 7],
            "counts": {"a": 1, "b": "x", "c": None},
            "paint": [{"green": 7, "red": 1, "black": "x"}],
        }
        unknown = "unknown parameter; known are red, blue"
        self.assertEqual(
            wrong(document),
            [
                "parts[0].size: must be a whole number, not text",
                "parts[0].else: unknown parameter",
                "parts[1]: must be an object, not a whole number",
                "counts.b: must be a whole number, not text",
                "counts.c: must be a whole number, not null",
                f"paint[0].green: {unknown}",
                f"paint[0].black: {unknown}",
                "paint[0].red: must be text, not a whole number",
            ],
        )

    def test_control_characters_are_told_in_words(self) -> None:
        document = {"name": "a\nb", "extra": {"x": [{"y": "\0"}], "a=b": 1, "z": "\u2028"}}
        self.assertEqual(
            wrong(document),
            [
                "name: must be one line of text without control characters",
                "extra.a=b: must be a name: one line of text without control characters and '='",
                "extra.x[0].y: must be one line of text without control characters",
                "extra.z: must be one line of text without control characters",
            ],
        )

    def test_what_is_no_object_is_told(self) -> None:
        documents: tuple[Any, ...] = ([], "x", None, 7)
        found = [wrong(document)[0] for document in documents]
        called = ("a list", "text", "null", "a number")
        self.assertEqual(found, [f"must be an object, not {each}" for each in called])

    def test_a_record_of_another_name_is_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "^OP_ID: Invalid value 'OP_OTHER'$"):
            read(Thing, {"OP_ID": "OP_OTHER", "name": "a"})

    def test_text_counts_as_what_it_spells_only_where_that_is_said(self) -> None:
        document = {"name": "a", "timeout": "7", "loud": "1"}
        self.assertEqual(read(Thing, document, lax=True), Thing(name="a", timeout=7, loud=True))
        with self.assertRaisesRegex(Invalid, "timeout: must be a whole number, not text; loud: "):
            read(Thing, document)

    @given(documents)
    def test_any_document_is_read_or_refused_with_a_reason(self, document: Any) -> None:
        try:
            read(Thing, document)
        except Invalid as e:
            self.assertTrue(str(e))


class RecordTests(SynchronousTestCase):
    def test_a_record_does_not_change(self) -> None:
        part = Part(size=1)
        with self.assertRaises(AttributeError):
            part.size = 2  # type: ignore[misc]  # that is the point
        self.assertEqual((replace(part, size=2), part), (Part(size=2), Part(size=1)))

    def test_a_record_is_built_by_names(self) -> None:
        with self.assertRaises(TypeError):
            Part(1)  # type: ignore[call-arg]  # that is the point


class ParametersTests(SynchronousTestCase):
    def test_fields_are_described_in_their_order(self) -> None:
        found = parameters(Thing)
        self.assertEqual(
            [(each.name, each.required, each.default, each.doc) for each in found[:4]],
            [
                ("name", True, None, "What it is called."),
                ("timeout", False, 120, "How long it takes."),
                ("colour", False, None, "How it looks."),
                ("loud", False, False, ""),
            ],
        )

    def test_what_else_is_said_of_a_field_is_there(self) -> None:
        self.assertEqual(parameters(Thing)[1].extra, {"metavar": "T"})


class TypesTests(SynchronousTestCase):
    @given(st.text())
    def test_a_tag_has_no_white_space_nor_other_signs(self, text: str) -> None:
        refused = bool(problems(Thing, {"name": "a", "tag": text}))
        fine = 0 < len(text) <= 128 and all(c.isalnum() or c in "_.+*/:@-" for c in text)
        self.assertTrue(refused or fine, repr(text))

    def test_a_line_end_is_no_part_of_a_tag(self) -> None:
        self.assertEqual(
            [bool(wrong({"name": "a", "tag": t})) for t in ("a", "a\n")], [False, True]
        )
