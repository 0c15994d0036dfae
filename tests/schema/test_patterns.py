# SPDX-License-Identifier: BSD-2-Clause
"""Regular expressions of users are searched for in linear time."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.schema.patterns import MAX_LENGTH, Pattern


class PatternTests(SynchronousTestCase):
    def test_a_pattern_is_found_anywhere_in_a_text(self) -> None:
        pattern = Pattern("we+b[0-9]$")
        self.assertEqual([pattern.found(each) for each in ("my-web1", "web10")], [True, False])

    def test_a_search_that_would_backtrack_for_ever_ends(self) -> None:
        for endless in ("(.|.|.|.)*!", "(a|a)*b", "(a*)*b", "(?i)(a?){500}b"):
            self.assertFalse(Pattern(endless).found("a" * 10_000), endless)

    def test_what_is_no_pattern_is_refused(self) -> None:
        for text in ("(", "*", "x" * (MAX_LENGTH + 1), "a{1001}", "\ud800"):
            self.assertRaises(Invalid, Pattern, text)

    def test_a_pattern_that_needs_backtracking_is_refused_with_the_reason(self) -> None:
        for text in (r"(a)\1", "(?=a)b", "(?<!a)b", "(?P<n>a)(?P=n)"):
            with self.assertRaisesRegex(Invalid, "without backreferences and lookaround"):
                Pattern(text)

    def test_a_pattern_that_compiles_to_a_large_program_is_refused(self) -> None:
        self.assertRaisesRegex(Invalid, "too large", Pattern, "." * MAX_LENGTH)
        self.assertLess(Pattern("(?:a?){900}").size, 4000)

    @given(st.text())
    def test_an_escaped_text_finds_itself(self, text: str) -> None:
        try:
            pattern = Pattern("^" + re.escape(text) + "$")
        except Invalid:
            self.assertTrue("\ud800" <= max(text) <= "\udfff" or len(text) > 500)
        else:
            self.assertTrue(pattern.found(text))

    def test_a_text_that_is_no_unicode_can_be_searched(self) -> None:
        self.assertTrue(Pattern("web").found("\ud800web"))
