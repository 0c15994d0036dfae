# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of the hypervisor *kvm*: QEMU with KVM, or with software emulation (TCG)."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from ganeti.errors import Problem
from ganeti.model.parameters.declaration import (
    AbsolutePath,
    Image,
    ParameterSet,
    RequiredPath,
    ShellWords,
    shared,
    unsupported,
)
from ganeti.schema.records import doc
from ganeti.schema.types import Count, Line

_CPUS = r"(all|\d+(-\d+)?(,\d+(-\d+)?)*)"
CpuMask: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"\A{_CPUS}(:{_CPUS})*\Z",
        extra={
            "rule": "must be 'all', CPUs like 0-3,5, or a ':' separated list of these, one per vCPU"
        },
    ),
]
DiskType: TypeAlias = Literal[
    "ide",
    "mtd",
    "paravirtual",
    "pflash",
    "scsi",
    "scsi-block",
    "scsi-cd",
    "scsi-generic",
    "scsi-hd",
    "sd",
]
CD_IMAGES = ("cdrom_image_path", "cdrom2_image_path")
"""The parameters with the images in the CD drives, in the order of the drives."""

BIOS, UEFI, UEFI_SECURE = "bios", "uefi", "uefi-secure"
"""The values of ``kvm_firmware``."""

NO_CHROOT = "QEMU would find none of the files that it needs there; use security_model=pool"
"""Why ``use_chroot`` is not supported."""

SOUND_CARDS = ("ac97", "es1370", "hda", "sb16")
"""The names in ``soundhw``."""

CdromType: TypeAlias = Literal[DiskType, ""]
NicType: TypeAlias = Literal[
    "e1000",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "paravirtual",
    "pcnet",
    "rtl8139",
]
Ports: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\A(\d{1,5}( \d{1,5})*)?\Z",
        extra={"rule": "must be port numbers separated by spaces, like 22 80"},
    ),
]
SerialSpeed: TypeAlias = Literal[
    75,
    110,
    300,
    600,
    1200,
    1800,
    2400,
    4800,
    9600,
    14400,
    19200,
    28800,
    38400,
    57600,
    115200,
    230400,
    345600,
    460800,
]
WanCompression: TypeAlias = Literal["", "always", "auto", "never"]
PciSlots: TypeAlias = Annotated[int, Meta(ge=0, le=32)]
Queues: TypeAlias = Annotated[int, Meta(ge=1, le=8)]
ListeningPort: TypeAlias = Annotated[int, Meta(ge=1, lt=65535)]


