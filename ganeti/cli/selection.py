# SPDX-License-Identifier: BSD-2-Clause
"""The selection of instances for commands that take many: by names, nodes or tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.cli.command import Arguments
from ganeti.cli.options import Option
from ganeti.cli.session import FAILURE, ExitTool, Session

NAMED = "instances"
ALL_INSTANCES = "cluster"

FORCE_MULTIPLE = Option(
    ("--force-multiple",),
    "force_multiple",
    "Do not ask for confirmation before acting on several instances.",
)


def _mode_option(flag: str, mode: str, doc: str) -> Option:
    return Option((flag,), "mode", doc, sets=mode)


SELECTION_OPTIONS = (
    FORCE_MULTIPLE,
    _mode_option("--instance", NAMED, "The arguments are instances; this is the default."),
    _mode_option("--all", ALL_INSTANCES, "Select all instances of the cluster."),
    _mode_option(
        "--node", "nodes", "The arguments are nodes; select their primary and secondary instances."
    ),
    _mode_option(
        "--primary", "nodes-pri", "The arguments are nodes; select their primary instances."
    ),
    _mode_option(
        "--secondary", "nodes-sec", "The arguments are nodes; select their secondary instances."
    ),
    _mode_option("--tags", "instances-by-tags", "The arguments are tags of instances."),
    _mode_option(
        "--node-tags", "nodes-by-tags", "The arguments are tags of nodes; select as with --node."
    ),
    _mode_option(
        "--pri-node-tags",
        "nodes-pri-by-tags",
        "The arguments are tags of nodes; select as with --primary.",
    ),
    _mode_option(
        "--sec-node-tags",
        "nodes-sec-by-tags",
        "The arguments are tags of nodes; select as with --secondary.",
    ),
)

_Row = Mapping[str, Any]
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
    if asks and not (arguments.get("force_multiple") or arguments.get("force")):
        what = f"{verb.capitalize()} {_format_count(found)}?"
        if len(found) > 1:
            for name in found:
                session.say(f"  {name}")
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


def _filter_by_tags(rows: Sequence[_Row], tags: Sequence[str]) -> list[_Row]:
    return [row for row in rows if set(tags) & set(row["tags"])]


def _filter_by_names(rows: Sequence[_Row], names: Sequence[str]) -> list[_Row]:
    found = []
    for name in names:
        matching = [row for row in rows if row["name"] == name] or [
            row for row in rows if row["name"].startswith(name + ".")
        ]
        if len(matching) != 1:
            raise ExitTool(FAILURE, f"unknown node {name}; see gnt-node list")
        found += matching
    return found


def _query_rows(session: Session, what: str, fields: tuple[str, ...]) -> list[_Row]:
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    return [*objects(session.ask(Query(what=what, fields=fields)))]
