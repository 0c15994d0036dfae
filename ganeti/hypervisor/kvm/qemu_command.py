# SPDX-License-Identifier: BSD-2-Clause
"""The QEMU command line of a guest; pure functions."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.balloon import balloon_options
from ganeti.hypervisor.kvm.devices import (
    at_slot,
    cdrom_options,
    controller_options,
    disks,
    escaped,
    floppy_options,
    nics,
    seed_options,
)
from ganeti.hypervisor.kvm.firmware import Firmware
from ganeti.hypervisor.kvm.pcie_ports import port_options
from ganeti.hypervisor.kvm.processor_affinity import affinity_options
from ganeti.hypervisor.kvm.qemu_user import QemuUser
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths
from ganeti.hypervisor.kvm.spice import agent_options, sound_options, spice_options
from ganeti.hypervisor.kvm.tpm import tpm_options
from ganeti.model.guest import Guest
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import is_older
from ganeti.schema.shell import split_shell_words
from ganeti.schema.types import Parameters

FIRST_VNC_PORT = 5900
"""The port of VNC display 0."""

_SOFTWARE_CPU = "max,la57=off"
"""All features of software emulation except five-level page tables, which hang Linux at boot."""


class Accelerator(enum.StrEnum):
    """How QEMU executes a guest: by the processor's virtualization, or in software."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class LoadedFirmware:
    """A UEFI firmware, and the file with the variables of the guest."""

    firmware: Firmware
    variables: str


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What the node determines: the QEMU program, the accelerator, the paths of sockets, the UEFI
    firmware, if it is not the BIOS, the user that QEMU runs as, if it is not root, and for SPICE
    the address and the folder of the certificate.

    ``version`` is that of the program.
    """

    binary: str
    accelerator: Accelerator
    places: RuntimePaths
    firmware: LoadedFirmware | None = None
    user: QemuUser | None = None
    version: str = ""
    spice_address: str = ""
    keys: str = ""


NO_SLOTS: Mapping[str, str] = {}
"""The order of the devices determines their addresses."""

_SOFTWARE_EXTRA_KIB = 8
"""Memory added to guests without KVM, so that their writes survive a migration.

