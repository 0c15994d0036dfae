# SPDX-License-Identifier: BSD-2-Clause
"""QEMU options for disks, CD drives and network cards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.cd_drives import cd_drives
from ganeti.model.disk import Disk, DiskMode, get_format
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import RunningDisk

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


def is_q35(kvm: Kvm) -> bool:
    """Return whether the machine type is a Q35, whose buses are PCI Express and SATA."""
    return "q35" in kvm.machine_version.partition(",")[0]


def ide_slots(kvm: Kvm) -> int:
    """Return how many IDE disks and CD drives the machine supports."""
    return 6 if is_q35(kvm) else 4


def device_id(kind: str, uuid: str) -> str:
    """Return the id of the device of a disk or network card in QEMU."""
    # The tap device has the same digits, and their number is what fits into its name.
    return f"{kind}-{uuid.replace('-', '')[:12]}"


def disk_id(disk: Disk | RunningDisk) -> str:
    """Return the id of a disk's device, and the name of its drive."""
    return device_id("disk", disk.uuid)


def nic_id(card: GuestNic) -> str:
    """Return the id of a network card's device."""
    return device_id("nic", card.uuid)


def netdev_id(card: GuestNic) -> str:
    """Return the id of a network card's connection to the host."""
    return device_id("net", card.uuid)


def at_slot(name: str, slots: Mapping[str, str]) -> list[str]:
    """Return the option that puts a device into its recorded slot, if there is one.

    A slot is an address on the root bus, or the name of a PCI Express root port.
    """
    if (slot := slots.get(name)) is None:
        return []
    return [f"addr={slot}" if slot.startswith("0x") else f"bus={slot}"]


def escaped(value: str) -> str:
    """Escape a value in a QEMU option: commas are doubled."""
    return value.replace(",", ",,")


