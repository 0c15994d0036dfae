# SPDX-License-Identifier: BSD-2-Clause
"""Filters as text, and what arguments of a list command mean."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.query.filter_parser import parse_filter, translate_glob
from ganeti.query.filters import BadFilter
from ganeti.query.list_arguments import build_filter

RIGHT: list[tuple[str, list[Any]]] = [
    ("oper_state", ["?", "oper_state"]),
    ('pnode == "node1"', ["==", "pnode", "node1"]),
    ("pnode = 'a\\'b'", ["=", "pnode", "a'b"]),
    ("be/memory>=-5", [">=", "be/memory", -5]),
    ("disk.size/0 < +10", ["<", "disk.size/0", 10]),
    ('"x" in tags', ["=[]", "tags", "x"]),
    ("5 not in tags", ["!", ["=[]", "tags", 5]]),
    ("name =~ m/^web/i", ["=~", "name", "(?i)^web"]),
    ("name =~ #a/b#si", ["=~", "name", "(?is)a/b"]),
    (r"name !~ /a\/b\d/", ["!", ["=~", "name", r"a/b\d"]]),
    ('name =* "web*"', ["=~", "name", r"^web.*(\..*)?$"]),
    ('name !* "w?b.x"', ["!", ["=~", "name", r"^w.b\.x(\..*)?$"]]),
    ("a and b and c", ["&", ["?", "a"], ["?", "b"], ["?", "c"]]),
    ("a or b and not c", ["|", ["?", "a"], ["&", ["?", "b"], ["!", ["?", "c"]]]]),
    ("not (a or b)\n and c", ["&", ["!", ["|", ["?", "a"], ["?", "b"]]], ["?", "c"]]),
    ("android", ["?", "android"]),
]
WRONG = [
    "", "(", "(a", "a)", "a and", "or a", "a b", "a ==", "a == b", "5", "5 in", "5 not a",
    "a =~ x", "a =~ /x", "a =* 5", "a == 1.5", "a == 99999999999999999999", 'a == "x', "not",
]  # fmt: skip


class TextTests(SynchronousTestCase):
    def test_texts_become_filters(self) -> None:
        for text, expected in RIGHT:
            self.assertEqual(parse_filter(text), expected, text)

    def test_a_wrong_text_is_told_with_its_place(self) -> None:
        for text in WRONG:
            self.assertRaisesRegex(BadFilter, "at column .*: expected", parse_filter, text)

    def test_nesting_has_an_end(self) -> None:
        for text in ("(" * 100_000, "not " * 100_000 + "a"):
            self.assertRaisesRegex(BadFilter, "32 levels deep", parse_filter, text)

    @given(
        st.lists(
            st.sampled_from(
                ["a", "not", "and", "or", "in", "(", ")", "==", "=~", "/", "'", '"', "5"]
            )
            | st.text(max_size=3),
            max_size=20,
        )
    )
    def test_any_text_is_a_filter_or_told_to_be_none(self, words: list[str]) -> None:
        try:
            found = parse_filter(" ".join(words))
        except BadFilter as e:
            self.assertTrue(str(e))
        else:
            self.assertIsInstance(found, list)

    def test_a_glob_needs_no_domain(self) -> None:
        pattern = re.compile(translate_glob("web?"))
        names = ["web1", "web1.example.com", "web", "web12", "xweb1"]
        self.assertEqual([n for n in names if pattern.search(n)], ["web1", "web1.example.com"])


class ArgumentTests(SynchronousTestCase):
    def test_names_are_looked_up(self) -> None:
        self.assertEqual(
            build_filter(["web1", "web2"]), ["|", ["==", "name", "web1"], ["==", "name", "web2"]]
        )
        self.assertIsNone(build_filter([]))

    def test_a_pattern_among_names_is_searched(self) -> None:
        self.assertEqual(
            build_filter(["web*", "db1"]),
            ["|", ["=~", "name", translate_glob("web*")], ["==", "name", "db1"]],
        )

    def test_one_argument_that_cannot_be_a_name_is_a_filter(self) -> None:
        self.assertEqual(build_filter(["not up"]), ["!", ["?", "up"]])
        self.assertEqual(build_filter(["up"], forced=True), ["?", "up"])

    def test_several_filters_are_refused(self) -> None:
        self.assertRaises(BadFilter, build_filter, ["up", "up"], forced=True)

    def test_job_ids_are_numbers(self) -> None:
        self.assertEqual(build_filter(["7"], key="id", numbers=True), ["|", ["==", "id", 7]])
        self.assertRaises(BadFilter, build_filter, ["x"], key="id", numbers=True)
