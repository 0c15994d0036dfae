# SPDX-License-Identifier: BSD-2-Clause
"""Help texts, generated from the declarations."""

from __future__ import annotations

import textwrap

from ganeti.cli.command import Command, Tool
from ganeti.cli.options import Option

WIDTH = 80
_INDENT = 30


def tool_help(tool: Tool) -> str:
    """Return the help text of a tool."""
    width = max(len(command.name) for command in tool.commands)
    lines = [
        f"Usage: {tool.name} COMMAND [options] [arguments]",
        "",
        tool.doc,
        "",
        "Commands:",
        *(f"  {each.name:{width}}  {summary(each)}" for each in tool.commands),
        "",
        f"See {tool.name} COMMAND --help, or the manual page {tool.name}(8).",
    ]
    return "\n".join(lines) + "\n"


def summary(command: Command) -> str:
    """Return what a command does, with its aliases."""
    others = f" (also: {', '.join(command.aliases)})" if command.aliases else ""
    return command.described() + others


def command_help(tool: Tool, command: Command) -> str:
    """Return the help text of a command."""
    about = textwrap.wrap(summary(command), WIDTH)
    lines = [f"Usage: {command.usage(tool.name)}", "", *about, "", "Options:"]
    for option in command.all_options():
        lines += _option(option)
    lines += _option(Option(("-h", "--help"), "help", "Show this help."))
    return "\n".join(lines) + "\n"


def _option(option: Option) -> list[str]:
    shape = f"  {option.shape}"
    text = textwrap.wrap(option.doc + (" May be repeated." if option.many else ""), WIDTH - _INDENT)
    if len(shape) >= _INDENT - 1:
        return [shape, *(" " * _INDENT + line for line in text)]
    first, *rest = text or [""]
    return [f"{shape:{_INDENT}}{first}", *(" " * _INDENT + line for line in rest)]


def near(tool: Tool, name: str) -> str:
    """Return a hint with commands that resemble ``name``, or an empty text."""
    import difflib

    names = [each for command in tool.commands for each in (command.name, *command.aliases)]
    found = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(found)}?" if found else ""
