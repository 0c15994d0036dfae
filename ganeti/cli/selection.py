# SPDX-License-Identifier: BSD-2-Clause
"""Commands for many instances at once: which they are, by names, nodes or tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.cli.command import Arguments
from ganeti.cli.options import Option
from ganeti.cli.session import FAILURE, ExitTool, Session

NAMED = "instances"
EVERY = "cluster"

FORCE_MULTIPLE = Option(
    ("--force-multiple",), "force_multiple", "Do not ask before working on several instances."
)


def _mode(flag: str, mode: str, doc: str) -> Option:
    return Option((flag,), "mode", doc, sets=mode)


SELECTION = (
    FORCE_MULTIPLE,
    _mode("--instance", NAMED, "The arguments are instances; this is the default."),
    _mode("--all", EVERY, "All instances of the cluster."),
    _mode("--node", "nodes", "The arguments are nodes: all instances that they have."),
    _mode("--primary", "nodes-pri", "The arguments are nodes: those that run on them."),
    _mode("--secondary", "nodes-sec", "The arguments are nodes: those mirrored to them."),
    _mode("--tags", "instances-by-tags", "The arguments are tags of instances."),
    _mode("--node-tags", "nodes-by-tags", "The arguments are tags of nodes; as --node."),
    _mode("--pri-node-tags", "nodes-pri-by-tags", "The arguments are tags of nodes; as --primary."),
    _mode(
        "--sec-node-tags", "nodes-sec-by-tags", "The arguments are tags of nodes; as --secondary."
    ),
)

_Row = Mapping[str, Any]
_PARTS: Mapping[str, tuple[str, ...]] = {
    "nodes": ("pinst_list", "sinst_list"),
    "nodes-pri": ("pinst_list",),
    "nodes-sec": ("sinst_list",),
}


def instances(session: Session, arguments: Arguments, question: str = "") -> list[str]:
    """The names of the instances that are meant, after asking if they may be many.

    With a ``question``, a single one is asked about, too.

    :raises ExitTool: there are none, or not everything that was said makes sense, or no is said.
    """
    verb = arguments.command.name
    mode = arguments.get("mode", NAMED)
    names = arguments.get("names", [])
    if mode == EVERY and names:
        raise ExitTool(FAILURE, "--all means every instance; give no names with it")
    if mode != EVERY and not names:
        raise ExitTool(FAILURE, f"say which instances to {verb}, by name or with --all")
    found = list(dict.fromkeys(names if mode == NAMED else _selected(session, mode, names)))
    if not found:
        raise ExitTool(FAILURE, f"there is no such instance to {verb}")
    asks = bool(question) or mode != NAMED or len(found) > 1
    if asks and not (arguments.get("force_multiple") or arguments.get("force")):
        what = f"{verb.capitalize()} {_counted(found)}?"
        if len(found) > 1:
            for name in found:
                session.say(f"  {name}")
        otherwise = "--force" if len(found) == 1 and question else FORCE_MULTIPLE.flags[0]
        session.confirm(f"{what} {question}".strip(), otherwise)
    return found


def _counted(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"these {len(names)} instances"


def _selected(session: Session, mode: str, words: Sequence[str]) -> list[str]:
    by_tags = mode.endswith("-by-tags")
    kind = mode.removesuffix("-by-tags")
    if kind in (NAMED, EVERY):
        rows = _rows(session, "instance", ("name", "tags"))
        wanted = set(words)
        return [row["name"] for row in rows if not by_tags or wanted & set(row["tags"])]
    rows = _rows(session, "node", ("name", "tags", *_PARTS[kind]))
    chosen = _tagged(rows, words) if by_tags else _named(rows, words)
    return sorted(name for row in chosen for part in _PARTS[kind] for name in row[part] or ())


def _tagged(rows: Sequence[_Row], tags: Sequence[str]) -> list[_Row]:
    return [row for row in rows if set(tags) & set(row["tags"])]


def _named(rows: Sequence[_Row], names: Sequence[str]) -> list[_Row]:
    found = []
    for name in names:
        matching = [row for row in rows if row["name"] == name] or [
            row for row in rows if row["name"].startswith(name + ".")
        ]
        if len(matching) != 1:
            raise ExitTool(FAILURE, f"there is no node {name}; gnt-node list shows them")
        found += matching
    return found


def _rows(session: Session, what: str, fields: tuple[str, ...]) -> list[_Row]:
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    return [*objects(session.ask(Query(what=what, fields=fields)))]
