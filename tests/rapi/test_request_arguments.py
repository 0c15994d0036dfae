# SPDX-License-Identifier: BSD-2-Clause
"""Parameters and bodies are read strictly, and all problems are told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.request_arguments import (
    MAX_ENTITY_TAGS,
    MAX_PARAMETERS,
    ArgumentType,
    QueryParameter,
    parse_body,
    parse_parameters,
    parse_query,
    parse_tags,
    require_object,
)
from ganeti.schema.documents import MAX_DEPTH

JSON = "application/json"


class QueryTests(SynchronousTestCase):
    def test_names_and_values_are_decoded(self) -> None:
        self.assertEqual(
            parse_query("a=1&b=x%20y&a=2&c="), {"a": ["1", "2"], "b": ["x y"], "c": [""]}
        )
        self.assertEqual(parse_query(""), {})

    def test_what_is_no_utf_8_is_refused(self) -> None:
        with self.assertRaisesRegex(Invalid, "malformed query"):
            parse_query("a=%ff")

    def test_a_query_has_a_limit(self) -> None:
        self.assertEqual(len(parse_query("&".join(f"a{n}=" for n in range(MAX_PARAMETERS)))), 1000)
        with self.assertRaisesRegex(Invalid, "malformed query"):
            parse_query("&".join("a=1" for _ in range(MAX_PARAMETERS + 1)))


class ParameterTests(SynchronousTestCase):
    def parsed(self, kind: ArgumentType, *texts: str, **over: Any) -> Any:
        """The value of a parameter that is given so, or its problem."""
        declared = QueryParameter("p", kind, "", **over)
        values, problems = parse_parameters([declared], {"p": texts} if texts else {})
        return values.get("p", "none") if not problems else problems[0].message

    def test_a_flag_is_zero_or_one(self) -> None:
        found = [self.parsed(ArgumentType.FLAG, text) for text in ("0", "1")]
        self.assertEqual(found, [False, True])
        for text in ("2", "true", "yes", " 1"):
            self.assertEqual(self.parsed(ArgumentType.FLAG, text), "must be 0 or 1")

    def test_a_number_has_ascii_digits_only(self) -> None:
        self.assertEqual(self.parsed(ArgumentType.NUMBER, "007"), 7)
        self.assertEqual(self.parsed(ArgumentType.NUMBER, "9" * 15), 10**15 - 1)
        for text in ("-1", "1.5", "x", "\u0661", "9" * 16, "1 "):
            self.assertEqual(self.parsed(ArgumentType.NUMBER, text), "must be a number")

    def test_words_are_separated_by_commas(self) -> None:
        self.assertEqual(self.parsed(ArgumentType.WORDS, " a, b,,c "), ["a", "b", "c"])
        self.assertEqual(self.parsed(ArgumentType.WORDS, ","), [])

    def test_only_some_may_be_repeated(self) -> None:
        self.assertEqual(self.parsed(ArgumentType.MANY, "a", "b"), ["a", "b"])
        for kind in set(ArgumentType) - {ArgumentType.MANY}:
            self.assertEqual(self.parsed(kind, "1", "1"), "is given more than once")

    def test_an_empty_text_is_not_given(self) -> None:
        for kind in ArgumentType:
            self.assertEqual(self.parsed(kind, ""), "none")
            self.assertEqual(self.parsed(kind, "", required=True), "is required")
            self.assertEqual(self.parsed(kind, "", default=7), 7)

    def test_a_field_may_have_another_name(self) -> None:
        declared = QueryParameter("dry-run", ArgumentType.FLAG, "", "dry_run")
        self.assertEqual(parse_parameters([declared], {"dry-run": ["1"]}), ({"dry_run": True}, []))

    def test_all_problems_are_told(self) -> None:
        declared = [
            QueryParameter("a", ArgumentType.FLAG, ""),
            QueryParameter("b", ArgumentType.TEXT, "", required=True),
        ]
        _, problems = parse_parameters(declared, {"a": ["x"], "c": ["1"], "d": [""]})
        self.assertEqual([each.path for each in problems], ["a", "b", "c", "d"])

    @given(some.dictionaries(some.text(), some.lists(some.text(), min_size=1)))
    def test_no_query_breaks_it(self, query: Mapping[str, Sequence[str]]) -> None:
        declared = [QueryParameter(kind.name, kind, "") for kind in ArgumentType]
        values, _ = parse_parameters(declared, query)
        self.assertLessEqual(values.keys(), {kind.name for kind in ArgumentType})


class BodyTests(SynchronousTestCase):
    def test_a_body_is_json_in_utf_8(self) -> None:
        for kind in (JSON, "APPLICATION/JSON; charset=UTF-8", f'{JSON};charset="utf-8"'):
            self.assertEqual(parse_body(b'{"a": 1}', kind), {"a": 1})
        for kind in ("", "text/plain", "application/jsonx", f"{JSON}; charset=latin-1"):
            error = self.assertRaises(HttpProblem, parse_body, b"{}", kind)
            self.assertEqual(error.status, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    def test_no_body_needs_no_type(self) -> None:
        self.assertIs(parse_body(b"", "text/plain"), None)

    def test_a_body_that_is_no_json_is_refused(self) -> None:
        for content in (b"{", b"NaN", b"\xff", b"{} x"):
            with self.assertRaisesRegex(Invalid, "the body is not valid JSON"):
                parse_body(content, JSON)

    def test_a_body_nests_only_so_deep(self) -> None:
        deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
        self.assertIsInstance(parse_body(deep, JSON), list)
        with self.assertRaisesRegex(Invalid, f"more than {MAX_DEPTH} levels deep"):
            parse_body(b"[" + deep + b"]", JSON)

    def test_an_object_may_be_missing_but_is_nothing_else(self) -> None:
        self.assertEqual(require_object(None), {})
        others: tuple[Any, ...] = ([], "x", 0, False)
        for body in others:
            with self.assertRaisesRegex(Invalid, "must be a JSON object"):
                require_object(body)


class TagTests(SynchronousTestCase):
    def test_tags_are_compared_weakly(self) -> None:
        self.assertEqual(parse_tags([b'"a", W/"b"', b'W/"c"']), ("a", "b", "c"))

    def test_a_star_and_malformed_ones_are_none(self) -> None:
        self.assertEqual(parse_tags([b"*", b"a", b'"a b"']), ())
        self.assertEqual(parse_tags([]), ())

    def test_only_so_many_are_looked_at(self) -> None:
        header = b",".join(b'"%d"' % number for number in range(MAX_ENTITY_TAGS + 5))
        self.assertEqual(len(parse_tags([header])), MAX_ENTITY_TAGS)
