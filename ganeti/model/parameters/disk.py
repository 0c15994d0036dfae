# SPDX-License-Identifier: BSD-2-Clause
"""What can be set about the disks of each template, for the cluster or a node group."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from ganeti.model.disk import Template
from ganeti.model.parameters.declaration import ParameterSet, ShellWords, unsupported
from ganeti.schema.records import doc
from ganeti.schema.types import Count, Line, Port, Positive, Text

Access = Annotated[
    Literal["kernelspace", "userspace"],
    unsupported("Whether guests reach the disk as a block device of the node, or by themselves."),
]


class NoParameters(ParameterSet):
    """Nothing can be set about such disks."""


class Plain(ParameterSet):
    """LVM volumes."""

    stripes: Annotated[Positive, doc("Over how many physical volumes a volume is striped.")] = 1


class Drbd(ParameterSet, rename="kebab"):
    """Disks that DRBD mirrors over two nodes; rates in KiB/s, times in tenths of a second."""

    c_delay_target: Annotated[Count, doc("Delay that a dynamic resync aims at.")] = 1
    c_fill_target: Annotated[Count, doc("Sectors under way that a dynamic resync aims at.")] = 0
    c_max_rate: Annotated[Count, doc("The fastest a dynamic resync gets.")] = 61440
    c_min_rate: Annotated[Count, doc("The slowest a dynamic resync gets.")] = 4096
    c_plan_ahead: Annotated[Count, doc("How far ahead a dynamic resync plans; 0: not at all.")] = 20
    data_stripes: Annotated[Positive, doc("Stripes of the volume for the data.")] = 1
    disk_barriers: Annotated[
        Literal["bf", "bfd", "b", "bd", "f", "fd", "d", "n"],
        doc("Barriers to do without: b barriers, f flushes, d drain; n keeps all."),
    ] = "n"
    disk_custom: Annotated[ShellWords, doc("Further options for attaching the disk.")] = ""
    dynamic_resync: Annotated[bool, doc("Whether DRBD decides how fast it resyncs.")] = False
    meta_barriers: Annotated[bool, doc("Whether flushes of the metadata are left out.")] = False
    meta_stripes: Annotated[Positive, doc("Stripes of the volume for the metadata.")] = 1
    metavg: Annotated[Line, doc("The volume group of the metadata; empty: that of the data.")] = ""
    net_custom: Annotated[ShellWords, doc("Further options for connecting the two sides.")] = ""
    protocol: Annotated[
        Literal["A", "B", "C"], doc("When a write counts as done: C when it is on both sides.")
    ] = "C"
    resync_rate: Annotated[Count, doc("How fast it resyncs when that is not dynamic.")] = 61440


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
    host: Annotated[Text, unsupported("A server of the volume.")] = "127.0.0.1"
    port: Annotated[Port, unsupported("The server's port.")] = 24007
    volume: Annotated[Text, unsupported("The volume.")] = "gv0"


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
"""What can be set, by template."""
