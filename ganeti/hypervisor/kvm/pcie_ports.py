# SPDX-License-Identifier: BSD-2-Clause
"""The PCI Express root ports of a guest with machine type q35, and the devices behind them.

A device on the root bus of a q35 machine stays until the guest stops; one behind a root port can be
added and removed (QEMU's docs/pcie.txt). So each disk and network card has a port of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ganeti.errors import Code, Refused
from ganeti.hypervisor.kvm.devices import disk_id, nic_device, nic_id
from ganeti.model.disk import Disk
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm

SPARE_PORTS = 8
"""How many devices a guest can get while it runs. Firmware takes time for each port."""

_FIRST_SLOT = 0x8
_LAST_SLOT = 0x18
"""Slots of the root bus for root ports: QEMU numbers other devices from 1 on, and those of the
machine type itself are from 0x19 on."""
_FUNCTIONS = 8


def assign_ports(kvm: Kvm, disks: Sequence[Disk], cards: Sequence[GuestNic]) -> dict[str, str]:
    """Return the root port of each device that is behind one at the start of a guest, by its id."""
    devices = [disk_id(each) for each in disks] if has_ported_disks(kvm) else []
    devices += [nic_id(each) for each in cards] if has_ported_nics(kvm) else []
    return {name: _name(index) for index, name in enumerate(devices)}


def count_ports(slots: Mapping[str, str]) -> int:
    """Return how many root ports a guest is started with that has devices in ``slots``."""
    return min(len(slots) + SPARE_PORTS, (_LAST_SLOT - _FIRST_SLOT + 1) * _FUNCTIONS)


def has_ported_disks(kvm: Kvm) -> bool:
    """Return whether each disk is a device on the PCI bus; others are behind one controller."""
    return kvm.disk_type == "paravirtual"


def has_ported_nics(kvm: Kvm) -> bool:
    """Return whether network cards are PCI Express devices, as root ports need."""
    return nic_device(kvm) == "virtio-net-pci"


def port_options(count: int) -> Iterator[str]:
    """Yield the options of the root ports of a guest."""
    for index in range(count):
        slot, function = divmod(index, _FUNCTIONS)
        options = [
            f"pcie-root-port,id={_name(index)}",
            f"bus=pcie.0,addr={_FIRST_SLOT + slot:#x}.{function},multifunction=on",
            f"chassis={index + 1},port={index:#x}",
            # Devices of PCI Express need no I/O ports, of which there are too few for many of them.
            "io-reserve=0",
        ]
        yield from ("-device", ",".join(options))


def find_free_port(slots: Mapping[str, str], count: int, name: str) -> str:
    """Return a root port without a device.

    :raises Refused: the guest ``name`` has none.
    """
    taken = set(slots.values())
    for index in range(count):
        if _name(index) not in taken:
            return _name(index)
    raise Refused(
        f"instance {name} has no free slot for another device: all {count} PCI Express ports are in"
        f" use; it gets {SPARE_PORTS} free ones when it is restarted: gnt-instance reboot {name}",
        Code.STATE,
    )


def _name(index: int) -> str:
    return f"port{index}"
