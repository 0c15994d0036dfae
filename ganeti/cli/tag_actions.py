# SPDX-License-Identifier: BSD-2-Clause
"""Code of the commands for tags, and of the search for tags."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.input_files import read_lines
from ganeti.cli.job_polling import carry_out, results_of
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import QueryTags
from ganeti.opcodes.tags import AddTags, RemoveTags, SearchTags, TagKind


def list_tags(kind: str, session: Session, arguments: Arguments) -> int:
    tags = sorted(session.ask(QueryTags(kind=kind, name=arguments.get("name", ""))))
    if show_formatted(session, arguments, tags):
        return 0
    for tag in tags:
        session.print_line(tag)
    return 0


def change_tags(kind: str, adds: bool, session: Session, arguments: Arguments) -> int:
    tags = (*arguments.get("tags", ()), *_read_tags(arguments.get("source")))
    if not tags:
        raise ExitTool(FAILURE, "no tags given; name tags, or a file of tags with --from")
    opcode = AddTags if adds else RemoveTags
    name = arguments.get("name")
    return carry_out(session, arguments, opcode(kind=TagKind(kind), name=name, tags=tags))


def _read_tags(path: str | None) -> list[str]:
    lines = read_lines(path) if path is not None else []
    return [line.strip() for line in lines if line.strip()]


def search(session: Session, arguments: Arguments) -> int:
    """Find tags in the whole cluster that match a pattern."""
    pattern = arguments["pattern"]
    results = results_of(session, arguments, SearchTags(pattern=pattern))
    found = sorted(map(tuple, results[0])) if results else []
    if not show_formatted(session, arguments, found):
        for path, tag in found:
            session.print_line(f"{path} {tag}")
    if not found:
        raise ExitTool(FAILURE, f"no object of the cluster has a tag that matches {pattern}")
    return 0
