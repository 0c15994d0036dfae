# SPDX-License-Identifier: BSD-2-Clause
"""What is known of a network, in the words of ``gnt-network info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from ganeti.cli.gnt_cluster.info import joined

ROW = 64
"""How many addresses a line of the usage map shows."""


def told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network as names and values, nested."""
    usage, free = facts["map"], facts["free_count"]
    share = f" ({100 * free / len(usage):.2f}%)" if usage else ""
    return {
        "Network name": facts["name"],
        "UUID": facts["uuid"],
        "Serial number": facts["serial_no"],
        "Subnet": facts["network"],
        "Gateway": facts["gateway"],
        "IPv6 Subnet": facts["network6"],
        "IPv6 Gateway": facts["gateway6"],
        "Mac Prefix": facts["mac_prefix"],
        "Tags": joined(facts["tags"]),
        "Size": len(usage),
        "Free": f"{free}{share}",
        "Usage map": dict(usage_rows(usage)),
        "externally reserved IPs": list(ranges(facts["external_reservations"])),
        "connected to node groups": {
            group: f"mode:{mode} link:{link} vlan:{vlan}"
            for group, mode, link, vlan in facts["group_list"]
        },
        "used by instances": facts["inst_list"],
    }


def usage_rows(usage: str) -> Iterator[tuple[str, str]]:
    """Return the rows of a usage map with the first and the last address that each stands for.

    Equal rows behind each other come once, as a network may have a thousand of them.
    """
    rows = ((usage[start : start + ROW], start) for start in range(0, len(usage), ROW))
    for row, same in groupby(rows, key=lambda each: each[0]):
        starts = [start for _, start in same]
        yield f"{starts[0]}-{starts[-1] + len(row) - 1}", row


def ranges(addresses: str) -> Iterator[str]:
    """Return addresses, a comma between them, as single ones and ranges."""
    from ipaddress import IPv4Address

    found: list[list[IPv4Address]] = []
    for text in filter(None, addresses.split(", ")):
        address = IPv4Address(text)
        if found and address == found[-1][-1] + 1:
            found[-1].append(address)
        else:
            found.append([address])
    for run in found:
        yield str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
