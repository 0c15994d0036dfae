# SPDX-License-Identifier: BSD-2-Clause
"""Instance disks and disk templates."""

from __future__ import annotations

import enum
import posixpath

from ganeti.model.named import StoredObject
from ganeti.schema.types import Integer, Line, Parameters, Value


class Template(enum.StrEnum):
    """The storage type of an instance's disks."""

    DISKLESS = "diskless"
    FILE = "file"
    SHAREDFILE = "sharedfile"
    PLAIN = "plain"
    DRBD = "drbd"
    BLOCKDEV = "blockdev"
    RBD = "rbd"
    EXT = "ext"
    GLUSTER = "gluster"


MIRRORED_TEMPLATES = frozenset({Template.DRBD})
"""Templates that store a second copy on a secondary node."""

SHARED_TEMPLATES = frozenset(
    {
        Template.DISKLESS,
        Template.SHAREDFILE,
        Template.BLOCKDEV,
        Template.RBD,
        Template.EXT,
        Template.GLUSTER,
    }
)
"""Templates whose disks are accessible from every node of the group."""

FOREIGN_TEMPLATES = frozenset({Template.BLOCKDEV, Template.EXT})
"""Templates of storage that is managed by other systems: each node must have access to it."""

DRBD_METADATA_SIZE = 128
"""Size of the metadata volume of each mirrored disk in MiB."""

SUPPORTED_TEMPLATES = frozenset(
    {
        Template.DISKLESS,
        Template.FILE,
        Template.SHAREDFILE,
        Template.PLAIN,
        Template.DRBD,
        Template.BLOCKDEV,
        Template.EXT,
    }
)
"""Templates that this version can create; an imported configuration may contain others."""


ADOPTABLE_FOLDER = "/dev/disk/"
"""The folder of the devices that can be disks: its names are the same on all nodes."""


def is_adoptable(path: str, folder: str = ADOPTABLE_FOLDER) -> bool:
    """Return whether ``path`` is a name of a device below ``folder``, and leads nowhere else."""
    return path.startswith(folder) and posixpath.normpath(path) == path


FILE_TEMPLATES = frozenset({Template.FILE, Template.SHAREDFILE})
"""Templates whose disks are files, which have a format."""


class DiskFormat(enum.StrEnum):
    """The format of the file of a disk."""

    RAW = "raw"
    QCOW2 = "qcow2"


FORMAT = "format"
"""The name of the format among the ``params`` of a disk."""


class DiskMode(enum.StrEnum):
    """Whether a guest may write to a disk."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"


class Disk(StoredObject, omit_defaults=True):
    """A disk; ``size`` in MiB. The form of ``logical_id`` depends on ``dev_type``:

    plain ``[volume group, volume]``; file and sharedfile ``[driver, path]``; drbd ``[node A,
    node B, port, minor A, minor B, secret]`` with data and metadata volumes as ``children``; ext
    ``[provider, volume]`` with the provider's parameters in ``params``; blockdev ``["manual",
    path]``. The ``params`` of a file have its ``format``, unless that is raw, and those of a plain
    disk the thin ``pool`` that it was created in, if any. The disks of a reserved instance are
    ``forthcoming``: they have been laid out, but not created.
    """

    dev_type: Template
    logical_id: tuple[Value, ...]
    children: tuple[Disk, ...]
    nodes: tuple[Line, ...]
    iv_name: Line
    size: Integer
    mode: DiskMode
    name: Line | None = None
    spindles: Integer | None = None
    params: Parameters | None = None
    forthcoming: bool = False


def get_format(disk: Disk) -> DiskFormat:
    """Return the format of the data of a disk; disks that are no files are raw."""
    # A provider of external storage may have a parameter with the same name.
    if disk.dev_type not in FILE_TEMPLATES:
        return DiskFormat.RAW
    return DiskFormat((disk.params or {}).get(FORMAT, DiskFormat.RAW))


POOL = "pool"
"""The name of the thin pool among the ``params`` of a plain disk."""

OVERCOMMIT = "overcommit"
"""The name of the parameter that limits what a thin pool may promise."""


def get_pool(disk: Disk) -> str:
    """Return the thin pool that a disk is created in; empty for none."""
    # External storage may have a parameter with the same name.
    return str((disk.params or {}).get(POOL, "")) if disk.dev_type is Template.PLAIN else ""


_DRBD_PORT = 2
"""The index of the port in the ``logical_id`` of a drbd disk."""


def get_drbd_port(disk: Disk) -> int:
    """Return the TCP port of a drbd disk's connection."""
    return int(disk.logical_id[_DRBD_PORT])
