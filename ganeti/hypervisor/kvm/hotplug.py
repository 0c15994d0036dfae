# SPDX-License-Identifier: BSD-2-Clause
"""Adds devices to a running guest and removes them, through QEMU's monitor.

The guest has to agree to a removal: QEMU asks it by ACPI, and the device is gone when the guest has
released it. After each change the bus addresses of all devices are read, because a migration needs
a machine that has each device at the same address, and no order of options would give them again.
Where a machine has root ports, the port of each device is chosen and recorded before it is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.devices import (
    count_queues,
    device_id,
    disk_id,
    is_q35,
    netdev_id,
    nic_device,
    nic_id,
    queue_vectors,
    tap,
    uses_native_aio,
)
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.pcie_ports import has_ported_nics
from ganeti.hypervisor.kvm.qemu_command import read
from ganeti.hypervisor.kvm.qemu_files import QemuFiles
from ganeti.model.disk import Disk, DiskMode, get_format
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import RunningConfig
from ganeti.schema.shell import split_shell_words
from ganeti.system.interfaces import FileAccess

_RELEASE_TIMEOUT = 30.0
"""How long a guest may take to release a device, in seconds; one that boots does not answer."""
_CLOSE_TIMEOUT = 5.0
_POLL_INTERVAL = 0.05

_MACHINES = "i440fx"
"""Part of the names of machine types whose root bus takes devices while the guest runs."""


def find_problem(running: RunningConfig, name: str) -> str:
    """Return why devices of the guest ``name`` cannot change; ``running`` are its settings."""
    restart = f"restart it: gnt-instance reboot {name}"
    if running.started_by:
        return f"instance {name} was started by {running.started_by}; {restart}"
    if running.slots is None:
        return f"instance {name} was started by an older version; {restart}"
    kvm = read({**running.hvparams, **running.chosen})
    machine = kvm.machine_version
    if is_q35(kvm) and not running.ports:
        return f"instance {name} was started by an older version; {restart}"
    if _MACHINES not in machine and not running.ports:
        return (
            f"the machine type {machine} of instance {name} has no slots for devices that are"
            " added while it runs; set machine_version=pc or q35 and restart it"
        )
    if not kvm.acpi:
        return f"instance {name} runs without acpi, and would not notice a new device"
    if "-device" in split_shell_words(kvm.kvm_extra, "kvm_extra"):
        # Their addresses follow from those that are free, and would differ after a migration.
        return f"instance {name} has devices from kvm_extra, which could not be migrated afterwards"
    return ""


def require_hot_disk(kvm: Kvm, name: str) -> None:
    """Check that disks of the guest ``name`` can be added and removed while it runs.

    :raises Refused: they cannot.
    """
    if kvm.disk_type != "paravirtual":
        raise Refused(
            f"disks of type {kvm.disk_type} cannot be added or removed while instance {name} runs;"
            " set disk_type=paravirtual and restart it",
            Code.STATE,
        )


def require_hot_nic(running: RunningConfig, name: str) -> None:
    """Check that network cards of the guest ``name`` can be added and removed while it runs.

    :raises Refused: they cannot.
    """
    kvm = read(running.hvparams)
    if running.ports and not has_ported_nics(kvm):
        raise Refused(
            f"network cards of type {kvm.nic_type} cannot be added or removed while instance {name}"
            " runs, as its machine type q35 has PCI Express; set nic_type=paravirtual and restart"
            " it",
            Code.STATE,
        )


async def add_disk(
    qemu: Monitor,
    attached: AttachedDisk,
    kvm: Kvm,
    *,
    device_file: bool,
    port: str = "",
    files: QemuFiles | None = None,
) -> None:
    """Add a disk; do nothing if it is there. ``device_file`` is whether its path is a device.

    With ``port``, it is behind this root port. With ``files``, it is opened for QEMU.

    :raises CommandFailed: QEMU cannot open it, or has no free slot; nothing remains.
    """
    name = disk_id(attached.disk)
    # An earlier attempt may have added it, although its answer was lost.
    if name in await _read_devices(qemu):
        return
    # The earlier attempt may also have ended between the two commands.
    if name not in await _read_drives(qemu):
        path = attached.path
        if files is not None:
            read_only = attached.disk.mode is DiskMode.READ_ONLY
            access = FileAccess.READ if read_only else FileAccess.READ_WRITE
            path = await files.pass_file(qemu, path, access)
        options = _drive_options(attached.disk, path, kvm, device_file=device_file)
        await qemu.execute("blockdev-add", **options)
    # blockdev-add has no cache mode: whether the guest sees a write cache is up to the device.
    device = {"write_cache": "off"} if kvm.disk_cache == "writethrough" else {}
    device |= {"bus": port} if port else {}
    try:
        await qemu.execute("device_add", driver="virtio-blk-pci", id=name, drive=name, **device)
    except CommandFailed:
        # Otherwise QEMU keeps the image open, and locked.
        await qemu.execute("blockdev-del", node_name=name)
        raise


def _drive_options(disk: Disk, path: str, kvm: Kvm, *, device_file: bool) -> dict[str, Any]:
    """Return the description of a drive that equals the options of ``devices.disks``."""
    read_only = disk.mode is DiskMode.READ_ONLY
    discard = {} if kvm.disk_discard == "default" else {"discard": kvm.disk_discard}
    return {
        "driver": get_format(disk).value,
        "node_name": disk_id(disk),
        "read_only": read_only,
        "cache": {"direct": kvm.disk_cache == "none"},
        **discard,
        "file": {
            # blockdev-add does not choose the driver by the kind of file, as -drive does, and QEMU
            # rejects a device for the driver of files.
            "driver": "host_device" if device_file else "file",
            "filename": path,
            "aio": "native" if uses_native_aio(kvm) else "threads",
        },
    }


async def add_nic(
    qemu: Monitor, card: GuestNic, kvm: Kvm, *, port: str = "", files: QemuFiles | None = None
) -> None:
    """Add a network card whose tap device exists; do nothing if the guest has it.

    With ``port``, it is behind this root port. With ``files``, the device is opened for QEMU.

    :raises CommandFailed: QEMU cannot open the tap device, or has no free slot; nothing remains.
    """
    name, connection = nic_id(card), netdev_id(card)
    if name in await _read_devices(qemu):
        return
    # One that an earlier attempt left would make netdev_add fail, as its id is taken.
    await _remove_connection(qemu, connection)
    connection_options = _connection_options(card, kvm)
    if files is not None and kvm.kvm_net == "host":
        vhost = bool(connection_options.get("vhost"))
        passed = await files.pass_tap(
            qemu, card, queues=count_queues(kvm), vhost=vhost, vnet_hdr=kvm.vnet_hdr
        )
        # QEMU rejects options for a device that it opens itself.
        for each in ("ifname", "script", "downscript", "queues", "vnet_hdr"):
            connection_options.pop(each, None)
        connection_options |= passed
    await qemu.execute("netdev_add", **connection_options)
    vectors = queue_vectors(kvm)
    options: dict[str, Any] = {"mq": True, "vectors": vectors} if vectors else {}
    options |= {"bus": port} if port else {}
    try:
        await qemu.execute(
            "device_add",
            driver=nic_device(kvm),
            id=name,
            netdev=connection,
            mac=card.mac,
            **options,
        )
    except CommandFailed:
        await _remove_connection(qemu, connection)
        raise


def _connection_options(card: GuestNic, kvm: Kvm) -> dict[str, Any]:
    """Return the description of a connection that equals the options of ``devices.nics``."""
    if kvm.kvm_net == "user":
        return {"type": "user", "id": netdev_id(card)}
    options: dict[str, Any] = {
        "type": "tap",
        "id": netdev_id(card),
        "ifname": tap(card),
        "script": "no",
        "downscript": "no",
    }
    if kvm.nic_type == "paravirtual":
        options |= {"vhost": True} if kvm.vhost_net else {}
    options |= {} if kvm.vnet_hdr else {"vnet_hdr": False}
    if (queues := count_queues(kvm)) > 1:
        options["queues"] = queues
    return options


async def remove_disk(qemu: Monitor, uuid: str, clock: IReactorTime) -> None:
    """Remove a disk, and close what it was read from; succeed if it is not there.

    :raises Failed: the guest does not release it.
    """
    name = device_id("disk", uuid)
    await _remove_device(qemu, name, clock)
    # QEMU closes the drives of its command line itself when their device is gone.
    if name in await _read_drives(qemu):
        await _close_drive(qemu, name, clock)


async def _close_drive(qemu: Monitor, name: str, clock: IReactorTime) -> None:
    """Close what a disk was read from; QEMU ends a device a moment after it is gone from lists."""
    deadline = clock.seconds() + _CLOSE_TIMEOUT
    while True:
        try:
            await qemu.execute("blockdev-del", node_name=name)
            return
        except CommandFailed as error:
            if "in use" not in str(error) or clock.seconds() >= deadline:
                raise
        await deferLater(clock, _POLL_INTERVAL)


async def remove_nic(qemu: Monitor, card: GuestNic, clock: IReactorTime) -> None:
    """Remove a network card and its connection; succeed if it is not there.

    :raises Failed: the guest does not release it.
    """
    await _remove_device(qemu, nic_id(card), clock)
    await _remove_connection(qemu, netdev_id(card))


async def _remove_connection(qemu: Monitor, name: str) -> None:
    try:
        await qemu.execute("netdev_del", id=name)
    except CommandFailed as error:
        # An earlier attempt has removed it.
        if "not found" not in str(error):
            raise


async def _remove_device(qemu: Monitor, name: str, clock: IReactorTime) -> None:
    """Request the guest to release a device, and wait until it has."""
    deadline = clock.seconds() + _RELEASE_TIMEOUT
    while name in await _read_devices(qemu):
        if clock.seconds() >= deadline:
            raise Failed(
                f"the guest has not released device {name} within {_RELEASE_TIMEOUT:g} s; stop"
                " using it in the guest, and see that the guest has booted",
                Code.STATE,
            )
        # Repeated, as a guest that boots ignores a request; while it handles one, this fails.
        with suppress(CommandFailed):
            await qemu.execute("device_del", id=name)
        await deferLater(clock, _POLL_INTERVAL)


async def read_slots(qemu: Monitor) -> dict[str, str]:
    """Return the addresses on the root bus of all devices that have an id."""
    return {
        device["qdev_id"]: f"{device['slot']:#x}"
        for bus in await qemu.execute("query-pci")
        if bus["bus"] == 0
        for device in bus["devices"]
        # Devices without an id are part of the machine type, and have the same address everywhere.
        if device["qdev_id"]
    }


async def _read_devices(qemu: Monitor) -> set[str]:
    found = await qemu.execute("qom-list", path="/machine/peripheral")
    return _names(found, "name")


async def _read_drives(qemu: Monitor) -> set[str]:
    return _names(await qemu.execute("query-named-block-nodes"), "node-name")


def _names(found: list[Mapping[str, Any]], key: str) -> set[str]:
    return {str(each[key]) for each in found if key in each}