QEMU before 9.0 searches the pages that such a guest has written since the last pass in one of two
ways. The one for memory sizes in multiples of 256 KiB does not track these pages again, so later
writes to them are lost. Other sizes use the correct way.
"""


def read(hvparams: Parameters) -> Kvm:
    """Return the complete parameters as a record, without unknown ones.

    :raises msgspec.ValidationError: if a value has the wrong type.
    """
    known = set(Kvm.__struct_fields__)
    return msgspec.convert({k: v for k, v in hvparams.items() if k in known}, Kvm)


def command(
    guest: Guest,
    attached: Sequence[AttachedDisk],
    machine: HostSettings,
    *,
    paused: bool = False,
    incoming: bool = False,
    slots: Mapping[str, str] = NO_SLOTS,
    ports: int = 0,
    empty_drives: Collection[str] = (),
    seed: bool = False,
    balloon: bool = False,
) -> list[str]:
    """Return the command line of a guest; ``incoming`` waits for a migration.

    Devices in ``slots`` get this bus address or root port, as the guest that arrives has them
    there. A machine with PCI Express has that many root ``ports``.
    ``empty_drives`` are the parameters of CD drives that the guest has although they have no image.
    With ``seed``, it has the volume for its first boot, with ``balloon`` a memory balloon.

    With -daemonize, QEMU stays in the foreground until the machine is ready, so that errors during
    its start have a message and an exit code.
    """
    kvm = read(guest.hvparams)
    return [
        *affinity_options(kvm),
        machine.binary,
        *("-name", escaped(guest.name), "-uuid", guest.uuid),
        # Tells the guest its name, and the software that it runs on.
        *("-smbios", f"type=1,manufacturer=Ganeti,serial={escaped(guest.name)}"),
        # A machine must be the same on both nodes of a migration: no configuration of the host, and
        # no devices that QEMU adds by itself.
        *("-no-user-config", "-nodefaults", "-daemonize", "-pidfile", machine.places.pid),
        *_user_options(machine.user, machine.version),
        *_processor_options(guest, kvm, machine),
        *_firmware_options(machine.firmware, reopens=machine.user is None),
        *("-m", _memory_size(guest, machine.accelerator)),
        *(("-mem-path", kvm.mem_path, "-mem-prealloc") if kvm.mem_path else ()),
        *_monitor_options(machine.places),
        *_serial_options(kvm, machine.places),
        *_graphics_options(guest, kvm, machine),
        *_boot_options(kvm),
        *port_options(ports),
        *controller_options(kvm, slots),
        *disks(attached, kvm, slots, reopens=machine.user is None),
        *cdrom_options(kvm, empty_drives),
        *floppy_options(kvm),
        *nics(guest.nics, kvm, slots),
        *_agent_options(kvm, machine.places, slots),
        *(tpm_options(machine.places.tpm) if kvm.kvm_tpm else ()),
        *(seed_options(machine.places.seed, slots) if seed else ()),
        # After all devices that earlier versions had on the root bus, which keep their addresses.
        *(balloon_options(slots) if balloon else ()),
        *(agent_options(slots) if kvm.spice_bind and kvm.spice_use_vdagent else ()),
        *sound_options(kvm, slots),
        *_usb_options(kvm),
        *(("-rtc", "base=localtime") if kvm.use_localtime else ()),
        *(("-no-reboot",) if kvm.reboot_behavior == "exit" else ()),
        *(("-S",) if paused else ()),
        # QEMU writes the reason of a failed migration to standard error, which is lost in the
        # background; with -D it is written to the log file.
        *(("-incoming", "defer", "-D", machine.places.log) if incoming else ()),
        *split_shell_words(kvm.kvm_extra, "kvm_extra"),
    ]


def _user_options(user: QemuUser | None, version: str) -> Iterator[str]:
    if user is None:
        return
    ids = f"{user.user}:{user.group}"
    # -runas is deprecated since 9.1, and missing in 10.0.
    old = is_older(version, "9.1")
    yield from ("-runas", ids) if old else ("-run-with", f"user={ids}")
    # With any filter, QEMU sets no_new_privs: no program that it runs can get powers, for example
    # by a set-user-ID bit. The filters "elevateprivileges" and "spawn" would end it, as it changes
    # its user (-runas) and creates a process (-daemonize) after they are in effect.
    yield from ("-sandbox", "on,obsolete=deny,resourcecontrol=deny")


def _processor_options(guest: Guest, kvm: Kvm, host: HostSettings) -> Iterator[str]:
    machine = [kvm.machine_version or "pc", f"accel={host.accelerator.value}"]
    if not kvm.acpi:
        machine.append("acpi=off")
    if host.firmware and host.firmware.firmware.secure:
        machine.append("smm=on")
    yield from ("-machine", ",".join(machine))
    if model := cpu_model(kvm, host.accelerator):
        yield from ("-cpu", model)
    topology = {"sockets": kvm.cpu_sockets, "cores": kvm.cpu_cores, "threads": kvm.cpu_threads}
    wishes = [f"{name}={count}" for name, count in topology.items() if count]
    yield from ("-smp", ",".join([str(guest.vcpus), *wishes]))


def _firmware_options(loaded: LoadedFirmware | None, *, reopens: bool) -> Iterator[str]:
    if loaded is None:
        return
    if loaded.firmware.secure:
        # Only code in system management mode, that is the firmware, may write variables.
        yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")
    code = f"if=pflash,unit=0,format=raw,readonly=on,file={escaped(loaded.firmware.code)}"
    yield from ("-drive", code)
    variables = f"if=pflash,unit=1,format=raw,file={escaped(loaded.variables)}"
    # As for disks.
    yield from ("-drive", variables if reopens else f"{variables},auto-read-only=off")


def cpu_model(kvm: Kvm, accelerator: Accelerator) -> str:
    """Return the CPU model of a guest; empty for QEMU's default, which all hosts support."""
    return kvm.cpu_type or (_SOFTWARE_CPU if accelerator is Accelerator.TCG else "")


