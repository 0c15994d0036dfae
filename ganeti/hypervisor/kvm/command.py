# SPDX-License-Identifier: BSD-2-Clause
"""How QEMU is called for a guest: a pure function from what is wanted to its arguments."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.devices import cdroms, controllers, disks, escaped, floppy, nics
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths
from ganeti.model.guest import Guest
from ganeti.model.parameters.kvm import Kvm
from ganeti.schema.shell import shell_words
from ganeti.schema.types import Parameters

FIRST_VNC_PORT = 5900
"""QEMU counts VNC ports from here and calls the numbers displays."""

_SOFTWARE_CPU = "max,la57=off"
"""All that software emulation can do, but five-level page tables, with which Linux hangs early."""


class Accelerator(enum.StrEnum):
    """How QEMU executes a guest's instructions: by the processor, or in software."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a node adds to a guest: its QEMU, how it computes, and where its sockets are."""

    binary: str
    accelerator: Accelerator
    places: RuntimePaths


_SOFTWARE_EXTRA_KIB = 8
"""What a guest in software has beyond its memory, so that what it writes survives a migration.

QEMU before 9.0 looks for what such a guest changed since the last pass over its memory in one of
two ways. The one for memory in multiples of 256 KiB forgets to watch the pages again, and later
writes to them are lost. No multiple of 256 KiB takes that way.
"""


def read(hvparams: Parameters) -> Kvm:
    """The filled parameters as a record; names that are not ours are left out.

    :raises msgspec.ValidationError: values of other types than declared.
    """
    known = set(Kvm.__struct_fields__)
    return msgspec.convert({k: v for k, v in hvparams.items() if k in known}, Kvm)


def command(
    guest: Guest,
    attached: Sequence[AttachedDisk],
    machine: Machine,
    *,
    paused: bool = False,
    incoming: bool = False,
) -> list[str]:
    """The program and its arguments; ``incoming`` waits for the guest to be sent by another.

    QEMU goes into the background by itself once the machine is ready, so that an error has been
    written and an exit code is there when it has not.
    """
    kvm = read(guest.hvparams)
    return [
        *_pinned(kvm),
        machine.binary,
        *("-name", escaped(guest.name), "-uuid", guest.uuid),
        # So that a guest can learn its name, and what software it runs on.
        *("-smbios", f"type=1,manufacturer=Ganeti,serial={escaped(guest.name)}"),
        *("-no-user-config", "-nodefaults", "-daemonize", "-pidfile", machine.places.pid),
        *_processor(guest, kvm, machine.accelerator),
        *("-m", _memory(guest, machine.accelerator)),
        *(("-mem-path", kvm.mem_path, "-mem-prealloc") if kvm.mem_path else ()),
        *_monitor(machine.places),
        *_serial(kvm, machine.places),
        *_graphics(guest, kvm, machine.places),
        *_boot(kvm),
        *controllers(kvm),
        *disks(attached, kvm),
        *cdroms(kvm),
        *floppy(kvm),
        *nics(guest.nics, kvm),
        *_agent(kvm, machine.places),
        *_usb(kvm),
        *(("-rtc", "base=localtime") if kvm.use_localtime else ()),
        *(("-no-reboot",) if kvm.reboot_behavior == "exit" else ()),
        *(("-S",) if paused else ()),
        # Why a guest does not arrive is written to the standard error, which nobody reads once QEMU
        # is in the background; with a log file it goes there.
        *(("-incoming", "defer", "-D", machine.places.log) if incoming else ()),
        *shell_words(kvm.kvm_extra, "kvm_extra"),
    ]


def _pinned(kvm: Kvm) -> Iterator[str]:
    if kvm.cpu_mask != "all":
        yield from ("taskset", "--cpu-list", kvm.cpu_mask)


