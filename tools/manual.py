# SPDX-License-Identifier: BSD-2-Clause
"""Writes a manual page: prose from a file, and what is declared in place of its markers.

``manual.py FILE.in`` prints the page. A line ``@COMMANDS gnt-x@`` becomes the commands of a tool
with their options, ``@COMMON@`` the options that all or many commands have, ``@HELP module@`` the
options of a daemon, and ``@VERSION@`` the release, wherever it is.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from collections.abc import Iterator, Sequence

from ganeti import __version__
from ganeti.cli.command import COMMON, JOB_OPTIONS, Command, Tool
from ganeti.cli.command_options import all_options
from ganeti.cli.help import summary
from ganeti.cli.options import Option

_MARKER = re.compile(r"@(COMMANDS|COMMON|HELP)(?: (\S+))?@")
_SHARED = (*COMMON, *JOB_OPTIONS)


def page(text: str) -> str:
    """The manual page that ``text`` is the source of."""
    lines: list[str] = []
    for line in text.replace("@VERSION@", __version__).splitlines():
        marker = _MARKER.fullmatch(line)
        lines += _MARKED[marker[1]](marker[2]) if marker else [line]
    return "\n".join(lines) + "\n"


def _commands(name: str) -> Iterator[str]:
    for command in _tool(name).commands:
        yield from _command(name, command)


def _tool(name: str) -> Tool:
    module = name.replace("-", "_")
    tool = getattr(importlib.import_module(f"ganeti.cli.{module}.commands"), module.upper())
    assert isinstance(tool, Tool)
    return tool


def _command(tool: str, command: Command) -> Iterator[str]:
    words = " ".join(each.shape for each in command.words)
    yield f".SS {escaped(command.name)}"
    yield f".B {escaped(f'{tool} {command.name}')}"
    yield f"[options] {escaped(words)}".rstrip()
    yield ".PP"
    yield _line(summary(command))
    options = all_options(command)
    has_all = all(option in options for option in JOB_OPTIONS)
    shared = _SHARED if has_all else COMMON
    yield from _list(option for option in options if option not in shared)
    if has_all:
        yield ".PP"
        yield _line("It also has the options of jobs, which ganeti(7) tells of.")


def _common(_: str) -> Iterator[str]:
    yield from _list(_SHARED)


def _list(options: Iterator[Option] | Sequence[Option]) -> Iterator[str]:
    for option in options:
        yield ".TP"
        yield f".B {escaped(option.shape)}"
        yield _line(option.doc + (" May be repeated." if option.many else ""))


def _help(module: str) -> Iterator[str]:
    """What a daemon says of its options."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        importlib.import_module(module).main(["--help"])
    yield ".nf"
    yield from map(_line, said.getvalue().rstrip().splitlines())
    yield ".fi"


def _line(text: str) -> str:
    """A line of text that begins with no request."""
    line = escaped(text)
    return "\\&" + line if line.startswith((".", "'")) else line


def escaped(text: str) -> str:
    """Text as it must be written to be shown."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")


_MARKED = {"COMMANDS": _commands, "COMMON": _common, "HELP": _help}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        sys.stdout.write(page(source.read()))