class Kvm(ParameterSet):
    """A QEMU guest; all parameters but ``kvm_accel``, ``kvm_firmware``, ``kvm_forward_ports``,
    ``kvm_net`` and ``kvm_tpm`` are those of Ganeti 3.0."""

    immediate: ClassVar[frozenset[str]] = frozenset(
        {
            "migration_bandwidth",
            "migration_caps",
            "migration_downtime",
            "migration_mode",
            "migration_port",
            "user_shutdown",
        }
    )

    acpi: Annotated[bool, doc("Whether the guest has ACPI; needed for a clean shutdown.")] = True
    boot_order: Annotated[Literal["cdrom", "disk", "floppy", "network"], doc("Boot device.")] = (
        "disk"
    )
    cdrom2_image_path: Annotated[Image, doc("Image in the second CD drive.")] = ""
    cdrom_disk_type: Annotated[CdromType, doc("Device type of CD drives; empty: as disk_type.")] = (
        ""
    )
    cdrom_image_path: Annotated[Image, doc("Image in the CD drive.")] = ""
    cpu_cores: Annotated[Count, doc("Number of cores per socket; 0: QEMU's default.")] = 0
    cpu_mask: Annotated[
        CpuMask,
        doc(
            "CPUs of the host that the guest may use: one mask, or one for each vCPU, with colons."
        ),
    ] = "all"
    cpu_sockets: Annotated[Count, doc("Number of CPU sockets; 0: QEMU's default.")] = 0
    cpu_threads: Annotated[Count, doc("Number of threads per core; 0: QEMU's default.")] = 0
    cpu_type: Annotated[Line, doc("CPU model with flags; empty: QEMU's default.")] = ""
    disk_aio: Annotated[Literal["native", "threads"], doc("Asynchronous I/O mode of disks.")] = (
        "threads"
    )
    disk_cache: Annotated[
        Literal["default", "none", "writeback", "writethrough"], doc("Cache mode of disks.")
    ] = "default"
    disk_discard: Annotated[
        Literal["default", "ignore", "unmap"], doc("Handling of discard requests of the guest.")
    ] = "default"
    disk_type: Annotated[DiskType, doc("Device type of disks.")] = "paravirtual"
    floppy_image_path: Annotated[AbsolutePath, doc("Image in the floppy drive.")] = ""
    initrd_path: Annotated[AbsolutePath, doc("Initial RAM disk for the kernel.")] = ""
    kernel_args: Annotated[Line, doc("Kernel arguments besides root and console.")] = "ro"
    kernel_path: Annotated[
        AbsolutePath, doc("Kernel on the host to boot; empty: use the guest's boot loader.")
    ] = "/boot/vmlinuz-3-kvmU"
    keymap: Annotated[Line, doc("Keyboard map of the VNC console.")] = ""
    kvm_accel: Annotated[
        Literal["auto", "kvm", "tcg"],
        doc("Accelerator: kvm, tcg (software emulation), or auto (kvm where it is available)."),
    ] = "auto"
    kvm_extra: Annotated[ShellWords, doc("Additional QEMU arguments, with shell quoting.")] = ""
    kvm_firmware: Annotated[
        Literal["bios", "uefi", "uefi-secure"],
        doc("Firmware: bios, uefi, or uefi-secure, which boots only what is signed (Secure Boot)."),
    ] = "bios"
    kvm_flag: Annotated[
        Literal["", "disabled", "enabled"],
        doc("Deprecated: use kvm_accel=tcg (for disabled) or kvm_accel=kvm (for enabled)."),
    ] = ""
    kvm_forward_ports: Annotated[
        Ports,
        doc(
            "TCP ports of the guest, separated by spaces, to which ports of the node's loopback"
            " address are forwarded; needs kvm_net=user."
        ),
    ] = ""
    kvm_net: Annotated[
        Literal["host", "user"],
        doc("Network backend: tap devices on the host, or QEMU's unprivileged user networking."),
    ] = "host"
    kvm_path: Annotated[RequiredPath, doc("Path of the QEMU program.")] = "/usr/bin/kvm"
    kvm_pci_reservations: Annotated[
        PciSlots,
        unsupported(
            "PCI slots reserved for QEMU's own devices.", "QEMU itself chooses slots that are free"
        ),
    ] = 12
    kvm_tpm: Annotated[
        Literal["", "2.0"], doc("Version of the guest's TPM: 2.0; empty: it has none.")
    ] = ""
    machine_version: Annotated[Line, doc("QEMU machine type; empty: QEMU's default.")] = ""
    mem_path: Annotated[AbsolutePath, doc("Mount point of huge pages for the memory.")] = ""
    migration_bandwidth: Annotated[Count, shared("Maximum migration bandwidth in MiB/s.")] = 32
    migration_caps: Annotated[
        Line, doc("QEMU migration capabilities to enable, separated by ':'.")
    ] = ""
    migration_downtime: Annotated[Count, doc("Maximum migration downtime in ms.")] = 30
    migration_mode: Annotated[
        Literal["live", "non-live"], shared("Whether guests keep running during a migration.")
    ] = "live"
    migration_port: Annotated[ListeningPort, shared("TCP port for incoming migrations.")] = 8102
    nic_type: Annotated[NicType, doc("Device model of network cards.")] = "paravirtual"
    reboot_behavior: Annotated[
        Literal["exit", "reboot"], doc("Effect of a reboot from inside the guest.")
    ] = "reboot"
    root_path: Annotated[Line | None, doc("Root file system, passed to the kernel.")] = "/dev/vda1"
    scsi_controller_type: Annotated[
        Literal["lsi", "megasas", "virtio-scsi-pci"], doc("Model of the SCSI controller.")
    ] = "lsi"
    security_domain: Annotated[
        Line, doc("User of the nodes that QEMU runs as; needs security_model=user.")
    ] = ""
    security_model: Annotated[
        Literal["none", "pool", "user"],
        doc(
            "User that QEMU runs as: none is root, pool is one of the cluster's uid_pool for each"
            " guest of a node, user is the one in security_domain."
        ),
    ] = "none"
    serial_console: Annotated[bool, doc("Whether the guest has a serial console.")] = True
    serial_speed: Annotated[SerialSpeed, doc("Baud rate of the serial console.")] = 38400
    soundhw: Annotated[
        Line, doc("Sound cards, separated by commas: ac97, es1370, hda or sb16.")
    ] = ""
    spice_bind: Annotated[
        Line, doc("Address or network device of the SPICE server; empty: none.")
    ] = ""
    spice_image_compression: Annotated[
        Literal["", "auto_glz", "auto_lz", "glz", "lz", "off", "quic"],
        doc("Image compression of SPICE."),
    ] = ""
    spice_ip_version: Annotated[
        Literal[0, 4, 6], doc("IP version of the SPICE server; 0: any.")
    ] = 0
    spice_jpeg_wan_compression: Annotated[
        WanCompression, doc("Whether SPICE uses JPEG on slow links.")
    ] = ""
    spice_password_file: Annotated[AbsolutePath, doc("File with the SPICE password.")] = ""
    spice_playback_compression: Annotated[bool, doc("Whether SPICE compresses audio.")] = True
    spice_streaming_video: Annotated[
        Literal["", "all", "filter", "off"], doc("Video streams that SPICE detects.")
    ] = ""
    spice_tls_ciphers: Annotated[Line, doc("TLS ciphers of the SPICE server.")] = (
        "HIGH:-DES:-3DES:-EXPORT:-DH"
    )
    spice_use_tls: Annotated[bool, doc("Whether SPICE uses TLS.")] = False
    spice_use_vdagent: Annotated[bool, doc("Whether SPICE uses the guest agent vdagent.")] = True
    spice_zlib_glz_wan_compression: Annotated[
        WanCompression, doc("Whether SPICE uses zlib on slow links.")
    ] = ""
    usb_devices: Annotated[Line, doc("USB devices to attach, separated by commas.")] = ""
    usb_mouse: Annotated[Literal["", "mouse", "tablet"], doc("USB pointing device.")] = ""
    use_chroot: Annotated[bool, unsupported("Whether QEMU runs in a chroot.", NO_CHROOT)] = False
    use_guest_agent: Annotated[bool, doc("Whether to add a channel for the QEMU guest agent.")] = (
        False
    )
    use_localtime: Annotated[bool, doc("Whether the guest's clock uses local time, not UTC.")] = (
        False
    )
    user_shutdown: Annotated[
        bool,
        unsupported(
            "Whether a shutdown from inside the guest is accepted as intended.",
            "a guest that is shut down from inside is started again: use gnt-instance shutdown",
        ),
    ] = False
    vga: Annotated[Line, doc("Model of the graphics card.")] = ""
    vhost_net: Annotated[bool, doc("Whether to use vhost-net in the host's kernel.")] = False
    virtio_net_queues: Annotated[Queues, doc("Number of queues per paravirtual network card.")] = 1
    vnc_bind_address: Annotated[
        Line, doc("Address, or directory of the socket, of the VNC server; empty: none.")
    ] = ""
    vnc_password_file: Annotated[AbsolutePath, doc("File with the VNC password.")] = ""
    vnc_tls: Annotated[bool, doc("Whether VNC uses TLS.")] = False
    vnc_x509_path: Annotated[AbsolutePath, doc("Directory with the VNC certificates.")] = ""
    vnc_x509_verify: Annotated[bool, doc("Whether VNC clients must present a certificate.")] = False
    vnet_hdr: Annotated[bool, doc("Whether tap devices use the vnet header, for offloading.")] = (
        True
    )

    def conflicts(self) -> list[Problem]:
        return [Problem(name, message) for broken, name, message in self._rules() if broken]

    def _has_other_family(self) -> bool:
        """Return whether SPICE is to listen on an address of another IP version than wanted."""
        try:
            version = ipaddress.ip_address(self.spice_bind).version
        except ValueError:
            return False
        return self.spice_ip_version not in (0, version)

    def _rules(self) -> tuple[tuple[bool, str, str], ...]:
        """Return the rules: whether it is violated, the parameter at fault, and the message."""
        by_user = self.security_model == "user"
        firmware = self.kvm_firmware
        uefi = firmware != BIOS
        return (
            (
                bool(self.initrd_path and not self.kernel_path),
                "initrd_path",
                "requires kernel_path",
            ),
            (
                bool(self.kernel_path and not self.root_path),
                "root_path",
                "is required with kernel_path",
            ),
            (
                self.boot_order == "cdrom" and not self.cdrom_image_path,
                "cdrom_image_path",
                "is required with boot_order=cdrom",
            ),
            (
                self.boot_order == "floppy" and not self.floppy_image_path,
                "floppy_image_path",
                "is required with boot_order=floppy",
            ),
            (
                uefi and self.boot_order == "floppy",
                "boot_order",
                f"floppy cannot be booted with kvm_firmware={firmware}",
            ),
            (uefi and not self.acpi, "acpi", f"is required with kvm_firmware={firmware}"),
            (bool(self.kvm_tpm) and not self.acpi, "acpi", "is required with kvm_tpm"),
            (
                firmware == UEFI_SECURE and "q35" not in self.machine_version,
                "machine_version",
                f"must be q35 with kvm_firmware={firmware}",
            ),
            (
                firmware == UEFI_SECURE and bool(self.kernel_path),
                "kernel_path",
                f"must be empty with kvm_firmware={firmware}, which boots from the guest's disks",
            ),
            (
                bool(self.kvm_forward_ports) and self.kvm_net != "user",
                "kvm_forward_ports",
                "requires kvm_net=user; a guest on a bridge is reached at its own address",
            ),
            (
                any(not 0 < int(port) < 1 << 16 for port in self.kvm_forward_ports.split()),
                "kvm_forward_ports",
                "must be numbers from 1 to 65535",
            ),
            (
                by_user and not self.security_domain,
                "security_domain",
                "is required with security_model=user",
            ),
            (
                bool(self.security_domain) and not by_user,
                "security_domain",
                "requires security_model=user",
            ),
            (
                self.vnc_x509_verify and not self.vnc_x509_path,
                "vnc_x509_path",
                "is required with vnc_x509_verify",
            ),
            (
                bool(self.vnc_bind_address and self.spice_bind),
                "spice_bind",
                "cannot be set together with vnc_bind_address",
            ),
            (
                self.kvm_flag == "disabled" and self.kvm_accel == "kvm",
                "kvm_accel",
                "kvm contradicts kvm_flag=disabled",
            ),
            (
                self.kvm_flag == "enabled" and self.kvm_accel == "tcg",
                "kvm_accel",
                "tcg contradicts kvm_flag=enabled",
            ),
            *(
                (bool(value) and not self.spice_bind, name, "requires spice_bind")
                for name, value in (
                    ("spice_image_compression", self.spice_image_compression),
                    ("spice_ip_version", self.spice_ip_version),
                    ("spice_jpeg_wan_compression", self.spice_jpeg_wan_compression),
                    ("spice_password_file", self.spice_password_file),
                    ("spice_streaming_video", self.spice_streaming_video),
                    ("spice_use_tls", self.spice_use_tls),
                    ("spice_zlib_glz_wan_compression", self.spice_zlib_glz_wan_compression),
                )
            ),
            (
                self._has_other_family(),
                "spice_bind",
                f"is no address of IPv{self.spice_ip_version}, which spice_ip_version selects",
            ),
            (
                not set(list_sound_cards(self.soundhw)) <= set(SOUND_CARDS),
                "soundhw",
                f"must be names of sound cards separated by commas: {', '.join(SOUND_CARDS)}",
            ),
        )


def list_sound_cards(soundhw: str) -> tuple[str, ...]:
    """Return the names of the sound cards in ``soundhw``, each once."""
    names = (each.strip() for each in soundhw.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
