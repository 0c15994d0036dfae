# SPDX-License-Identifier: BSD-2-Clause
"""A line that is being typed has the words that the shell would see; what is added is literal."""

from __future__ import annotations

import shlex

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.completion.shell_words import ShellWord, escape, split_line

BREAKS = " \t\n\"'><=;|&(:"


def texts(line: str) -> list[str]:
    return [word.text for word in split_line(line)]


def last(line: str) -> ShellWord:
    return split_line(line)[-1]


class SplitTests(SynchronousTestCase):
    def test_a_space_begins_another_word(self) -> None:
        self.assertEqual(texts("gnt-job list"), ["gnt-job", "list"])
        self.assertEqual(texts("gnt-job  list "), ["gnt-job", "list", ""])

    def test_quotes_and_escapes_are_resolved(self) -> None:
        for line in ("a 'b c' d", 'a "b \\" \\x $c" d', "a b\\ c\\'d", "a b'c'\"d\"e"):
            self.assertEqual(texts(line), shlex.split(line))

    def test_a_quote_may_still_be_open(self) -> None:
        self.assertEqual(last("a 'b c"), ShellWord("b c", "'", 0))
        self.assertEqual(last('a b="c d').quote, '"')
        self.assertEqual(last('a b="c d').opened, 2)

    def test_assignments_before_the_command_are_left_out(self) -> None:
        self.assertEqual(texts("A=1 B_2='x y' gnt-job a=1"), ["gnt-job", "a=1"])

    def test_a_lone_escape_at_the_end_is_ignored(self) -> None:
        self.assertEqual(texts("a b\\"), ["a", "b"])

    def test_an_empty_line_has_one_empty_word(self) -> None:
        self.assertEqual(split_line(""), [ShellWord()])


class BreakTests(SynchronousTestCase):
    def test_bash_replaces_what_follows_the_last_break(self) -> None:
        self.assertEqual(last("a --node=nod").behind_break(BREAKS), len("--node="))
        self.assertEqual(last("a kvm:acpi=tr").behind_break(BREAKS), len("kvm:acpi="))
        self.assertEqual(last("a plain").behind_break(BREAKS), 0)

    def test_quoted_characters_are_no_breaks(self) -> None:
        self.assertEqual(last("a b\\=c").behind_break(BREAKS), 0)

    def test_what_precedes_an_open_quote_is_kept(self) -> None:
        self.assertEqual(last("a --x='b=c").behind_break(BREAKS), len("--x="))


class EscapeTests(SynchronousTestCase):
    def test_the_shell_takes_it_literally(self) -> None:
        for text in (
            "web1",
            "a b",
            "$(reboot)",
            "`id`;&|<>",
            "it's",
            'a"b',
            "~x",
            "a*?[^]{}",
            "é#",
        ):
            self.assertEqual(shlex.split(escape(text)), [text])
            self.assertEqual(shlex.split("'" + escape(text, "'") + "'"), [text])
            self.assertEqual(texts('"' + escape(text, '"') + '"'), [text])

    def test_nothing_is_expanded_within_double_quotes(self) -> None:
        self.assertEqual(escape('$(id)`"\\', '"'), '\\$(id)\\`\\"\\\\')

    def test_control_characters_are_refused(self) -> None:
        self.assertRaises(ValueError, escape, "a\nb")

    def test_what_double_quotes_do_not_protect_is_refused(self) -> None:
        self.assertRaises(ValueError, escape, "a!b", '"')
        self.assertEqual(escape("a!b"), "a\\!b")
