# SPDX-License-Identifier: BSD-2-Clause
"""Fields of disks and network cards: a list of all values, and a field for each index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.model.disk import Disk
from ganeti.query.fields import Field, FieldStatus, FieldType
from ganeti.views.instances.row import InstanceRow, NicColumns

MAX_DISKS = 16
MAX_NICS = 8


@dataclass(frozen=True)
class FieldFamily:
    """Fields for one property of disks or network cards: a list, and one field for each index.

    ``each`` and ``title`` are the name and title of the fields by index, ``all`` and
    ``list_title`` those of the list.
    """

    each: str
    title: str
    all: str
    list_title: str
    doc: str
    values: Callable[[InstanceRow], Sequence[object]]
    kind: FieldType = FieldType.TEXT
    count: int = MAX_NICS

    def fields(self) -> Iterator[Field[InstanceRow]]:
        """Yield the fields of the family."""
        if self.all:
            yield Field(
                self.all,
                self.list_title,
                FieldType.OTHER,
                f"{self.doc} 0, 1, …, as a list.",
                self.values,
            )
        for number in range(self.count):
            yield Field(
                f"{self.each}/{number}",
                f"{self.title}/{number}",
                self.kind,
                f"{self.doc} {number}.",
                partial(_item_value, self.values, number),
            )


def _item_value(
    values: Callable[[InstanceRow], Sequence[object]], number: int, row: InstanceRow
) -> object:
    found = values(row)
    if number >= len(found) or found[number] is None:
        return FieldStatus.UNAVAILABLE
    return found[number]


def _disk_values(of: Callable[[Disk], object]) -> Callable[[InstanceRow], Sequence[object]]:
    return lambda row: [of(disk) for disk in row.disks]


def _nic_values(of: Callable[[NicColumns], object]) -> Callable[[InstanceRow], Sequence[object]]:
    return lambda row: [of(card) for card in row.cards]


def _network_names(row: InstanceRow) -> list[str | None]:
    networks = row.moment.networks
    return [networks[nic.network].name if nic.network else None for nic in row.instance.nics]


def _bridge(card: NicColumns) -> str | None:
    return card.link if card.mode == "bridged" else None


def _vlan(card: NicColumns) -> str | None:
    # In Ganeti, only cards at Open vSwitch have VLANs: those have text, others none.
    if card.mode == "openvswitch":
        return card.vlan
    return card.vlan or None if card.mode == "bridged" else None


def _disk_family(
    each: str, title: str, plural: str, doc: str, of: Callable[[Disk], object], kind: FieldType
) -> FieldFamily:
    values = _disk_values(of)
    return FieldFamily(f"disk.{each}", title, f"disk.{each}s", plural, doc, values, kind, MAX_DISKS)


DISKS = (
    _disk_family(
        "size", "Disk", "Disk_sizes", "The size of disk", lambda d: d.size, FieldType.UNIT
    ),
    _disk_family(
        "name", "DiskName", "Disk_names", "The name of disk", lambda d: d.name, FieldType.TEXT
    ),
    _disk_family(
        "uuid", "DiskUUID", "Disk_UUIDs", "The UUID of disk", lambda d: d.uuid, FieldType.TEXT
    ),
    FieldFamily(
        "disk.spindles",
        "DiskSpindles",
        "disk.spindles",
        "Disk_spindles",
        "The number of spindles of disk",
        _disk_values(lambda disk: disk.spindles),
        FieldType.NUMBER,
        MAX_DISKS,
    ),
)


def _nic_family(
    each: str, title: str, plural: str, doc: str, of: Callable[[NicColumns], object]
) -> FieldFamily:
    return FieldFamily(f"nic.{each}", title, f"nic.{each}s", plural, doc, _nic_values(of))


NICS = (
    _nic_family(
        "mac",
        "NicMAC",
        "NIC_MACs",
        "The MAC address of network card",
        lambda card: card.nic.mac,
    ),
    _nic_family(
        "ip", "NicIP", "NIC_IPs", "The IP address of network card", lambda card: card.nic.ip
    ),
    _nic_family(
        "name", "NicName", "NIC_Names", "The name of network card", lambda card: card.nic.name
    ),
    _nic_family(
        "uuid", "NicUUID", "NIC_UUIDs", "The UUID of network card", lambda card: card.nic.uuid
    ),
    _nic_family("mode", "NicMode", "NIC_modes", "The mode of network card", lambda card: card.mode),
    _nic_family("link", "NicLink", "NIC_links", "The link of network card", lambda card: card.link),
    _nic_family("vlan", "NicVLAN", "NIC_VLANs", "The VLAN of network card", _vlan),
    _nic_family("bridge", "NicBridge", "NIC_bridges", "The bridge of network card", _bridge),
    _nic_family(
        "network",
        "NicNetwork",
        "NIC_networks",
        "The network UUID of network card",
        lambda card: card.nic.network,
    ),
    FieldFamily(
        "nic.network.name",
        "NicNetworkName",
        "nic.networks.names",
        "NIC_networks_names",
        "The network name of network card",
        _network_names,
    ),
)

COUNTS: tuple[Field[InstanceRow], ...] = (
    Field(
        "disk.count", "Disks", FieldType.NUMBER, "The number of disks.", lambda row: len(row.disks)
    ),
    Field(
        "nic.count",
        "NICs",
        FieldType.NUMBER,
        "The number of network cards.",
        lambda r: len(r.instance.nics),
    ),
)


def device_fields() -> Iterator[Field[InstanceRow]]:
    """Yield all fields of disks and network cards."""
    yield from COUNTS
    for family in (*DISKS, *NICS):
        yield from family.fields()
