# SPDX-License-Identifier: BSD-2-Clause
"""What a node has to say to parameters of KVM guests, beyond what they are in themselves."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.errors import Invalid, Problem
from ganeti.hypervisor.kvm.devices import DISK_DEVICES, IDE_SLOTS
from ganeti.model.parameters.kvm import Kvm
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

NOT_OFFERED = {"spice_bind": "", "soundhw": "", "security_model": "none", "use_chroot": False}
"""Parameters that this software does not offer, with the values that do without."""


def problems(kvm: Kvm, files: IFiles) -> Iterator[Problem]:
    """Everything that would keep a guest with these parameters from starting here."""
    for name in FILES:
        path = getattr(kvm, name)
        if path.startswith("/") and files.stat(path) is None:
            yield Problem(name, f"there is no {path} on this node")
    for name, without in NOT_OFFERED.items():
        if getattr(kvm, name) != without:
            yield Problem(name, "is not offered by this software: leave it at its default")
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


def too_many_disks(kvm: Kvm, count: int) -> str:
    """Why so many disks cannot be attached; empty if they can."""
    if kvm.disk_type != "ide":
        return ""
    drives = sum(1 for image in (kvm.cdrom_image_path, kvm.cdrom2_image_path) if image)
    if count + drives <= IDE_SLOTS:
        return ""
    return f"disk_type=ide has room for {IDE_SLOTS} disks and CD drives; use paravirtual"
