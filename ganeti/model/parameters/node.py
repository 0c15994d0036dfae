# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of nodes, and resources of nodes that are reserved for other uses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.parameters.declaration import AbsolutePath, ParameterSet, Size, unsupported
from ganeti.schema.records import doc
from ganeti.schema.types import MAX_INTEGER, Count, Line, Port

Speed = Annotated[float, Meta(ge=0, le=MAX_INTEGER)]


class NodeParameters(ParameterSet):
    """The parameters of a node."""

    cpu_speed: Annotated[Speed, doc("Relative speed of the node's CPUs.")] = 1.0
    exclusive_storage: Annotated[
        bool, unsupported("Whether a physical volume belongs to one instance only.")
    ] = False
    oob_program: Annotated[AbsolutePath, doc("Program for out-of-band power management.")] = ""
    ovs: Annotated[bool, unsupported("Whether to set up Open vSwitch on the node.")] = False
    ovs_link: Annotated[Line | None, unsupported("Uplink device of the Open vSwitch.")] = ""
    ovs_name: Annotated[Line | None, unsupported("Name of the Open vSwitch.")] = "switch1"
    spindle_count: Annotated[Count, doc("Number of disk spindles.")] = 1
    ssh_port: Annotated[Port, doc("Port of the SSH daemon.")] = 22


class HypervisorState(ParameterSet):
    """Resources of a node for one hypervisor, and the share that the host needs."""

    cpu_node: Annotated[Count, doc("Processors reserved for the host.")] = 1
    cpu_total: Annotated[Count, doc("Total processors.")] = 1
    mem_hv: Annotated[Size, doc("Memory reserved for the hypervisor.")] = 0
    mem_node: Annotated[Size, doc("Memory reserved for the host.")] = 0
    mem_total: Annotated[Size, doc("Total memory.")] = 0


class DiskState(ParameterSet):
    """Storage of a node, and the share that is reserved for other uses."""

    disk_overhead: Annotated[Size, doc("Space that the storage type itself uses.")] = 0
    disk_reserved: Annotated[Size, doc("Space to keep free of instances.")] = 0
    disk_total: Annotated[Size, doc("Total space.")] = 0