def controller_options(kvm: Kvm, slots: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of the SCSI controller, if a drive needs it."""
    # Only if it is needed: devices get their addresses in order, and a controller takes one.
    if kvm.disk_type.startswith("scsi") or kvm.cdrom_disk_type.startswith("scsi"):
        options = [_CONTROLLERS[kvm.scsi_controller_type], "id=scsi", *at_slot("scsi", slots)]
        yield from ("-device", ",".join(options))


def disks(
    attached: Sequence[AttachedDisk], kvm: Kvm, slots: Mapping[str, str], *, reopens: bool = True
) -> Iterator[str]:
    """Yield the options of the disks in order; the first is the boot disk by default.

    ``reopens`` is whether QEMU can open them again after it has started.
    """
    device = DISK_DEVICES.get(kvm.disk_type, kvm.disk_type)
    # QEMU loads a kernel of the node by itself, without the boot order of the firmware.
    boots = kvm.boot_order == "disk" and not kvm.kernel_path
    for index, disk in enumerate(attached):
        name = disk_id(disk.disk)
        # if=none: the device is declared separately, as it needs a name and an address of its own.
        # QEMU never probes for the format: a guest could write the header of another one into a
        # raw disk, with the name of any file of the node in it.
        options = [
            f"file={escaped(disk.path)}",
            f"format={get_format(disk.disk).value}",
            "if=none",
            f"id={name}",
        ]
        if kvm.disk_cache != "default":
            options.append(f"cache={kvm.disk_cache}")
        # Native asynchronous I/O needs O_DIRECT, that is cache=none.
        options.append("aio=native" if uses_native_aio(kvm) else "aio=threads")
        if kvm.disk_discard != "default":
            options.append(f"discard={kvm.disk_discard}")
        if disk.disk.mode is DiskMode.READ_ONLY:
            options.append("readonly=on")
        elif not reopens:
            # By default, QEMU opens a disk for reading, and again when the guest may write: that
            # is when it has arrived by a migration.
            options.append("auto-read-only=off")
        yield from ("-drive", ",".join(options))
        first = ["bootindex=1"] if boots and index == 0 else []
        yield from (
            "-device",
            ",".join(
                [
                    f"{device},id={name},drive={name}",
                    *_bus_options(device, index, kvm),
                    *at_slot(name, slots),
                    *first,
                ]
            ),
        )


def uses_native_aio(kvm: Kvm) -> bool:
    return kvm.disk_aio == "native" and kvm.disk_cache == "none"


def _bus_options(device: str, slot: int, kvm: Kvm) -> list[str]:
    if device.startswith("ide"):
        bus, unit = (slot, 0) if is_q35(kvm) else divmod(slot, _DRIVES_PER_BUS)
        return [f"bus=ide.{bus}", f"unit={unit}"]
    return ["bus=scsi.0"] if device.startswith("scsi") else []


def cdrom_options(kvm: Kvm, empty: Collection[str]) -> Iterator[str]:
    """Yield the options of the CD drives; those of the parameters in ``empty`` have no image."""
    kind = kvm.cdrom_disk_type or kvm.disk_type
    device = "scsi-cd" if kind.startswith("scsi") else "ide-cd"
    for index, cd in enumerate(cd_drives(kvm, empty)):
        name = cd.name
        image = f"file={escaped(cd.image)},format=raw," if cd.image else ""
        drive = f"{image}if=none,id={name},media=cdrom,readonly=on"
        yield from ("-drive", drive)
        boots = kvm.boot_order == "cdrom" and not kvm.kernel_path and index == 0
        first = ["bootindex=1"] if boots else []
        # From the last slot down, so that disks keep the first ones.
        bus = _bus_options(device, ide_slots(kvm) - 1 - index, kvm)
        yield from ("-device", ",".join([f"{device},drive={name}", *bus, *first]))


def seed_options(path: str, slots: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of the volume for the first boot, whatever the type of the disks."""
    # All images with cloud-init have the driver of virtio, but those for clouds have no others.
    yield from ("-drive", f"file={escaped(path)},format=raw,if=none,id=seed,readonly=on")
    yield from ("-device", ",".join(["virtio-blk-pci,id=seed,drive=seed", *at_slot("seed", slots)]))


def floppy_options(kvm: Kvm) -> Iterator[str]:
    """Yield the options of the floppy drive, if it has an image."""
    if kvm.floppy_image_path:
        image = escaped(kvm.floppy_image_path)
        yield from ("-drive", f"file={image},format=raw,if=floppy,readonly=on")


def nic_device(kvm: Kvm) -> str:
    """Return the QEMU device of network cards."""
    return "virtio-net-pci" if kvm.nic_type == "paravirtual" else kvm.nic_type


def count_queues(kvm: Kvm) -> int:
    """Return how many queues network cards have: only those of virtio have more than one.

    The tap device must be created for as many: the kernel rejects to open one for several queues
    as one for a single queue.
    """
    return kvm.virtio_net_queues if nic_device(kvm) == "virtio-net-pci" else 1


def queue_vectors(kvm: Kvm) -> int:
    """Return the interrupt vectors of a card with several queues; 0 if it has one."""
    queues = count_queues(kvm)
    if queues <= 1 or kvm.kvm_net != "host":
        return 0
    # Two vectors per queue, one for configuration changes, one for the control queue.
    return 2 * queues + 2


def nics(cards: Sequence[GuestNic], kvm: Kvm, slots: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of the network cards in order."""
    for index, card in enumerate(cards):
        name = nic_id(card)
        yield from ("-netdev", _netdev_option(card, kvm, forwards=index == 0))
        options = [f"{nic_device(kvm)},id={name},netdev={netdev_id(card)}", f"mac={card.mac}"]
        options += at_slot(name, slots)
        if kvm.boot_order == "network" and not kvm.kernel_path and index == 0:
            options.append("bootindex=1")
        if vectors := queue_vectors(kvm):
            options += ["mq=on", f"vectors={vectors}"]
        yield from ("-device", ",".join(options))


def _netdev_option(card: GuestNic, kvm: Kvm, *, forwards: bool) -> str:
    name = netdev_id(card)
    if kvm.kvm_net == "user":
        ports = kvm.kvm_forward_ports.split() if forwards else []
        # Port 0 is any that is free: several guests of a node forward the same port.
        return ",".join(
            [f"user,id={name}", *(f"hostfwd=tcp:127.0.0.1:0-:{each}" for each in ports)]
        )
    # The node daemon connects the tap device; QEMU would run its own scripts for it otherwise.
    options = [f"tap,id={name}", f"ifname={tap(card)}", "script=no", "downscript=no"]
    if kvm.nic_type == "paravirtual":
        options += ["vhost=on"] if kvm.vhost_net else []
    # By default, QEMU uses the header if the kernel has it.
    options += [] if kvm.vnet_hdr else ["vnet_hdr=off"]
    if (queues := count_queues(kvm)) > 1:
        options.append(f"queues={queues}")
    return ",".join(options)


def tap(card: GuestNic) -> str:
    """Return the name of a card's tap device: unique by its UUID, and within the kernel's 15
    bytes."""
    return f"gnt{card.uuid.replace('-', '')[:12]}"
