# SPDX-License-Identifier: BSD-2-Clause
"""Protects the addresses that a node needs itself from routes to guests."""

from __future__ import annotations

import json

from ganeti.errors import Failed
from ganeti.model.guest import GuestNic
from ganeti.schema.documents import Document
from ganeti.system.interfaces import IProcesses


async def find_route_problem(card: GuestNic, processes: IProcesses) -> str:
    """Return why a route to a routed card would cut off this node; empty if it would not.

    A guest would get the traffic for the node or its gateway, and the node could not be reached
    any more to undo that.
    """
    if card.mode != "routed" or not card.ip:
        return ""
    routes = await _list_routes(["get", card.ip], card.ip, processes)
    if any(each.get("type") == "local" for each in routes):
        return f"address {card.ip} is one of this node itself; choose another address"
    routes = await _list_routes(["show", "default"], card.ip, processes)
    if any(each.get("gateway") == card.ip for each in routes):
        return f"address {card.ip} is that of this node's gateway; choose another address"
    return ""


async def _list_routes(words: list[str], address: str, processes: IProcesses) -> list[Document]:
    """Return routes as ``ip`` describes them; none if there are none, or it cannot be run."""
    family = "-6" if ":" in address else "-4"
    try:
        finished = await processes.run(["ip", "-json", family, "route", *words], timeout=30)
        return [] if finished.code else json.loads(finished.out or b"[]")
    except (Failed, ValueError):
        return []  # the command that sets the route tells what is wrong
