# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-storage`` commands."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.output import Fields, objects
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_values
from ganeti.luxi.methods import Query, Row


def _query_providers(session: Session) -> list[Fields]:
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


def _format_places(places: list[Row]) -> object:
    if not places:
        return "this node has no such provider"
    return [
        {"path": path, "valid": valid, **({} if valid else {"diagnosis": diagnosis})}
        for path, valid, diagnosis, *_ in places
    ]
