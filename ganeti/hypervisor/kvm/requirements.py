# SPDX-License-Identifier: BSD-2-Clause
"""What a node has to say to parameters of KVM guests, beyond what they are in themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ganeti.errors import Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import Equipment
from ganeti.hypervisor.kvm.devices import DISK_DEVICES, ide_slots
from ganeti.hypervisor.kvm.network import missing_link
from ganeti.hypervisor.kvm.programs import QemuProgram
from ganeti.model.guest import CheckScope
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import is_older
from ganeti.schema.records import replace
from ganeti.schema.shell import shell_words
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
)
"""Parameters that name a file or folder of the node."""

WITHOUT = {"spice_bind": "", "soundhw": "", "security_model": "none", "use_chroot": False}
"""Parameters that nothing here does, with the only values for which a guest is as it is asked for.

They cannot be set to others, but configurations of other software may have them.
"""


def problems(
    kvm: Kvm, equipment: Equipment, files: IFiles, program: QemuProgram | None
) -> Iterator[Problem]:
    """Everything that would keep a guest with these parameters from running here.

    ``program`` is None if this node's QEMU cannot be asked what it offers.
    """
    yield from _unattachable(kvm, equipment, files, program)
    if equipment.scope is CheckScope.EQUIPMENT:
        return
    yield from _missing(kvm, files)
    if program is not None:
        lacking = list(_not_in(program, kvm))
        yield from lacking
        if not lacking and is_older(program.version, equipment.minimum_version):
            yield Problem("kvm_path", too_old(program, equipment.minimum_version))
    if equipment.scope is CheckScope.ALL:
        yield from _mistakes(kvm)


def _unattachable(
    kvm: Kvm, equipment: Equipment, files: IFiles, program: QemuProgram | None
) -> Iterator[Problem]:
    """Network cards and disks for which there is no place."""
    if kvm.kvm_net == "host":
        for index, card in enumerate(equipment.nics):
            if obstacle := missing_link(card, files):
                yield Problem(f"nics/{index}", obstacle)
    if program is not None:
        with suppress(Refused):
            kvm = replace(kvm, machine_version=program.machine(kvm.machine_version))
    if reason := too_many_disks(kvm, equipment.disks):
        yield Problem("disk_type", reason)


def _missing(kvm: Kvm, files: IFiles) -> Iterator[Problem]:
    """What the node does not have."""
    for name in FILES:
        path = getattr(kvm, name)
        if path.startswith("/") and files.stat(path) is None:
            yield Problem(name, f"there is no {path} on this node")
    if kvm.kvm_path != Kvm().kvm_path and files.stat(kvm.kvm_path) is None:
        yield Problem("kvm_path", f"there is no {kvm.kvm_path} on this node")
    if kvm.kvm_accel == "kvm" and files.stat("/dev/kvm") is None:
        yield Problem("kvm_accel", "there is no /dev/kvm on this node")


def _not_in(program: QemuProgram, kvm: Kvm) -> Iterator[Problem]:
    """What the node's QEMU does not offer."""
    if reason := program.lacks_cpu(kvm.cpu_type):
        yield Problem("cpu_type", reason)
    try:
        program.machine(kvm.machine_version)
    except Refused as error:
        yield Problem("machine_version", str(error))


def too_old(program: QemuProgram, version: str) -> str:
    """Return that a guest which runs in a newer QEMU is not taken, and what to do about it."""
    return (
        f"QEMU {program.version} ({program.binary}) is older than {version}, in which the guest "
        "runs; install that version here, or if the guest has a machine type of the older one: "
        "gnt-instance migrate --ignore-hvversions"
    )


def _mistakes(kvm: Kvm) -> Iterator[Problem]:
    """What can be told from the parameters alone."""
    yield from missing(kvm)
    for name in ("disk_type", "cdrom_disk_type"):
        kind = getattr(kvm, name)
        if kind and kind not in DISK_DEVICES:
            offered = ", ".join(DISK_DEVICES)
            yield Problem(name, f"{kind} is not offered by this software; use one of {offered}")
    if kvm.disk_aio == "native" and kvm.disk_cache != "none":
        yield Problem("disk_aio", "native needs disk_cache=none")
    if ":" in kvm.cpu_mask:
        yield Problem("cpu_mask", "one mask for each processor is not offered: give one for all")
    try:
        shell_words(kvm.kvm_extra, "kvm_extra")
    except Invalid as error:
        yield from error.problems


def missing(kvm: Kvm) -> Iterator[Problem]:
    """Everything that a guest with these parameters would be without, such as isolation."""
    for name, without in WITHOUT.items():
        if getattr(kvm, name) != without:
            words = "is not supported by this version: set it to default"
            yield Problem(name, words)


def too_many_disks(kvm: Kvm, count: int) -> str:
    """Why so many disks cannot be attached; empty if they can."""
    if kvm.disk_type != "ide":
        return ""
    drives = sum(1 for image in (kvm.cdrom_image_path, kvm.cdrom2_image_path) if image)
    slots = ide_slots(kvm)
    if count + drives <= slots:
        return ""
    return f"disk_type=ide has room for {slots} disks and CD drives; use paravirtual"