def _processor(guest: Guest, kvm: Kvm, accelerator: Accelerator) -> Iterator[str]:
    machine = [kvm.machine_version or "pc", f"accel={accelerator.value}"]
    if not kvm.acpi:
        machine.append("acpi=off")
    yield from ("-machine", ",".join(machine))
    if model := cpu_model(kvm, accelerator):
        yield from ("-cpu", model)
    topology = {"sockets": kvm.cpu_sockets, "cores": kvm.cpu_cores, "threads": kvm.cpu_threads}
    wishes = [f"{name}={count}" for name, count in topology.items() if count]
    yield from ("-smp", ",".join([str(guest.vcpus), *wishes]))


def cpu_model(kvm: Kvm, accelerator: Accelerator) -> str:
    """Return the CPU model of a guest; empty for QEMU's default, which any other host can give."""
    return kvm.cpu_type or (_SOFTWARE_CPU if accelerator is Accelerator.TCG else "")


def _memory(guest: Guest, accelerator: Accelerator) -> str:
    if accelerator is Accelerator.TCG:
        return f"{guest.memory * 1024 + _SOFTWARE_EXTRA_KIB}K"
    return f"{guest.memory}M"


def _monitor(places: RuntimePaths) -> Iterator[str]:
    yield from ("-chardev", _socket("qmp", places.qmp))
    yield from ("-mon", "chardev=qmp,mode=control")


def _serial(kvm: Kvm, places: RuntimePaths) -> Iterator[str]:
    if kvm.serial_console:
        yield from ("-chardev", _socket("serial", places.serial), "-serial", "chardev:serial")


def _agent(kvm: Kvm, places: RuntimePaths) -> Iterator[str]:
    if kvm.use_guest_agent:
        yield from ("-chardev", _socket("agent", places.agent), "-device", "virtio-serial-pci")
        yield from ("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")


def _socket(name: str, path: str) -> str:
    return f"socket,id={name},path={escaped(path)},server=on,wait=off"


def _graphics(guest: Guest, kvm: Kvm, places: RuntimePaths) -> Iterator[str]:
    yield from ("-display", "none")
    vga = kvm.vga or ("std" if kvm.vnc_bind_address else "none")
    yield from ("-vga", vga)
    if not kvm.vnc_bind_address:
        return
    if kvm.vnc_bind_address.startswith("/"):
        options = [f"unix:{kvm.vnc_bind_address.rstrip('/')}/{guest.name}.vnc"]
    elif guest.network_port is not None:
        options = [f"{kvm.vnc_bind_address}:{guest.network_port - FIRST_VNC_PORT}"]
    else:
        return
    if kvm.vnc_tls:
        yield from ("-object", _credentials(kvm))
        options.append("tls-creds=vnc-tls")
    if kvm.vnc_password_file:
        yield from ("-object", f"secret,id=vnc-password,file={escaped(kvm.vnc_password_file)}")
        options.append("password-secret=vnc-password")
    yield from ("-vnc", ",".join(options))
    if kvm.keymap:
        yield from ("-k", kvm.keymap)


def _credentials(kvm: Kvm) -> str:
    if not kvm.vnc_x509_path:
        return "tls-creds-anon,id=vnc-tls,endpoint=server"
    verify = "on" if kvm.vnc_x509_verify else "off"
    folder = escaped(kvm.vnc_x509_path)
    return f"tls-creds-x509,id=vnc-tls,dir={folder},endpoint=server,verify-peer={verify}"


def _boot(kvm: Kvm) -> Iterator[str]:
    if not kvm.kernel_path:
        yield from ("-boot", "a" if kvm.boot_order == "floppy" else "menu=off")
        return
    yield from ("-kernel", kvm.kernel_path)
    if kvm.initrd_path:
        yield from ("-initrd", kvm.initrd_path)
    words = [f"root={kvm.root_path}"] if kvm.root_path else []
    words += [kvm.kernel_args] if kvm.kernel_args else []
    words += [f"console=ttyS0,{kvm.serial_speed}"] if kvm.serial_console else []
    yield from ("-append", " ".join(words))


def _usb(kvm: Kvm) -> Iterator[str]:
    devices = [each for each in kvm.usb_devices.split(",") if each]
    devices += [f"usb-{kvm.usb_mouse}"] if kvm.usb_mouse else []
    if devices:
        yield "-usb"
    for device in devices:
        yield from ("-device", device)
