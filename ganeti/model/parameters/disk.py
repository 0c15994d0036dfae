# SPDX-License-Identifier: BSD-2-Clause
"""Disk parameters by template, for the cluster or a node group."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from ganeti.model.disk import Template
from ganeti.model.parameters.declaration import ParameterSet, ShellWords, unsupported
from ganeti.schema.records import doc
from ganeti.schema.types import MAX_INTEGER, Count, Line, Port, Positive, Text

Access = Annotated[
    Literal["kernelspace", "userspace"],
    unsupported("Whether guests use a block device of the node, or connect to the disk directly."),
]


class NoParameters(ParameterSet):
    """A template without disk parameters."""


class Plain(ParameterSet):
    """LVM volumes.

    ``pool`` is that of new disks; each keeps the one that it was created in.
    """

    overcommit: Annotated[
        float,
        Meta(gt=0, le=MAX_INTEGER),
        doc("What volumes and snapshots of a thin pool may take, as a multiple of its size."),
    ] = 1.0
    pool: Annotated[Line, doc("Thin pool of new disks, in their volume group; empty: none.")] = ""
    stripes: Annotated[Positive, doc("Number of stripes of a volume.")] = 1


class Drbd(ParameterSet, rename="kebab"):
    """DRBD disks, see drbdsetup(8); rates in KiB/s, times in tenths of a second."""

    c_delay_target: Annotated[Count, doc("Target delay of a dynamic resync.")] = 1
    c_fill_target: Annotated[Count, doc("Target of in-flight sectors of a dynamic resync.")] = 0
    c_max_rate: Annotated[Count, doc("Maximum rate of a dynamic resync.")] = 61440
    c_min_rate: Annotated[Count, doc("Minimum rate of a dynamic resync.")] = 4096
    c_plan_ahead: Annotated[Count, doc("Planning horizon of a dynamic resync; 0: none.")] = 20
    data_stripes: Annotated[Positive, doc("Number of stripes of the data volume.")] = 1
    disk_barriers: Annotated[
        Literal["bf", "bfd", "b", "bd", "f", "fd", "d", "n"],
        doc("Write barriers to disable: b barriers, f flushes, d drain; n: none."),
    ] = "n"
    disk_custom: Annotated[ShellWords, doc("Additional drbdsetup options for the disk.")] = ""
    dynamic_resync: Annotated[bool, doc("Whether DRBD controls the resync rate.")] = False
    meta_barriers: Annotated[bool, doc("Whether to disable metadata flushes.")] = False
    meta_stripes: Annotated[Positive, doc("Number of stripes of the metadata volume.")] = 1
    metavg: Annotated[Line, doc("Volume group of the metadata; empty: as the data.")] = ""
    net_custom: Annotated[ShellWords, doc("Additional drbdsetup options for the connection.")] = ""
    protocol: Annotated[
        Literal["A", "B", "C"], doc("DRBD replication protocol; C is synchronous.")
    ] = "C"
    resync_rate: Annotated[Count, doc("Resync rate, unless the resync is dynamic.")] = 61440


class Rbd(ParameterSet):
    """Images in a Ceph pool."""

    access: Access = "kernelspace"
    pool: Annotated[Text, unsupported("The Ceph pool.")] = "rbd"


class Ext(ParameterSet):
    """Disks of an external storage provider."""

    access: Access = "kernelspace"


class Gluster(ParameterSet):
    """Files on a Gluster volume."""

    access: Access = "kernelspace"
    host: Annotated[Text, unsupported("Host name of a server of the volume.")] = "127.0.0.1"
    port: Annotated[Port, unsupported("Port of the server.")] = 24007
    volume: Annotated[Text, unsupported("Name of the volume.")] = "gv0"


DISKS: Mapping[Template, type[ParameterSet]] = MappingProxyType(
    {
        **dict.fromkeys(Template, NoParameters),
        Template.PLAIN: Plain,
        Template.DRBD: Drbd,
        Template.RBD: Rbd,
        Template.EXT: Ext,
        Template.GLUSTER: Gluster,
    }
)
"""The parameters of each template."""
