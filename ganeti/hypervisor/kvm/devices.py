# SPDX-License-Identifier: BSD-2-Clause
"""QEMU options for disks, CD drives and network cards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.model.disk import DiskMode
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm

DISK_DEVICES: Mapping[str, str] = {
    "paravirtual": "virtio-blk-pci",
    "ide": "ide-hd",
    "scsi": "scsi-hd",
    "scsi-hd": "scsi-hd",
    "scsi-block": "scsi-block",
    "scsi-generic": "scsi-generic",
    "scsi-cd": "scsi-cd",
}
"""The QEMU device of each disk type; the remaining types are flash memory of other machines."""

_DRIVES_PER_BUS = 2
"""Drives per bus of the PC's IDE controller; the AHCI controller of a Q35 has one per bus."""

_CONTROLLERS: Mapping[str, str] = {
    "lsi": "lsi53c895a",
    "megasas": "megasas",
    "virtio-scsi-pci": "virtio-scsi-pci",
}


def _is_q35(kvm: Kvm) -> bool:
    return "q35" in kvm.machine_version.partition(",")[0]


def ide_slots(kvm: Kvm) -> int:
    """Return how many IDE disks and CD drives the machine supports."""
    return 6 if _is_q35(kvm) else 4


def escaped(value: str) -> str:
    """Escape a value in a QEMU option: commas are doubled."""
    return value.replace(",", ",,")


def controller_options(kvm: Kvm) -> Iterator[str]:
    """Yield the options of the SCSI controller, if a drive needs it."""
    if kvm.disk_type.startswith("scsi") or kvm.cdrom_disk_type.startswith("scsi"):
        yield from ("-device", f"{_CONTROLLERS[kvm.scsi_controller_type]},id=scsi")


def disks(attached: Sequence[AttachedDisk], kvm: Kvm) -> Iterator[str]:
    """Yield the options of the disks in order; the first is the boot disk by default."""
    device = DISK_DEVICES.get(kvm.disk_type, kvm.disk_type)
    boots = kvm.boot_order == "disk" and not kvm.kernel_path
    for index, disk in enumerate(attached):
        name = f"disk{index}"
        options = [f"file={escaped(disk.path)}", "format=raw", "if=none", f"id={name}"]
        if kvm.disk_cache != "default":
            options.append(f"cache={kvm.disk_cache}")
        # Native asynchronous I/O needs O_DIRECT, that is cache=none.
        options.append("aio=native" if _uses_native_aio(kvm) else "aio=threads")
        if kvm.disk_discard != "default":
            options.append(f"discard={kvm.disk_discard}")
        if disk.disk.mode is DiskMode.READ_ONLY:
            options.append("readonly=on")
        yield from ("-drive", ",".join(options))
        first = ["bootindex=1"] if boots and index == 0 else []
        yield from (
            "-device",
            ",".join([f"{device},drive={name}", *_bus_options(device, index, kvm), *first]),
        )


def _uses_native_aio(kvm: Kvm) -> bool:
    return kvm.disk_aio == "native" and kvm.disk_cache == "none"


def _bus_options(device: str, slot: int, kvm: Kvm) -> list[str]:
    if device.startswith("ide"):
        bus, unit = (slot, 0) if _is_q35(kvm) else divmod(slot, _DRIVES_PER_BUS)
        return [f"bus=ide.{bus}", f"unit={unit}"]
    return ["bus=scsi.0"] if device.startswith("scsi") else []


def cdrom_options(kvm: Kvm) -> Iterator[str]:
    """Yield the options of the CD drives that have an image."""
    kind = kvm.cdrom_disk_type or kvm.disk_type
    device = "scsi-cd" if kind.startswith("scsi") else "ide-cd"
    images = [image for image in (kvm.cdrom_image_path, kvm.cdrom2_image_path) if image]
    for index, image in enumerate(images):
        name = f"cdrom{index}"
        drive = f"file={escaped(image)},format=raw,if=none,id={name},media=cdrom,readonly=on"
        yield from ("-drive", drive)
        boots = kvm.boot_order == "cdrom" and not kvm.kernel_path and index == 0
        first = ["bootindex=1"] if boots else []
        # From the last slot down, so that disks keep the first ones.
        bus = _bus_options(device, ide_slots(kvm) - 1 - index, kvm)
        yield from ("-device", ",".join([f"{device},drive={name}", *bus, *first]))


def floppy_options(kvm: Kvm) -> Iterator[str]:
    """Yield the options of the floppy drive, if it has an image."""
    if kvm.floppy_image_path:
        image = escaped(kvm.floppy_image_path)
        yield from ("-drive", f"file={image},format=raw,if=floppy,readonly=on")


def nics(cards: Sequence[GuestNic], kvm: Kvm) -> Iterator[str]:
    """Yield the options of the network cards in order."""
    device = "virtio-net-pci" if kvm.nic_type == "paravirtual" else kvm.nic_type
    for index, card in enumerate(cards):
        name = f"nic{index}"
        yield from ("-netdev", _netdev_option(card, name, kvm))
        options = [f"{device},netdev={name}", f"mac={card.mac}"]
        if kvm.boot_order == "network" and not kvm.kernel_path and index == 0:
            options.append("bootindex=1")
        queues = kvm.virtio_net_queues
        if device == "virtio-net-pci" and queues > 1 and kvm.kvm_net == "host":
            # Two vectors per queue, one for configuration changes, one for the control queue.
            options += ["mq=on", f"vectors={2 * queues + 2}"]
        yield from ("-device", ",".join(options))


def _netdev_option(card: GuestNic, name: str, kvm: Kvm) -> str:
    if kvm.kvm_net == "user":
        return f"user,id={name}"
    options = [f"tap,id={name}", f"ifname={tap(card)}", "script=no", "downscript=no"]
    if kvm.nic_type == "paravirtual":
        options += ["vhost=on"] if kvm.vhost_net else []
        options += [f"queues={kvm.virtio_net_queues}"] if kvm.virtio_net_queues > 1 else []
    return ",".join(options)


def tap(card: GuestNic) -> str:
    """Return the name of a card's tap device: unique by its UUID, and within the kernel's 15
    bytes."""
    return f"gnt{card.uuid.replace('-', '')[:12]}"
