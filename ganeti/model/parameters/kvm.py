# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of guests that QEMU runs, with KVM or in software."""

from __future__ import annotations

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
        extra={"rule": "must be 'all', CPUs like 0-3,5, or one of these for each processor by ':'"},
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
    """A guest of QEMU; ``kvm_accel`` and ``kvm_net`` are ours, the rest existing clusters know."""

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

    acpi: Annotated[bool, doc("Whether the guest has ACPI, by which it is asked to stop.")] = True
    boot_order: Annotated[
        Literal["cdrom", "disk", "floppy", "network"], doc("What the guest boots from.")
    ] = "disk"
    cdrom2_image_path: Annotated[Image, doc("The image in a second CD drive.")] = ""
    cdrom_disk_type: Annotated[CdromType, doc("How CD drives are attached; empty: as disks.")] = ""
    cdrom_image_path: Annotated[Image, doc("The image in the CD drive.")] = ""
    cpu_cores: Annotated[Count, doc("Cores of each socket; 0 leaves it to QEMU.")] = 0
    cpu_mask: Annotated[CpuMask, doc("The host's CPUs that the guest's may run on.")] = "all"
    cpu_sockets: Annotated[Count, doc("CPU sockets; 0 leaves it to QEMU.")] = 0
    cpu_threads: Annotated[Count, doc("Threads of each core; 0 leaves it to QEMU.")] = 0
    cpu_type: Annotated[Line, doc("The CPU model with its flags; empty leaves it to QEMU.")] = ""
    disk_aio: Annotated[Literal["native", "threads"], doc("How QEMU reads and writes disks.")] = (
        "threads"
    )
    disk_cache: Annotated[
        Literal["default", "none", "writeback", "writethrough"], doc("How writes are cached.")
    ] = "default"
    disk_discard: Annotated[
        Literal["default", "ignore", "unmap"], doc("What becomes of blocks the guest discards.")
    ] = "default"
    disk_type: Annotated[DiskType, doc("How disks are attached.")] = "paravirtual"
    floppy_image_path: Annotated[AbsolutePath, doc("The image in the floppy drive.")] = ""
    initrd_path: Annotated[AbsolutePath, doc("The initial RAM disk that goes with the kernel.")] = (
        ""
    )
    kernel_args: Annotated[Line, doc("Arguments for the kernel, besides root and console.")] = "ro"
    kernel_path: Annotated[
        AbsolutePath, doc("A kernel of the host to start; empty: the guest boots by itself.")
    ] = "/boot/vmlinuz-3-kvmU"
    keymap: Annotated[Line, doc("The keyboard map of the VNC console.")] = ""
    kvm_accel: Annotated[
        Literal["auto", "kvm", "tcg"],
        doc("How QEMU runs the guest: with KVM, in software, or auto: with KVM where it works."),
    ] = "auto"
    kvm_extra: Annotated[ShellWords, doc("Further arguments for QEMU, in a shell's quoting.")] = ""
    kvm_flag: Annotated[
        Literal["", "disabled", "enabled"],
        doc("An older way to say kvm_accel=tcg (disabled) or kvm (enabled)."),
    ] = ""
    kvm_net: Annotated[
        Literal["host", "user"],
        doc("Whether network cards connect to the host, or reach out through QEMU unprivileged."),
    ] = "host"
    kvm_path: Annotated[RequiredPath, doc("The QEMU program.")] = "/usr/bin/kvm"
    kvm_pci_reservations: Annotated[
        PciSlots, unsupported("PCI slots kept for QEMU's own devices.")
    ] = 12
    machine_version: Annotated[Line, doc("QEMU's machine type; empty takes its default.")] = ""
    mem_path: Annotated[AbsolutePath, doc("Where huge pages for its memory are mounted.")] = ""
    migration_bandwidth: Annotated[Count, shared("MiB/s that a migration may take.")] = 32
    migration_caps: Annotated[
        Line, doc("QEMU's migration capabilities to switch on, with ':' between them.")
    ] = ""
    migration_downtime: Annotated[Count, doc("Milliseconds that a migration may stop it.")] = 30
    migration_mode: Annotated[
        Literal["live", "non-live"], shared("Whether guests run on while they move.")
    ] = "live"
    migration_port: Annotated[ListeningPort, shared("Where a node takes in guests.")] = 8102
    nic_type: Annotated[NicType, doc("The kind of its network cards.")] = "paravirtual"
    reboot_behavior: Annotated[
        Literal["exit", "reboot"], doc("What a reboot from inside the guest does.")
    ] = "reboot"
    root_path: Annotated[Line | None, doc("The root file system, for the kernel's arguments.")] = (
        "/dev/vda1"
    )
    scsi_controller_type: Annotated[
        Literal["lsi", "megasas", "virtio-scsi-pci"], doc("The SCSI controller, if it has one.")
    ] = "lsi"
    security_domain: Annotated[
        Line, unsupported("The user QEMU runs as, with security_model=user.")
    ] = ""
    security_model: Annotated[
        Literal["none", "pool", "user"],
        unsupported("Whether QEMU runs as root, a pool's user, or a user."),
    ] = "none"
    serial_console: Annotated[bool, doc("Whether it has a serial console.")] = True
    serial_speed: Annotated[SerialSpeed, doc("The speed of the serial console.")] = 38400
    soundhw: Annotated[Line, unsupported("Its sound cards.")] = ""
    spice_bind: Annotated[
        Line, unsupported("Address or device where SPICE listens; empty: no SPICE.")
    ] = ""
    spice_image_compression: Annotated[
        Literal["", "auto_glz", "auto_lz", "glz", "lz", "off", "quic"],
        unsupported("How SPICE compresses images."),
    ] = ""
    spice_ip_version: Annotated[
        Literal[0, 4, 6], unsupported("The IP version of SPICE; 0: any.")
    ] = 0
    spice_jpeg_wan_compression: Annotated[
        WanCompression, unsupported("Whether SPICE uses JPEG on slow links.")
    ] = ""
    spice_password_file: Annotated[AbsolutePath, unsupported("The file with SPICE's password.")] = (
        ""
    )
    spice_playback_compression: Annotated[bool, unsupported("Whether SPICE compresses sound.")] = (
        True
    )
    spice_streaming_video: Annotated[
        Literal["", "all", "filter", "off"], unsupported("What SPICE streams as video.")
    ] = ""
    spice_tls_ciphers: Annotated[Line, unsupported("The ciphers of SPICE over TLS.")] = (
        "HIGH:-DES:-3DES:-EXPORT:-DH"
    )
    spice_use_tls: Annotated[bool, unsupported("Whether SPICE uses TLS.")] = False
    spice_use_vdagent: Annotated[bool, unsupported("Whether SPICE talks to the guest's agent.")] = (
        True
    )
    spice_zlib_glz_wan_compression: Annotated[
        WanCompression, unsupported("Whether SPICE uses zlib on slow links.")
    ] = ""
    usb_devices: Annotated[Line, doc("USB devices to attach, with commas between them.")] = ""
    usb_mouse: Annotated[Literal["", "mouse", "tablet"], doc("A USB pointing device.")] = ""
    use_chroot: Annotated[bool, unsupported("Whether QEMU is confined to an empty folder.")] = False
    use_guest_agent: Annotated[bool, doc("Whether there is a channel to QEMU's guest agent.")] = (
        False
    )
    use_localtime: Annotated[bool, doc("Whether its clock shows local time instead of UTC.")] = (
        False
    )
    user_shutdown: Annotated[
        bool, unsupported("Whether a stop from inside is taken as wanted.")
    ] = False
    vga: Annotated[Line, doc("The kind of its graphics card.")] = ""
    vhost_net: Annotated[bool, doc("Whether the kernel moves its network packets.")] = False
    virtio_net_queues: Annotated[Queues, doc("Queues of each paravirtual network card.")] = 1
    vnc_bind_address: Annotated[
        Line, doc("Address or directory where VNC listens; empty: no VNC.")
    ] = ""
    vnc_password_file: Annotated[AbsolutePath, doc("The file with VNC's password.")] = ""
    vnc_tls: Annotated[bool, doc("Whether VNC uses TLS.")] = False
    vnc_x509_path: Annotated[AbsolutePath, doc("The folder with VNC's certificates.")] = ""
    vnc_x509_verify: Annotated[bool, doc("Whether VNC's clients must show a certificate.")] = False
    vnet_hdr: Annotated[bool, unsupported("Whether packets carry the header for offloading.")] = (
        True
    )

    def conflicts(self) -> list[Problem]:
        return [Problem(name, message) for broken, name, message in self._rules() if broken]

    def _rules(self) -> tuple[tuple[bool, str, str], ...]:
        """Each rule: whether it is broken, by which parameter, and how to mend it."""
        by_user = self.security_model == "user"
        return (
            (bool(self.initrd_path and not self.kernel_path), "initrd_path", "needs kernel_path"),
            (
                bool(self.kernel_path and not self.root_path),
                "root_path",
                "is needed with kernel_path",
            ),
            (
                self.boot_order == "cdrom" and not self.cdrom_image_path,
                "cdrom_image_path",
                "is needed with boot_order=cdrom",
            ),
            (
                self.boot_order == "floppy" and not self.floppy_image_path,
                "floppy_image_path",
                "is needed with boot_order=floppy",
            ),
            (
                by_user and not self.security_domain,
                "security_domain",
                "is needed with security_model=user",
            ),
            (
                bool(self.security_domain) and not by_user,
                "security_domain",
                "needs security_model=user",
            ),
            (
                self.vnc_x509_verify and not self.vnc_x509_path,
                "vnc_x509_path",
                "is needed with vnc_x509_verify",
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
                (bool(value) and not self.spice_bind, name, "needs spice_bind")
                for name, value in (
                    ("spice_ip_version", self.spice_ip_version),
                    ("spice_password_file", self.spice_password_file),
                    ("spice_use_tls", self.spice_use_tls),
                )
            ),
        )
