# SPDX-License-Identifier: BSD-2-Clause
"""Fields for single backend and hypervisor parameters, including those of unsupported
hypervisors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ganeti.query.fields import Field, FieldStatus, FieldType
from ganeti.views.instances.row import InstanceRow

_BACKEND = (
    (
        "always_failover",
        "be/always_failover",
        FieldType.BOOL,
        "Whether a failover replaces the migration of the instance.",
    ),
    (
        "auto_balance",
        "Auto_balance",
        FieldType.BOOL,
        "Whether the N+1 check includes the instance.",
    ),
    ("maxmem", "ConfigMaxMem", FieldType.UNIT, "The maximum memory."),
    ("memory", "ConfigMaxMem", FieldType.UNIT, "The older name of be/maxmem."),
    ("minmem", "ConfigMinMem", FieldType.UNIT, "The minimum memory."),
    (
        "spindle_use",
        "be/spindle_use",
        FieldType.NUMBER,
        "The number of spindles that the instance uses.",
    ),
    ("vcpus", "ConfigVCPUs", FieldType.NUMBER, "The number of virtual processors."),
)

_BOOLEANS = """
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
    """Yield the fields of all single parameters."""
    for name, title, kind, text in _BACKEND:
        yield Field(f"be/{name}", title, kind, text, partial(_backend_value, name))
    for kind, names in (
        (FieldType.BOOL, _BOOLEANS),
        (FieldType.NUMBER, _NUMBERS),
        (FieldType.OTHER, _OTHERS),
    ):
        for name in names.split():
            title = _TITLES.get(name, f"hv/{name}")
            text = f"The hypervisor parameter {name}."
            yield Field(f"hv/{name}", title, kind, text, partial(_hypervisor_value, name))


def _backend_value(name: str, row: InstanceRow) -> object:
    return row.beparams.get(name, FieldStatus.UNAVAILABLE)


def _hypervisor_value(name: str, row: InstanceRow) -> object:
    return row.hvparams.get(name, FieldStatus.UNAVAILABLE)
