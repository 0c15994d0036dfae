# SPDX-License-Identifier: BSD-2-Clause
"""What can be set about a node, and what of it is kept for other uses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.parameters.declaration import AbsolutePath, ParameterSet, Size, unsupported
from ganeti.schema.records import doc
from ganeti.schema.types import MAX_INTEGER, Count, Line, Port

Speed = Annotated[float, Meta(ge=0, le=MAX_INTEGER)]


class NodeParameters(ParameterSet):
    """The parameters of a node."""

    cpu_speed: Annotated[Speed, doc("How fast its processors are, beside the others.")] = 1.0
    exclusive_storage: Annotated[
        bool, unsupported("Whether a physical volume belongs to one instance only.")
    ] = False
    oob_program: Annotated[
        AbsolutePath, doc("The program that switches the node's power from outside.")
    ] = ""
    ovs: Annotated[bool, unsupported("Whether to set up Open vSwitch on it.")] = False
    ovs_link: Annotated[Line | None, unsupported("The device that connects its Open vSwitch.")] = ""
    ovs_name: Annotated[Line | None, unsupported("The name of its Open vSwitch.")] = "switch1"
    spindle_count: Annotated[Count, doc("How many disk spindles it has.")] = 1
    ssh_port: Annotated[Port, doc("Where its SSH daemon listens.")] = 22


class HypervisorState(ParameterSet):
    """What of a node one hypervisor has, and what the host itself needs of it."""

    cpu_node: Annotated[Count, doc("Processors that the host needs.")] = 1
    cpu_total: Annotated[Count, doc("All processors.")] = 1
    mem_hv: Annotated[Size, doc("Memory that the hypervisor needs.")] = 0
    mem_node: Annotated[Size, doc("Memory that the host needs.")] = 0
    mem_total: Annotated[Size, doc("All memory.")] = 0


class DiskState(ParameterSet):
    """What of a node's storage is there, and what is kept for other uses."""

    disk_overhead: Annotated[Size, doc("Space that the storage itself takes.")] = 0
    disk_reserved: Annotated[Size, doc("Space that instances must leave free.")] = 0
    disk_total: Annotated[Size, doc("All space.")] = 0
