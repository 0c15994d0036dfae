# SPDX-License-Identifier: BSD-2-Clause
"""The words that parameters of several opcodes choose from; a single opcode's are beside it."""

from __future__ import annotations

import enum


class Hypervisor(enum.StrEnum):
    """What runs the guests of an instance."""

    CHROOT = "chroot"
    FAKE = "fake"
    KVM = "kvm"
    LXC = "lxc"
    XEN_HVM = "xen-hvm"
    XEN_PVM = "xen-pvm"


class FileDriver(enum.StrEnum):
    """How a disk image in a file becomes a block device for Xen."""

    BLKTAP = "blktap"
    BLKTAP2 = "blktap2"
    LOOP = "loop"


class StorageType(enum.StrEnum):
    """A kind of space that nodes have."""

    BLOCKDEV = "blockdev"
    DISKLESS = "diskless"
    EXT = "ext"
    FILE = "file"
    GLUSTER = "gluster"
    LVM_PV = "lvm-pv"
    LVM_VG = "lvm-vg"
    RADOS = "rados"
    SHAREDFILE = "sharedfile"


class NicMode(enum.StrEnum):
    """How a network card is attached to its node's network."""

    BRIDGED = "bridged"
    OPENVSWITCH = "openvswitch"
    POOL = "pool"
    ROUTED = "routed"


class MigrationMode(enum.StrEnum):
    """Whether a guest keeps running while it moves."""

    LIVE = "live"
    NON_LIVE = "non-live"


class EvacuationMode(enum.StrEnum):
    """Which instances leave a node."""

    ALL = "all"
    PRIMARY_ONLY = "primary-only"
    SECONDARY_ONLY = "secondary-only"
