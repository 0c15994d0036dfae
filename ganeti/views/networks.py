# SPDX-License-Identifier: BSD-2-Clause
"""The fields of networks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from ipaddress import IPv4Network

from ganeti.model.network import Network
from ganeti.query.fields import Field, FieldStatus, FieldType, Table
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of, natural_key


class NetworkRow:
    """A network as of a snapshot."""

    def __init__(self, moment: ClusterSnapshot, network: Network) -> None:
        self.moment = moment
        self.network = network

    @cached_property
    def groups(self) -> list[list[str]]:
        """The groups that the network is connected to: name, mode, link and VLAN."""
        found = []
        for group in self.moment.groups.values():
            how = group.networks.get(self.network.uuid)
            if how is not None:
                settings = (str(how.get(key) or "") for key in ("mode", "link", "vlan"))
                found.append([group.name, *settings])
        return sorted(found, key=lambda row: natural_key(row[0]))

    @cached_property
    def instances(self) -> list[str]:
        """The instances with a network card in the network."""
        return names_of(self.moment.state.list_network_instances(self.network))

    @cached_property
    def taken(self) -> str:
        """One character for each address: ``X`` used or reserved, ``.`` free."""
        own, outside = self.network.reservations or "", self.network.ext_reservations or ""
        length = max(len(own), len(outside))
        # As integers: joining strings is slow for networks with 65536 addresses or more.
        taken = int(own.ljust(length, "0") or "0", 2) | int(outside.ljust(length, "0") or "0", 2)
        return f"{taken:0{length}b}".translate(_USAGE_CHARACTERS)[:length]

    @property
    def reserved(self) -> str:
        """The externally reserved addresses, separated by commas."""
        addresses = IPv4Network(self.network.network)
        bits = self.network.ext_reservations or ""
        return ", ".join(str(addresses[found.start()]) for found in _RESERVED_BIT.finditer(bits))


_RESERVED_BIT = re.compile("1")
_USAGE_CHARACTERS = str.maketrans("01", ".X")

F = Field[NetworkRow]


def _or_unavailable(value: object) -> object:
    return value or FieldStatus.UNAVAILABLE


NETWORKS: Table[NetworkRow] = Table(
    (
        F(
            "name",
            "Network",
            FieldType.TEXT,
            "The name of the network.",
            lambda row: row.network.name,
        ),
        F("uuid", "UUID", FieldType.TEXT, "The UUID of the network.", lambda row: row.network.uuid),
        F(
            "serial_no",
            "SerialNo",
            FieldType.NUMBER,
            "The serial number, incremented by each change.",
            lambda r: r.network.serial_no,
        ),
        F(
            "ctime",
            "CTime",
            FieldType.TIMESTAMP,
            "The time when the network was added.",
            lambda row: row.network.ctime,
        ),
        F(
            "mtime",
            "MTime",
            FieldType.TIMESTAMP,
            "The time of the last change.",
            lambda r: r.network.mtime,
        ),
        F(
            "tags",
            "Tags",
            FieldType.OTHER,
            "The tags of the network.",
            lambda row: row.network.tags,
        ),
        F(
            "network",
            "Subnet",
            FieldType.TEXT,
            "The IPv4 subnet.",
            lambda row: row.network.network,
        ),
        F(
            "gateway",
            "Gateway",
            FieldType.OTHER,
            "The IPv4 address of the gateway.",
            lambda row: _or_unavailable(row.network.gateway),
        ),
        F(
            "network6",
            "IPv6Subnet",
            FieldType.OTHER,
            "The IPv6 subnet.",
            lambda row: _or_unavailable(row.network.network6),
        ),
        F(
            "gateway6",
            "IPv6Gateway",
            FieldType.OTHER,
            "The IPv6 address of the gateway.",
            lambda row: _or_unavailable(row.network.gateway6),
        ),
        F(
            "mac_prefix",
            "MacPrefix",
            FieldType.OTHER,
            "The prefix of MAC addresses.",
            lambda row: _or_unavailable(row.network.mac_prefix),
        ),
        F(
            "free_count",
            "FreeCount",
            FieldType.NUMBER,
            "The number of free addresses.",
            lambda row: row.taken.count("."),
        ),
        F(
            "reserved_count",
            "ReservedCount",
            FieldType.NUMBER,
            "The number of used or reserved addresses.",
            lambda row: row.taken.count("X"),
        ),
        F(
            "map",
            "Map",
            FieldType.TEXT,
            "The state of each address: X used or reserved, . free.",
            lambda row: row.taken,
        ),
        F(
            "external_reservations",
            "ExternalReservations",
            FieldType.TEXT,
            "The externally reserved addresses.",
            lambda row: row.reserved,
        ),
        F(
            "group_cnt",
            "NodeGroups",
            FieldType.NUMBER,
            "The number of connected node groups.",
            lambda r: len(r.groups),
        ),
        F(
            "group_list",
            "GroupList",
            FieldType.OTHER,
            "The connected node groups, with mode, link and VLAN.",
            lambda row: row.groups,
        ),
        F(
            "inst_cnt",
            "Instances",
            FieldType.NUMBER,
            "The number of instances that use the network.",
            lambda r: len(r.instances),
        ),
        F(
            "inst_list",
            "InstanceList",
            FieldType.OTHER,
            "The instances that use the network.",
            lambda row: row.instances,
        ),
    )
)


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[NetworkRow]:
    """Return all networks sorted by name, or those with these names or UUIDs in the given order.

    :raises Refused: if one of the networks does not exist.
    """
    if names is None:
        found = in_order(moment.networks.values(), lambda network: network.name)
    else:
        found = [moment.state.network(name) for name in names]
    return [NetworkRow(moment, network) for network in found]
