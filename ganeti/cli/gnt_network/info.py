# SPDX-License-Identifier: BSD-2-Clause
"""The output of ``gnt-network info``."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import groupby

from ganeti.cli.gnt_cluster.info import joined
from ganeti.cli.output import Fields

ROW = 64
"""How many addresses a line of the usage map shows."""


def told(facts: Fields) -> dict[str, object]:
    """Return a network as nested names and values."""
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
    """Yield the rows of a usage map, each with the range of addresses that it stands for.

    Consecutive equal rows are merged, as a large network has thousands of rows.
    """
    rows = ((usage[start : start + ROW], start) for start in range(0, len(usage), ROW))
    for row, same in groupby(rows, key=lambda each: each[0]):
        starts = [start for _, start in same]
        yield f"{starts[0]}-{starts[-1] + len(row) - 1}", row


def ranges(addresses: str) -> Iterator[str]:
    """Yield addresses, which are separated by commas, as single addresses and ranges."""
    found: list[list[IPv4Address]] = []
    for text in filter(None, addresses.split(", ")):
        address = IPv4Address(text)
        if found and address == found[-1][-1] + 1:
            found[-1].append(address)
        else:
            found.append([address])
    for run in found:
        yield str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
