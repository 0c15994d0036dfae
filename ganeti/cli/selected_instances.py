# SPDX-License-Identifier: BSD-2-Clause
"""The instances that the arguments of a command select, after confirmation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.cli.command import Arguments
from ganeti.cli.output import Fields, objects
from ganeti.cli.selection import ALL_INSTANCES, FORCE_MULTIPLE, NAMED
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.luxi.methods import Query

_PARTS: Mapping[str, tuple[str, ...]] = {
    "nodes": ("pinst_list", "sinst_list"),
    "nodes-pri": ("pinst_list",),
    "nodes-sec": ("sinst_list",),
}


def instances(session: Session, arguments: Arguments, question: str = "") -> list[str]:
    """Return the names of the selected instances, after confirmation if there may be several.

    With a ``question``, confirmation is needed for a single one, too.

    :raises ExitTool: if none are selected, the selection is contradictory, or it is not confirmed.
    """
    verb = arguments.command.name
    mode = arguments.get("mode", NAMED)
    names = arguments.get("names", [])
    if mode == ALL_INSTANCES and names:
        raise ExitTool(FAILURE, "--all selects every instance; omit the names")
    if mode != ALL_INSTANCES and not names:
        raise ExitTool(FAILURE, f"no instances to {verb}; give names or --all")
    found = list(dict.fromkeys(names if mode == NAMED else _query_selected(session, mode, names)))
    if not found:
        raise ExitTool(FAILURE, f"no matching instances to {verb}")
    asks = bool(question) or mode != NAMED or len(found) > 1
    confirmed = any(map(arguments.get, ("force_multiple", "force", "plan")))
    if asks and not confirmed:
        what = f"{verb.capitalize()} {_format_count(found)}?"
        if len(found) > 1:
            for name in found:
                session.print_line(f"  {name}")
        otherwise = "--force" if len(found) == 1 and question else FORCE_MULTIPLE.flags[0]
        session.confirm(f"{what} {question}".strip(), otherwise)
    return found


def _format_count(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"these {len(names)} instances"


def _query_selected(session: Session, mode: str, words: Sequence[str]) -> list[str]:
    by_tags = mode.endswith("-by-tags")
    kind = mode.removesuffix("-by-tags")
    if kind in (NAMED, ALL_INSTANCES):
        rows = _query_rows(session, "instance", ("name", "tags"))
        wanted = set(words)
        return [row["name"] for row in rows if not by_tags or wanted & set(row["tags"])]
    rows = _query_rows(session, "node", ("name", "tags", *_PARTS[kind]))
    chosen = _filter_by_tags(rows, words) if by_tags else _filter_by_names(rows, words)
    return sorted(name for row in chosen for part in _PARTS[kind] for name in row[part] or ())


def _filter_by_tags(rows: Sequence[Fields], tags: Sequence[str]) -> list[Fields]:
    return [row for row in rows if set(tags) & set(row["tags"])]


def _filter_by_names(rows: Sequence[Fields], names: Sequence[str]) -> list[Fields]:
    found = []
    for name in names:
        matching = [row for row in rows if row["name"] == name] or [
            row for row in rows if row["name"].startswith(name + ".")
        ]
        if len(matching) != 1:
            raise ExitTool(FAILURE, f"unknown node {name}; see gnt-node list")
        found += matching
    return found


def _query_rows(session: Session, what: str, fields: tuple[str, ...]) -> list[Fields]:
    return [*objects(session.ask(Query(what=what, fields=fields)))]