def _memory_size(guest: Guest, accelerator: Accelerator) -> str:
    if accelerator is Accelerator.TCG:
        return f"{guest.memory * 1024 + _SOFTWARE_EXTRA_KIB}K"
    return f"{guest.memory}M"


def _monitor_options(places: RuntimePaths) -> Iterator[str]:
    yield from ("-chardev", _socket_chardev("qmp", places.qmp))
    yield from ("-mon", "chardev=qmp,mode=control")


def _serial_options(kvm: Kvm, places: RuntimePaths) -> Iterator[str]:
    if kvm.serial_console:
        yield from (
            "-chardev",
            _socket_chardev("serial", places.serial),
            "-serial",
            "chardev:serial",
        )


def _agent_options(kvm: Kvm, places: RuntimePaths, slots: Mapping[str, str]) -> Iterator[str]:
    if kvm.use_guest_agent:
        yield from (
            "-chardev",
            _socket_chardev("agent", places.agent),
            "-device",
            ",".join(["virtio-serial-pci,id=ports", *at_slot("ports", slots)]),
        )
        yield from ("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")


def _socket_chardev(name: str, path: str) -> str:
    # Without wait=off, QEMU would not start the guest before a client connects.
    return f"socket,id={name},path={escaped(path)},server=on,wait=off"


def _graphics_options(guest: Guest, kvm: Kvm, host: HostSettings) -> Iterator[str]:
    # Otherwise QEMU opens a window, or fails where it cannot.
    yield from ("-display", "none")
    usual = "qxl" if kvm.spice_bind else "std" if kvm.vnc_bind_address else "none"
    yield from ("-vga", kvm.vga or usual)
    if kvm.spice_bind and guest.network_port is not None:
        yield from spice_options(kvm, guest.network_port, host.spice_address, host.keys)
    if not kvm.vnc_bind_address:
        return
    if kvm.vnc_bind_address.startswith("/"):
        options = [f"unix:{kvm.vnc_bind_address.rstrip('/')}/{guest.name}.vnc"]
    elif guest.network_port is not None:
        options = [f"{kvm.vnc_bind_address}:{guest.network_port - FIRST_VNC_PORT}"]
    else:
        return
    if kvm.vnc_tls:
        yield from ("-object", _tls_credentials(kvm))
        options.append("tls-creds=vnc-tls")
    if kvm.vnc_password_file:
        yield from ("-object", f"secret,id=vnc-password,file={escaped(kvm.vnc_password_file)}")
        options.append("password-secret=vnc-password")
    yield from ("-vnc", ",".join(options))
    if kvm.keymap:
        yield from ("-k", kvm.keymap)


def _tls_credentials(kvm: Kvm) -> str:
    if not kvm.vnc_x509_path:
        return "tls-creds-anon,id=vnc-tls,endpoint=server"
    verify = "on" if kvm.vnc_x509_verify else "off"
    folder = escaped(kvm.vnc_x509_path)
    return f"tls-creds-x509,id=vnc-tls,dir={folder},endpoint=server,verify-peer={verify}"


def _boot_options(kvm: Kvm) -> Iterator[str]:
    if not kvm.kernel_path:
        # Disks, CD drives and network cards have a boot index instead.
        yield from ("-boot", "a" if kvm.boot_order == "floppy" else "menu=off")
        return
    yield from ("-kernel", kvm.kernel_path)
    if kvm.initrd_path:
        yield from ("-initrd", kvm.initrd_path)
    words = [f"root={kvm.root_path}"] if kvm.root_path else []
    words += [kvm.kernel_args] if kvm.kernel_args else []
    # Last: Linux opens the last console= as /dev/console.
    words += [f"console=ttyS0,{kvm.serial_speed}"] if kvm.serial_console else []
    yield from ("-append", " ".join(words))


def _usb_options(kvm: Kvm) -> Iterator[str]:
    devices = [each for each in kvm.usb_devices.split(",") if each]
    devices += [f"usb-{kvm.usb_mouse}"] if kvm.usb_mouse else []
    if devices:
        yield "-usb"
    for device in devices:
        yield from ("-device", device)
