# SPDX-License-Identifier: BSD-2-Clause
"""Help texts, generated from the declarations."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from ganeti.cli.command import Command, Tool
from ganeti.cli.command_options import HELP, all_options, described
from ganeti.cli.session import Session

WIDTH = 80
"""The width of help texts, unless the terminal is narrower."""

_OPTIONS_INDENT = 30
_LEAST_TEXT = 36
"""Minimum width of the explanations' column; if it is narrower, they are put below."""
_BELOW = 6


def show_tool_help(session: Session, tool: Tool) -> int:
    """Show the help text of a tool; return the exit code."""
    session.show(format_tool_help(tool, session.columns(WIDTH)))
    return 0


def show_command_help(session: Session, tool: Tool, command: Command) -> int:
    """Show the help text of a command; return the exit code."""
    session.show(format_command_help(tool, command, session.columns(WIDTH)))
    return 0


def format_tool_help(tool: Tool, width: int = WIDTH) -> str:
    """Return the help text of a tool."""
    indent = max(len(command.name) for command in tool.commands) + 4
    rows = ((f"  {each.name}", summary(each)) for each in tool.commands)
    more = f"See {tool.name} COMMAND --help, or the manual page {tool.name}(8)."
    lines = [
        f"Usage: {tool.name} COMMAND [options] [arguments]",
        "",
        *textwrap.wrap(tool.doc, width),
        "",
        "Commands:",
        *_format_rows(rows, indent, width),
        "",
        *textwrap.wrap(more, width),
    ]
    return "\n".join(lines) + "\n"


def summary(command: Command) -> str:
    """Return what a command does, with its aliases."""
    others = f" (also: {', '.join(command.aliases)})" if command.aliases else ""
    return described(command) + others


def format_command_help(tool: Tool, command: Command, width: int = WIDTH) -> str:
    """Return the help text of a command."""
    options = [*all_options(command), HELP]
    rows = (
        (f"  {each.shape}", each.doc + (" May be repeated." if each.many else ""))
        for each in options
    )
    lines = [
        f"Usage: {command.usage(tool.name)}",
        "",
        *textwrap.wrap(summary(command), width),
        "",
        "Options:",
        *_format_rows(rows, _OPTIONS_INDENT, width),
    ]
    return "\n".join(lines) + "\n"


def _format_rows(rows: Iterable[tuple[str, str]], indent: int, width: int) -> Iterator[str]:
    """Format rows with the explanation in a second column, or below if there is no space."""
    beside = width - indent >= _LEAST_TEXT
    margin = " " * (indent if beside else _BELOW)
    for term, text in rows:
        first, *rest = textwrap.wrap(text, width - len(margin)) or [""]
        if beside and len(term) < indent - 1:
            yield f"{term:{indent}}{first}"
        else:
            yield term
            yield margin + first
        yield from (margin + line for line in rest)


def near(tool: Tool, name: str) -> str:
    """Return a hint with commands that resemble ``name``, or an empty text."""
    import difflib

    names = [each for command in tool.commands for each in (command.name, *command.aliases)]
    found = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(found)}?" if found else ""
