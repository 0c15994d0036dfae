# SPDX-License-Identifier: BSD-2-Clause
"""Show the details of objects, as YAML for people or in a format for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.cli.command import Arguments
from ganeti.cli.output_formats import format_values
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.yaml_output import with_roman_numerals, yaml_lines
from ganeti.query.list_arguments import is_name


def show_values(session: Session, arguments: Arguments, facts: object, told: object) -> int:
    """Show ``facts`` in the requested format, otherwise ``told``, their text form, as YAML."""
    if show_formatted(session, arguments, facts):
        return 0
    shown = with_roman_numerals(told) if arguments.get("roman") else told
    for line in yaml_lines(shown):
        session.print_line(line)
    return 0


def show_formatted(session: Session, arguments: Arguments, facts: object) -> bool:
    """Show ``facts`` in the requested format; return whether one is requested."""
    form = arguments.get("output")
    if form:
        for line in format_values(facts, form, headers=not arguments.get("no_headers")):
            session.print_line(line)
    return bool(form)


def require_found(
    names: Sequence[str], found: Sequence[Mapping[str, object]], what: str, tool: str
) -> None:
    """Check that each object that was named is among those found; ``what`` is its kind.

    :raises ExitTool: some are not; ``tool`` lists those that there are.
    """
    known = {each["name"] for each in found}
    if missing := [name for name in names if is_name(name) and name not in known]:
        raise ExitTool(FAILURE, f"unknown {what} {', '.join(missing)}; see {tool} list")
