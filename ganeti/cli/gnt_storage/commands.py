# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-storage``: the providers of external storage that nodes have."""

from __future__ import annotations

from typing import Any

from ganeti.cli.command import Arguments, Command, CommandGroup, tool
from ganeti.cli.gnt_os.commands import NO_JOB
from ganeti.cli.listing import FORM, show_facts
from ganeti.cli.program import run_tool
from ganeti.cli.session import FAILURE, ExitTool, Session


def _providers(session: Session) -> list[dict[str, Any]]:
    from ganeti.cli.output import objects
    from ganeti.luxi.methods import Query

    fields = ("name", "node_status", "nodegroup_status", "parameters")
    return objects(session.ask(Query(what="extstorage", fields=fields)))


def info(session: Session, arguments: Arguments) -> int:
    """Show the parameters of providers, and where they work."""
    known = {each["name"]: each for each in _providers(session)}
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
    show_facts(session, arguments, [known[name] for name in told], told)
    if missing := [name for name in names if name not in known]:
        raise ExitTool(
            FAILURE,
            f"there is no external storage provider {', '.join(missing)};"
            " gnt-storage diagnose shows those there are",
        )
    return 0


def diagnose(session: Session, arguments: Arguments) -> int:
    """Show what each node has of each provider; 1 if any does not work somewhere."""
    found = _providers(session)
    told = {
        each["name"]: {node: _places(places) for node, places in each["node_status"].items()}
        for each in found
    }
    show_facts(session, arguments, found, told)
    works = all(all(each["nodegroup_status"].values()) for each in found)
    return 0 if works else FAILURE


def _places(places: list[Any]) -> Any:
    if not places:
        return "there is no such provider here"
    return [
        {"path": path, "valid": valid, **({} if valid else {"diagnosis": diagnosis})}
        for path, valid, diagnosis, *_ in places
    ]


GNT_STORAGE = tool(
    "gnt-storage",
    "Shows the providers of external storage that nodes have.",
    Command(
        name="info",
        aliases=("show",),
        doc="Show the parameters of providers, and in which node groups they work.",
        words=(CommandGroup("names", "provider", 0, None),),
        options=(FORM, NO_JOB),
        run=info,
    ),
    Command(
        name="diagnose",
        doc="Show what each node has of each provider, and why it does not work.",
        options=(FORM, NO_JOB),
        run=diagnose,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_STORAGE)


if __name__ == "__main__":
    main()
