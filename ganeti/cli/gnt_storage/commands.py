# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-storage``: the external storage providers of the nodes."""

from __future__ import annotations

from typing import Any

from ganeti.cli.command import Arguments, Command, Positional, tool
from ganeti.cli.gnt_os.commands import IGNORED_PRIORITY
from ganeti.cli.listing import FORM, show_values
from ganeti.cli.program import run_tool
from ganeti.cli.session import FAILURE, ExitTool, Session


def _query_providers(session: Session) -> list[dict[str, Any]]:
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    fields = ("name", "node_status", "nodegroup_status", "parameters")
    return objects(session.ask(Query(what="extstorage", fields=fields)))


def info(session: Session, arguments: Arguments) -> int:
    """Show the parameters of providers, and in which node groups they are valid."""
    known = {each["name"]: each for each in _query_providers(session)}
    names = arguments.get("names") or list(known)
    told = {
        name: {
            "parameters": {row[0]: row[1] for row in known[name]["parameters"] or ()},
            "node groups": {
                group: "valid" if valid else "invalid"
                for group, valid in (known[name]["nodegroup_status"] or {}).items()
            },
        }
        for name in names
        if name in known
    }
    show_values(session, arguments, [known[name] for name in told], told)
    if missing := [name for name in names if name not in known]:
        raise ExitTool(
            FAILURE,
            f"unknown external storage provider {', '.join(missing)}; see gnt-storage diagnose",
        )
    return 0


def diagnose(session: Session, arguments: Arguments) -> int:
    """Show the state of each provider on each node; return 1 if any is invalid."""
    found = _query_providers(session)
    told = {
        each["name"]: {node: _format_places(places) for node, places in each["node_status"].items()}
        for each in found
    }
    show_values(session, arguments, found, told)
    works = all(all(each["nodegroup_status"].values()) for each in found)
    return 0 if works else FAILURE


def _format_places(places: list[Any]) -> Any:
    if not places:
        return "this node has no such provider"
    return [
        {"path": path, "valid": valid, **({} if valid else {"diagnosis": diagnosis})}
        for path, valid, diagnosis, *_ in places
    ]


GNT_STORAGE = tool(
    "gnt-storage",
    "Show the external storage providers of the nodes.",
    Command(
        name="info",
        aliases=("show",),
        doc="Show the parameters of providers, and in which node groups they are valid.",
        words=(Positional("names", "provider", 0, None),),
        options=(FORM, IGNORED_PRIORITY),
        run=info,
    ),
    Command(
        name="diagnose",
        doc="Show the state of each provider on each node, and why it is invalid.",
        options=(FORM, IGNORED_PRIORITY),
        run=diagnose,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_STORAGE)


if __name__ == "__main__":
    main()
