# SPDX-License-Identifier: BSD-2-Clause
"""The tools have the commands, options, columns and words that administrators know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Command, Tool
from ganeti.cli.command_options import all_options, described
from ganeti.cli.help import format_command_help, format_tool_help
from ganeti.cli.options import Option
from tests.golden.cli_differences import MISSING_COMMANDS, MISSING_OPTIONS, NO_EFFECT, REFUSED
from tests.golden.command_table import KNOWN, State, page, rows, tools

PAGE = Path(__file__).parents[2] / "doc" / "commands.md"

AS_KNOWN = {"string", "value", "int", "float"}
"""Types for which ours may be narrower: a name where any text was taken."""


def commands() -> Iterator[tuple[Tool, Command]]:
    for tool in tools():
        for command in tool.commands:
            yield tool, command


class KnownTests(SynchronousTestCase):
    maxDiff = None

    def test_every_known_command_is_there_under_all_its_names(self) -> None:
        missing = []
        for tool in tools():
            for name, known in KNOWN.get(tool.name, {}).items():
                command = tool.command(name)
                if command is None:
                    missing.append(f"{tool.name} {name}")
                else:
                    for alias in known.get("aliases", ()):
                        self.assertIs(tool.command(alias), command)
        self.assertEqual(missing, sorted(MISSING_COMMANDS))

    def test_every_known_option_is_there_and_takes_what_it_took(self) -> None:
        wrong = []
        for tool, command in commands():
            known = KNOWN.get(tool.name, {}).get(command.name, {"options": ()})
            ours = {flag: each for each in all_options(command) for flag in each.flags}
            for flags, shape, kind in known["options"]:
                for flag in flags.split():
                    name = f"{tool.name} {command.name} {flag}"
                    problem = compared(ours.get(flag), shape, kind)
                    if problem and name not in MISSING_OPTIONS:
                        wrong.append(f"{name}: {problem}")
        self.assertEqual(wrong, [])

    def test_lists_have_the_known_columns(self) -> None:
        for tool, command in commands():
            known = KNOWN.get(tool.name, {}).get(command.name, {})
            if command.name == "list" and "columns" in known and isinstance(command.run, partial):
                (listed,) = command.run.args
                self.assertEqual(list(listed.columns), known["columns"], tool.name)
                self.assertEqual(command.own_defaults, "environment" in known, tool.name)

    def test_as_many_words_are_taken_as_before(self) -> None:
        wrong = []
        for tool, command in commands():
            known = KNOWN.get(tool.name, {}).get(command.name)
            words = [[each.least, each.most] for each in command.words]
            if known is not None and totals(words) != totals(known["words"]):
                wrong.append(f"{tool.name} {command.name}: {words}, not {known['words']}")
        self.assertEqual(wrong, [])


class TableTests(SynchronousTestCase):
    """doc/commands.md, the table of all commands and options."""

    def test_the_page_is_made_of_the_declarations(self) -> None:
        """If not: python -m tests.golden.command_table > doc/commands.md"""
        self.assertEqual(PAGE.read_text(encoding="utf-8"), page())

    def test_whatever_does_not_work_has_a_reason(self) -> None:
        for tool in tools():
            for command in rows(tool):
                for row in (command, *command.options):
                    unexplained = row.state is not State.WORKS and not row.why
                    self.assertFalse(unexplained, f"{tool.name} {command.name} {row.name}")

    def test_every_reason_is_about_something_that_ganeti_has(self) -> None:
        known = {
            f"{tool} {name}{flag and ' '}{flag}"
            for tool, found in KNOWN.items()
            for name, command in found.items()
            for flag in ("", *(flag for each in command["options"] for flag in each[0].split()))
        }
        for reasons in (MISSING_COMMANDS, MISSING_OPTIONS, NO_EFFECT, REFUSED):
            given = {key.partition(" N:")[0] for key in reasons}
            self.assertEqual(given - known, set())

    def test_options_whose_help_says_that_they_do_nothing_are_listed_as_such(self) -> None:
        idle_states = {State.NO_EFFECT, State.DIFFERS}
        for tool in tools():
            for row in rows(tool):
                command = tool.command(row.name)
                assert command is not None
                docs = {", ".join(each.flags): each.doc for each in all_options(command)}
                for each in row.options:
                    idle = docs.get(each.name, "").startswith(("Accepted", "Changes nothing"))
                    where = f"{tool.name} {row.name} {each.name}"
                    self.assertLessEqual(idle, each.state in idle_states, where)


def compared(ours: Option | None, shape: str, kind: str) -> str:
    """What is different from what is known; nothing if nothing is."""
    if ours is None:
        return "is missing"
    if (ours.kind is None) != (shape == "flag"):
        return f"is no {shape}"
    if shape == "many" and not ours.many:
        return "may not be repeated"
    if ours.kind is not None and ours.kind.name != kind and kind not in AS_KNOWN:
        return f"takes {ours.kind.name}, not {kind}"
    return ""


def totals(words: list[list[int | None]]) -> tuple[int, int | None]:
    """How many words there are at least and at most."""
    most = [each[1] for each in words]
    bounded = None if None in most else sum(each for each in most if each is not None)
    return sum(each[0] or 0 for each in words), bounded


class HelpTests(SynchronousTestCase):
    def test_every_help_renders_in_lines_that_fit(self) -> None:
        for tool in tools():
            self.assertIn(f"Usage: {tool.name} COMMAND", format_tool_help(tool))
        for tool, command in commands():
            text = format_command_help(tool, command)
            self.assertIn(f"Usage: {tool.name} {command.name} [options]", text)
            for line in text.splitlines()[2:]:
                if not line.lstrip().startswith("-"):
                    self.assertLessEqual(len(line), 80, line)

    def test_helps_fit_in_a_narrow_terminal(self) -> None:
        for tool in tools():
            texts = [format_command_help(tool, each, 40) for each in tool.commands]
            for text in (format_tool_help(tool, 40), *texts):
                for line in text.splitlines()[2:]:
                    # Flags and usage stay whole, to be copied.
                    if len(line) > 40:
                        self.assertRegex(line, r"^  -", f"{tool.name}: {line}")

    def test_the_commands_of_a_tool_fit(self) -> None:
        for tool in tools():
            self.assertEqual(
                [line for line in format_tool_help(tool).splitlines() if len(line) > 80], []
            )

    def test_no_two_options_of_a_command_share_a_flag_and_all_are_explained(self) -> None:
        for tool, command in commands():
            options = all_options(command)
            flags = [flag for option in options for flag in option.flags]
            where = f"{tool.name} {command.name}"
            self.assertEqual(sorted(flags), sorted(set(flags)), where)
            self.assertEqual([each.flags for each in options if not each.doc], [], where)
            self.assertTrue(described(command), where)

    def test_the_help_of_a_negating_option_says_what_the_option_does(self) -> None:
        for tool, command in commands():
            for option in all_options(command):
                if option.sets is False and option.flags[0].startswith("--no-"):
                    self.assertRegex(option.doc, "^Do not ", f"{tool.name} {command.name}")
