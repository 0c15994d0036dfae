# SPDX-License-Identifier: BSD-2-Clause
"""Choices for parameters of several opcodes; those of a single opcode are in its module."""

from __future__ import annotations

import enum


class Hypervisor(enum.StrEnum):
    """The hypervisor of an instance."""

    CHROOT = "chroot"
    FAKE = "fake"
    KVM = "kvm"
    LXC = "lxc"
    XEN_HVM = "xen-hvm"
    XEN_PVM = "xen-pvm"


class FileDriver(enum.StrEnum):
    """The Xen driver for disk images in files."""

    BLKTAP = "blktap"
    BLKTAP2 = "blktap2"
    LOOP = "loop"


class StorageType(enum.StrEnum):
    """A type of storage on nodes."""

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
    """The mode of connecting a network card to the node's network."""

    BRIDGED = "bridged"
    OPENVSWITCH = "openvswitch"
    POOL = "pool"
    ROUTED = "routed"


class MigrationMode(enum.StrEnum):
    """Whether a guest keeps running during a migration."""

    LIVE = "live"
    NON_LIVE = "non-live"


class EvacuationMode(enum.StrEnum):
    """The instances to evacuate from a node."""

    ALL = "all"
    PRIMARY_ONLY = "primary-only"
    SECONDARY_ONLY = "secondary-only"
