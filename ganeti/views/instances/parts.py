# SPDX-License-Identifier: BSD-2-Clause
"""Fields of an instance's disks and network cards: all of them in a list, and each by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ganeti.model.disk import Disk
from ganeti.query.fields import Field, FieldStatus, FieldType
from ganeti.views.instances.row import InstanceRow, NicColumns

MAX_DISKS = 16
MAX_NICS = 8


@dataclass(frozen=True)
class FieldFamily:
    """Fields of one thing that is known of every disk or card: a list, and one field for each.

    ``each`` and ``title`` name the fields by number, ``all`` and ``title_of_all`` the list.
    """

    each: str
    title: str
    all: str
    title_of_all: str
    doc: str
    values: Callable[[InstanceRow], Sequence[Any]]
    kind: FieldType = FieldType.TEXT
    count: int = MAX_NICS

    def fields(self) -> Iterator[Field[InstanceRow]]:
        """The fields of the family."""
        if self.all:
            yield Field(
                self.all, self.title_of_all, FieldType.OTHER, f"{self.doc}, in a list.", self.values
            )
        for number in range(self.count):
            yield Field(
                f"{self.each}/{number}",
                f"{self.title}/{number}",
                self.kind,
                f"{self.doc}, of number {number}.",
                partial(_of_number, self.values, number),
            )


def _of_number(
    values: Callable[[InstanceRow], Sequence[Any]], number: int, row: InstanceRow
) -> Any:
    found = values(row)
    if number >= len(found) or found[number] is None:
        return FieldStatus.UNAVAILABLE
    return found[number]


def _disks(of: Callable[[Disk], Any]) -> Callable[[InstanceRow], Sequence[Any]]:
    return lambda row: [of(disk) for disk in row.disks]


def _cards(of: Callable[[NicColumns], Any]) -> Callable[[InstanceRow], Sequence[Any]]:
    return lambda row: [of(card) for card in row.cards]


def _network_names(row: InstanceRow) -> list[str | None]:
    networks = row.moment.networks
    return [networks[nic.network].name if nic.network else None for nic in row.instance.nics]


def _bridge(card: NicColumns) -> str | None:
    return card.link if card.mode == "bridged" else None


def _vlan(card: NicColumns) -> str | None:
    return card.vlan if card.mode == "openvswitch" else None


def _disk_family(
    each: str, title: str, plural: str, doc: str, of: Callable[[Disk], Any], kind: FieldType
) -> FieldFamily:
    values = _disks(of)
    return FieldFamily(f"disk.{each}", title, f"disk.{each}s", plural, doc, values, kind, MAX_DISKS)


DISKS = (
    _disk_family("size", "Disk", "Disk_sizes", "Disk size", lambda d: d.size, FieldType.UNIT),
    _disk_family("name", "DiskName", "Disk_names", "Disk name", lambda d: d.name, FieldType.TEXT),
    _disk_family("uuid", "DiskUUID", "Disk_UUIDs", "Disk UUID", lambda d: d.uuid, FieldType.TEXT),
    FieldFamily(
        "disk.spindles",
        "DiskSpindles",
        "disk.spindles",
        "Disk_spindles",
        "Spindles of the disk",
        _disks(lambda disk: disk.spindles),
        FieldType.NUMBER,
        MAX_DISKS,
    ),
)


def _nic_family(
    each: str, title: str, plural: str, doc: str, of: Callable[[NicColumns], Any]
) -> FieldFamily:
    return FieldFamily(f"nic.{each}", title, f"nic.{each}s", plural, doc, _cards(of))


NICS = (
    _nic_family("mac", "NicMAC", "NIC_MACs", "MAC address", lambda card: card.nic.mac),
    _nic_family("ip", "NicIP", "NIC_IPs", "IP address", lambda card: card.nic.ip),
    _nic_family("name", "NicName", "NIC_Names", "Card name", lambda card: card.nic.name),
    _nic_family("uuid", "NicUUID", "NIC_UUIDs", "Card UUID", lambda card: card.nic.uuid),
    _nic_family("mode", "NicMode", "NIC_modes", "Card mode", lambda card: card.mode),
    _nic_family("link", "NicLink", "NIC_links", "Link", lambda card: card.link),
    _nic_family("vlan", "NicVLAN", "NIC_VLANs", "VLAN on a switch", _vlan),
    _nic_family("bridge", "NicBridge", "NIC_bridges", "Bridge of a bridged card", _bridge),
    _nic_family(
        "network", "NicNetwork", "NIC_networks", "Network UUID", lambda card: card.nic.network
    ),
    FieldFamily(
        "nic.network.name",
        "NicNetworkName",
        "nic.networks.names",
        "NIC_networks_names",
        "Network name",
        _network_names,
    ),
)

COUNTS: tuple[Field[InstanceRow], ...] = (
    Field("disk.count", "Disks", FieldType.NUMBER, "How many disks.", lambda row: len(row.disks)),
    Field(
        "nic.count",
        "NICs",
        FieldType.NUMBER,
        "How many network cards.",
        lambda r: len(r.instance.nics),
    ),
)


def part_fields() -> Iterator[Field[InstanceRow]]:
    """Every field of disks and network cards."""
    yield from COUNTS
    for family in (*DISKS, *NICS):
        yield from family.fields()
