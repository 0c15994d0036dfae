# SPDX-License-Identifier: BSD-2-Clause
"""Help texts, made from the declarations."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from ganeti.cli.command import Command, Tool
from ganeti.cli.options import Option

WIDTH = 80
"""Columns of a help text, where the terminal has that many."""

_OPTIONS_INDENT = 30
_LEAST_TEXT = 36
"""Columns that an explanation needs beside what it explains; with less it goes below."""
_BELOW = 6


def tool_help(tool: Tool, width: int = WIDTH) -> str:
    """What a tool can do."""
    indent = max(len(command.name) for command in tool.commands) + 4
    rows = ((f"  {each.name}", summary(each)) for each in tool.commands)
    more = f"{tool.name} COMMAND --help tells more, as does the manual page {tool.name}(8)."
    lines = [
        f"Usage: {tool.name} COMMAND [options] [arguments]",
        "",
        *textwrap.wrap(tool.doc, width),
        "",
        "Commands:",
        *_explained(rows, indent, width),
        "",
        *textwrap.wrap(more, width),
    ]
    return "\n".join(lines) + "\n"


def summary(command: Command) -> str:
    """What a command does, with its other names."""
    others = f" (also: {', '.join(command.aliases)})" if command.aliases else ""
    return command.described() + others


def command_help(tool: Tool, command: Command, width: int = WIDTH) -> str:
    """How a command is used."""
    options = [*command.all_options(), Option(("-h", "--help"), "help", "Show this.")]
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
        *_explained(rows, _OPTIONS_INDENT, width),
    ]
    return "\n".join(lines) + "\n"


def _explained(rows: Iterable[tuple[str, str]], indent: int, width: int) -> Iterator[str]:
    """Put explanations beside what they explain, or below where there is no room."""
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
    """A hint what may have been meant by ``name``."""
    import difflib

    names = [each for command in tool.commands for each in (command.name, *command.aliases)]
    found = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(found)}?" if found else ""
