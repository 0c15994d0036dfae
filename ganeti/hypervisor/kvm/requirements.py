# SPDX-License-Identifier: BSD-2-Clause
"""The checks of KVM parameters on a node, beyond their types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ganeti.errors import Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import GuestDevices
from ganeti.hypervisor.kvm.devices import DISK_DEVICES, ide_slots
from ganeti.hypervisor.kvm.dhcp_server import needs_server
from ganeti.hypervisor.kvm.firmware import find_firmware
from ganeti.hypervisor.kvm.programs import QemuProgram
from ganeti.hypervisor.kvm.spice import KEY_FILES, is_address
from ganeti.hypervisor.kvm.tap_devices import find_link_problem
from ganeti.hypervisor.kvm.tpm import find_tpm_problem
from ganeti.model.guest import CheckScope
from ganeti.model.parameters.kvm import BIOS, NO_CHROOT, Kvm
from ganeti.model.running import is_older
from ganeti.schema.records import replace
from ganeti.schema.shell import split_shell_words
from ganeti.system.interfaces import IFiles

FILES = (
    "kernel_path",
    "initrd_path",
    "cdrom_image_path",
    "cdrom2_image_path",
    "floppy_image_path",
    "vnc_password_file",
    "vnc_x509_path",
    "mem_path",
    "spice_password_file",
)
"""Parameters that are the path of a file or directory on the node."""

WITHOUT = {"use_chroot": (False, NO_CHROOT)}
"""Parameters that are not supported, the only values that are accepted for them, and why.

Other values cannot be set, but configurations of Ganeti may contain them.
"""


def problems(
    kvm: Kvm, equipment: GuestDevices, files: IFiles, program: QemuProgram | None, keys: str
) -> Iterator[Problem]:
    """Yield the problems that keep a guest with these parameters from running on this node.

    ``program`` is None if the features of the node's QEMU are unknown. ``keys`` is the folder of
    the cluster's certificates.
    """
    yield from _device_problems(kvm, equipment, files, program)
    if equipment.scope is CheckScope.EQUIPMENT:
        return
    yield from _missing_files(kvm, files)
    if kvm.spice_bind:
        yield from _spice_problems(kvm, files, program, keys)
    if kvm.kvm_tpm and (reason := find_tpm_problem(files)):
        yield Problem("kvm_tpm", reason)
    if program is not None:
        lacking = list(_program_problems(program, kvm))
        yield from lacking
        if not lacking and kvm.kvm_firmware != BIOS:
            try:
                find_firmware(kvm.kvm_firmware, program.machine(kvm.machine_version), files)
            except Refused as error:
                yield Problem("kvm_firmware", str(error))
        if not lacking and is_older(program.version, equipment.minimum_version):
            yield Problem("kvm_path", describe_older_qemu(program, equipment.minimum_version))
    if equipment.scope is CheckScope.ALL:
        yield from _parameter_problems(kvm)


def _device_problems(
    kvm: Kvm, equipment: GuestDevices, files: IFiles, program: QemuProgram | None
) -> Iterator[Problem]:
    """Yield the problems of network cards and disks that cannot be attached."""
    for index, card in enumerate(equipment.nics):
        if kvm.kvm_net == "host":
            if obstacle := find_link_problem(card, files):
                yield Problem(f"nics/{index}", obstacle)
            continue
        if card.rules is not None:
            words = "anti_spoofing, firewall and bandwidths need kvm_net=host; remove them"
            yield Problem(f"nics/{index}", words)
        if needs_server(card):
            words = (
                "the tags dhcp and ra of its network need kvm_net=host; with kvm_net=user, QEMU"
                " itself gives the guest an address: set the card's network to none"
            )
            yield Problem(f"nics/{index}", words)
    if program is not None:
        # An unknown machine type is a problem of its own, which ``_program_problems`` yields.
        with suppress(Refused):
            kvm = replace(kvm, machine_version=program.machine(kvm.machine_version))
    if reason := find_disk_problem(kvm, equipment.disks):
        yield Problem("disk_type", reason)


def _missing_files(kvm: Kvm, files: IFiles) -> Iterator[Problem]:
    """Yield the problems of files and devices that do not exist on the node."""
    for name in FILES:
        path = getattr(kvm, name)
        if path.startswith("/") and files.stat(path) is None:
            yield Problem(name, f"{path} does not exist on this node")
    # The default is replaced by a search in the path if it does not exist.
    if kvm.kvm_path != Kvm().kvm_path and files.stat(kvm.kvm_path) is None:
        yield Problem("kvm_path", f"{kvm.kvm_path} does not exist on this node")
    if kvm.kvm_accel == "kvm" and files.stat("/dev/kvm") is None:
        yield Problem("kvm_accel", "/dev/kvm does not exist on this node")


def _spice_problems(
    kvm: Kvm, files: IFiles, program: QemuProgram | None, keys: str
) -> Iterator[Problem]:
    """Yield the problems of SPICE."""
    if program is not None and not program.spice:
        yield Problem(
            "spice_bind",
            f"QEMU {program.version} ({program.binary}) has no SPICE; install it (on Debian:"
            " apt-get install qemu-system-modules-spice)",
        )
    if not is_address(kvm.spice_bind) and not files.stat(f"/sys/class/net/{kvm.spice_bind}"):
        yield Problem(
            "spice_bind",
            f"{kvm.spice_bind} is neither an address nor a network device of this node",
        )
    for name in KEY_FILES if kvm.spice_use_tls else ():
        if not files.stat(f"{keys}/{name}"):
            yield Problem(
                "spice_use_tls",
                f"{keys}/{name} does not exist on this node; put it there on all nodes"
                " (gnt-cluster copyfile)",
            )


def _program_problems(program: QemuProgram, kvm: Kvm) -> Iterator[Problem]:
    """Yield the problems of features that the node's QEMU lacks."""
    if reason := program.find_cpu_problem(kvm.cpu_type):
        yield Problem("cpu_type", reason)
    try:
        program.machine(kvm.machine_version)
    except Refused as error:
        yield Problem("machine_version", str(error))


