# SPDX-License-Identifier: BSD-2-Clause
"""Arguments in shell quoting are split, and what cannot be is refused with its parameter."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.schema.shell import split_shell_words


class SplitTests(SynchronousTestCase):
    def test_quoted_words_stay_together(self) -> None:
        text = """-name 'a b' -x "c d" e\\ f """
        self.assertEqual(split_shell_words(text), ["-name", "a b", "-x", "c d", "e f"])
        self.assertEqual(split_shell_words("  "), [])

    @given(st.lists(st.text()))
    def test_what_was_quoted_comes_back(self, words: list[str]) -> None:
        self.assertEqual(split_shell_words(shlex.join(words)), words)

    def test_an_open_quotation_and_a_last_backslash_are_refused(self) -> None:
        for text, why in (("a 'b", "no closing quotation"), ("a\\\\"[:2], "no escaped character")):
            with self.assertRaises(Invalid) as caught:
                split_shell_words(text, "hvparams.kvm_extra")
            said = f"hvparams.kvm_extra: {text} cannot be split with shell syntax: {why}"
            self.assertEqual(str(caught.exception), said)

    def test_without_a_path_only_the_problem_is_told(self) -> None:
        with self.assertRaisesRegex(Invalid, "^' cannot be split"):
            split_shell_words("'")
