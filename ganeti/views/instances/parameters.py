# SPDX-License-Identifier: BSD-2-Clause
"""Fields of single backend and hypervisor parameters, those of other hypervisors included."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ganeti.query.fields import Field, FieldStatus, FieldType
from ganeti.views.instances.row import InstanceRow

_BACKEND = (
    ("always_failover", "be/always_failover", FieldType.BOOL, "Whether it is never migrated."),
    ("auto_balance", "Auto_balance", FieldType.BOOL, "Whether N+1 checks count it."),
    ("maxmem", "ConfigMaxMem", FieldType.UNIT, "The most memory it gets."),
    ("memory", "ConfigMaxMem", FieldType.UNIT, "The older name of be/maxmem."),
    ("minmem", "ConfigMinMem", FieldType.UNIT, "The least memory it runs with."),
    ("spindle_use", "be/spindle_use", FieldType.NUMBER, "How many spindles it counts for."),
    ("vcpus", "ConfigVCPUs", FieldType.NUMBER, "How many virtual processors it gets."),
)

_TRUTHS = """
    acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent
    use_bootloader use_chroot use_guest_agent use_localtime user_shutdown vhost_net viridian
    vnc_tls vnc_x509_verify vnet_hdr
"""
_NUMBERS = """
    cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations
    migration_downtime num_ttys serial_speed spice_ip_version startup_timeout virtio_net_queues
"""
_OTHERS = """
    blockdev_prefix boot_order bootloader_args bootloader_path cdrom2_image_path cdrom_disk_type
    cdrom_image_path cpu_mask cpu_type cpuid device_model devices disk_aio disk_cache
    disk_discard disk_type drop_capabilities extra_cgroups extra_config floppy_image_path
    init_script initrd_path kernel_args kernel_path keymap kvm_extra kvm_flag kvm_path
    machine_version mem_path migration_caps nic_type pci_pass reboot_behavior root_path
    scsi_controller_type security_domain security_model soundhw spice_bind
    spice_image_compression spice_jpeg_wan_compression spice_password_file
    spice_streaming_video spice_tls_ciphers spice_zlib_glz_wan_compression usb_devices
    usb_mouse vga vif_script vif_type vnc_bind_address vnc_password_file vnc_x509_path
"""
_TITLES = {
    "acpi": "ACPI",
    "boot_order": "Boot_order",
    "cdrom_image_path": "CDROM_image_path",
    "cpu_type": "cpu_type",
    "disk_type": "Disk_type",
    "initrd_path": "Initrd_path",
    "kernel_path": "Kernel_path",
    "nic_type": "NIC_type",
    "pae": "PAE",
    "pci_pass": "pci_pass",
    "vnc_bind_address": "VNC_bind_address",
}


def parameter_fields() -> Iterator[Field[InstanceRow]]:
    """Every field of a single parameter."""
    for name, title, kind, text in _BACKEND:
        yield Field(f"be/{name}", title, kind, text, partial(_backend, name))
    for kind, names in (
        (FieldType.BOOL, _TRUTHS),
        (FieldType.NUMBER, _NUMBERS),
        (FieldType.OTHER, _OTHERS),
    ):
        for name in names.split():
            title = _TITLES.get(name, f"hv/{name}")
            text = f"The hypervisor parameter {name}."
            yield Field(f"hv/{name}", title, kind, text, partial(_hypervisor, name))


def _backend(name: str, row: InstanceRow) -> Any:
    return row.beparams.get(name, FieldStatus.UNAVAILABLE)


def _hypervisor(name: str, row: InstanceRow) -> Any:
    return row.hvparams.get(name, FieldStatus.UNAVAILABLE)