def describe_older_qemu(program: QemuProgram, version: str) -> str:
    """Return the problem of a guest that runs on a newer QEMU than this node's."""
    return (
        f"QEMU {program.version} ({program.binary}) is older than {version}, on which the guest"
        " runs; install that version on this node, or if the guest has an older machine type, use"
        " gnt-instance migrate --ignore-hvversions"
    )


def _parameter_problems(kvm: Kvm) -> Iterator[Problem]:
    """Yield the problems of the parameters themselves."""
    yield from missing(kvm)
    for name in ("disk_type", "cdrom_disk_type"):
        kind = getattr(kvm, name)
        if kind and kind not in DISK_DEVICES:
            offered = ", ".join(DISK_DEVICES)
            yield Problem(name, f"{kind} is not supported; use one of {offered}")
    if kvm.disk_aio == "native" and kvm.disk_cache != "none":
        yield Problem("disk_aio", "native needs disk_cache=none")
    try:
        split_shell_words(kvm.kvm_extra, "kvm_extra")
    except Invalid as error:
        yield from error.problems


def missing(kvm: Kvm) -> Iterator[Problem]:
    """Yield the problems of parameters that are not supported, such as for isolation."""
    for name, (without, why) in WITHOUT.items():
        if getattr(kvm, name) != without:
            words = f"is not supported by this version; set it to default: {why}"
            yield Problem(name, words)


def find_disk_problem(kvm: Kvm, count: int) -> str:
    """Return why this many disks cannot be attached; empty if they can."""
    if kvm.disk_type != "ide":
        return ""
    drives = sum(1 for image in (kvm.cdrom_image_path, kvm.cdrom2_image_path) if image)
    slots = ide_slots(kvm)
    if count + drives <= slots:
        return ""
    return f"disk_type=ide supports {slots} disks and CD drives; use paravirtual"
