# SPDX-License-Identifier: BSD-2-Clause
"""Networks, with their addresses, groups and instances."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from ipaddress import IPv4Network
from typing import Any

from ganeti.model.network import Network
from ganeti.query.fields import Field, FieldStatus, FieldType, Table
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of, natural


class NetworkRow:
    """A network at a moment."""

    def __init__(self, moment: ClusterSnapshot, network: Network) -> None:
        self.moment = moment
        self.network = network

    @cached_property
    def groups(self) -> list[list[str]]:
        """The groups that it is connected to: name, mode, link and VLAN."""
        found = []
        for group in self.moment.groups.values():
            how = group.networks.get(self.network.uuid)
            if how is not None:
                settings = (str(how.get(key) or "") for key in ("mode", "link", "vlan"))
                found.append([group.name, *settings])
        return sorted(found, key=lambda row: natural(row[0]))

    @cached_property
    def instances(self) -> list[str]:
        """Who has a network card in it."""
        return names_of(self.moment.users.get(self.network.uuid, ()))

    @cached_property
    def taken(self) -> str:
        """One character for each address: ``X`` taken or reserved, ``.`` free."""
        own, outside = self.network.reservations or "", self.network.ext_reservations or ""
        length = max(len(own), len(outside))
        # As numbers, for a network may have 65536 addresses and more.
        taken = int(own.ljust(length, "0") or "0", 2) | int(outside.ljust(length, "0") or "0", 2)
        return f"{taken:0{length}b}".translate(_SHOWN)[:length]

    @property
    def reserved(self) -> str:
        """The addresses that instances never get."""
        addresses = IPv4Network(self.network.network)
        bits = self.network.ext_reservations or ""
        return ", ".join(str(addresses[found.start()]) for found in _ONE.finditer(bits))


_ONE = re.compile("1")
_SHOWN = str.maketrans("01", ".X")

F = Field[NetworkRow]


def _given(value: Any) -> Any:
    return value or FieldStatus.UNAVAILABLE


NETWORKS: Table[NetworkRow] = Table(
    (
        F("name", "Network", FieldType.TEXT, "The network's name.", lambda row: row.network.name),
        F("uuid", "UUID", FieldType.TEXT, "Its UUID.", lambda row: row.network.uuid),
        F(
            "serial_no",
            "SerialNo",
            FieldType.NUMBER,
            "Its revision.",
            lambda r: r.network.serial_no,
        ),
        F(
            "ctime",
            "CTime",
            FieldType.TIMESTAMP,
            "When it was made.",
            lambda row: row.network.ctime,
        ),
        F(
            "mtime",
            "MTime",
            FieldType.TIMESTAMP,
            "When it last changed.",
            lambda r: r.network.mtime,
        ),
        F("tags", "Tags", FieldType.OTHER, "Its tags.", lambda row: row.network.tags),
        F(
            "network",
            "Subnet",
            FieldType.TEXT,
            "Its IPv4 addresses.",
            lambda row: row.network.network,
        ),
        F(
            "gateway",
            "Gateway",
            FieldType.OTHER,
            "The router's IPv4 address.",
            lambda row: _given(row.network.gateway),
        ),
        F(
            "network6",
            "IPv6Subnet",
            FieldType.OTHER,
            "Its IPv6 addresses.",
            lambda row: _given(row.network.network6),
        ),
        F(
            "gateway6",
            "IPv6Gateway",
            FieldType.OTHER,
            "The router's IPv6 address.",
            lambda row: _given(row.network.gateway6),
        ),
        F(
            "mac_prefix",
            "MacPrefix",
            FieldType.OTHER,
            "How MAC addresses in it begin.",
            lambda row: _given(row.network.mac_prefix),
        ),
        F(
            "free_count",
            "FreeCount",
            FieldType.NUMBER,
            "How many addresses are free.",
            lambda row: row.taken.count("."),
        ),
        F(
            "reserved_count",
            "ReservedCount",
            FieldType.NUMBER,
            "How many addresses are taken.",
            lambda row: row.taken.count("X"),
        ),
        F("map", "Map", FieldType.TEXT, "Every address: X taken, . free.", lambda row: row.taken),
        F(
            "external_reservations",
            "ExternalReservations",
            FieldType.TEXT,
            "The addresses that instances never get.",
            lambda row: row.reserved,
        ),
        F("group_cnt", "NodeGroups", FieldType.NUMBER, "How many groups.", lambda r: len(r.groups)),
        F(
            "group_list",
            "GroupList",
            FieldType.OTHER,
            "The groups that it is connected to, with mode, link and VLAN.",
            lambda row: row.groups,
        ),
        F(
            "inst_cnt",
            "Instances",
            FieldType.NUMBER,
            "How many use it.",
            lambda r: len(r.instances),
        ),
        F("inst_list", "InstanceList", FieldType.OTHER, "Who uses it.", lambda row: row.instances),
    )
)


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[NetworkRow]:
    """All networks as people sort them, or those of these names or UUIDs in the order given.

    :raises Refused: there is no network of one of the names.
    """
    if names is None:
        found = in_order(moment.networks.values(), lambda network: network.name)
    else:
        found = [moment.state.network(name) for name in names]
    return [NetworkRow(moment, network) for network in found]
