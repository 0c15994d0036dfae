# SPDX-License-Identifier: BSD-2-Clause
"""Requests about nodes and their storage."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.choices import EvacuationMode, StorageType
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Integer, Number, Parameters, Text


class AddNode(Opcode, tag="OP_NODE_ADD"):
    """Add a node that has joined, or take a known one in again."""

    summary_field = "node_name"

    node_name: fields.TheNode
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    primary_ip: Annotated[Text | None, doc("The node's address; default is its name's.")] = None
    secondary_ip: Annotated[
        Text | None, doc("The node's address for the traffic of mirrored disks.")
    ] = None
    readd: Annotated[bool, doc("The node was a member before and is set up again.")] = False
    group: Annotated[Text | None, doc("The node group; default is the cluster's first.")] = None
    master_capable: Annotated[bool | None, doc("Whether the node may become master.")] = None
    vm_capable: Annotated[bool | None, doc("Whether the node may run instances.")] = None
    ndparams: fields.NdParams = None
    node_setup: Annotated[
        bool,
        unsupported(
            "Set the node up over ssh first.",
            "run on it what gnt-node add tells, which sets it up",
        ),
    ] = False


class RemoveNode(Opcode, tag="OP_NODE_REMOVE"):
    """Remove a node without instances from the cluster."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None


class ModifyNode(Opcode, tag="OP_NODE_SET_PARAMS"):
    """Change the role, flags or parameters of a node."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    force: fields.Force = False
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    master_candidate: Annotated[
        bool | None, doc("Whether the node keeps a copy of the configuration.")
    ] = None
    offline: Annotated[bool | None, doc("Whether the node is out of use.")] = None
    drained: Annotated[bool | None, doc("Whether the node gets no more instances.")] = None
    auto_promote: Annotated[
        bool, doc("Promote other nodes to candidates where the cluster needs them.")
    ] = False
    master_capable: Annotated[bool | None, doc("Whether the node may become master.")] = None
    vm_capable: Annotated[bool | None, doc("Whether the node may run instances.")] = None
    secondary_ip: Annotated[
        Text | None, doc("The node's address for the traffic of mirrored disks.")
    ] = None
    ndparams: fields.NdParams = None
    powered: Annotated[bool | None, doc("Record whether the node is powered on.")] = None


class EvacuateNode(Opcode, tag="OP_NODE_EVACUATE"):
    """Submit the jobs that move instances off a node."""

    summary_field = "node_name"

    early_release: fields.EarlyRelease = False
    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    remote_node: fields.RemoteNode = None
    remote_node_uuid: fields.RemoteNodeUUID = None
    iallocator: fields.Iallocator = None
    mode: Annotated[EvacuationMode, doc("Which of its instances leave the node.")]
    ignore_soft_errors: Annotated[
        bool | None, doc("Let the allocator go on in spite of errors that can be put up with.")
    ] = None


class MigrateNode(Opcode, tag="OP_NODE_MIGRATE"):
    """Submit the jobs that migrate all primary instances of a node."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    mode: fields.Migration = None
    live: fields.Live = None
    target_node: fields.TargetNode = None
    target_node_uuid: fields.TargetNodeUUID = None
    allow_runtime_changes: fields.AllowRuntimeChanges = True
    ignore_ipolicy: fields.IgnorePolicy = False
    iallocator: fields.Iallocator = None


class PowercycleNode(Opcode, tag="OP_NODE_POWERCYCLE"):
    """Restart a node hard, by way of its hypervisor."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    force: Annotated[bool, doc("Do so even with the master node.")] = False


class ListVolumes(Opcode, tag="OP_NODE_QUERYVOLS"):
    """List the logical volumes of nodes."""

    output_fields: fields.OutputFields
    nodes: fields.ListedNodes = ()


UnitName = Annotated[Text | None, doc("The name of the storage unit.")]


class ListStorage(Opcode, tag="OP_NODE_QUERY_STORAGE"):
    """List the storage units of nodes."""

    output_fields: fields.OutputFields
    storage_type: Annotated[
        StorageType | None, doc("The kind of storage; default is what the cluster uses.")
    ] = None
    nodes: fields.ListedNodes = ()
    name: UnitName = None


class ModifyStorage(Opcode, tag="OP_NODE_MODIFY_STORAGE"):
    """Change a storage unit of a node."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    storage_type: Annotated[StorageType, doc("The kind of storage.")]
    name: UnitName = None
    changes: Annotated[Parameters, doc("What changes, such as allocatable.")]


class RepairStorage(Opcode, tag="OP_REPAIR_NODE_STORAGE"):
    """Repair a storage unit of a node."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    storage_type: Annotated[StorageType, doc("The kind of storage.")]
    name: UnitName = None
    ignore_consistency: fields.IgnoreConsistency = False


class PowerCommand(enum.StrEnum):
    """What an out-of-band helper can be asked to do."""

    HEALTH = "health"
    POWER_CYCLE = "power-cycle"
    POWER_OFF = "power-off"
    POWER_ON = "power-on"
    POWER_STATUS = "power-status"


class CommandPower(Opcode, tag="OP_OOB_COMMAND"):
    """Ask about or switch the power of nodes through their out-of-band helpers."""

    node_names: fields.ListedNodes = ()
    node_uuids: fields.NodeUUIDs = None
    command: Annotated[PowerCommand, doc("What to do.")]
    timeout: Annotated[Integer, doc("How long the helper may take, in seconds.")] = 60
    ignore_status: Annotated[bool, doc("Switch off even nodes that are not marked as offline.")] = (
        False
    )
    power_delay: Annotated[Number, doc("Seconds between switching on two nodes.")] = 2.0


class RunRestrictedCommand(Opcode, tag="OP_RESTRICTED_COMMAND"):
    """Run a command that the administrator has allowed on nodes."""

    use_locking: fields.UseLocking = False
    nodes: Annotated[tuple[Text, ...], doc("The nodes to run it on.")]
    node_uuids: fields.NodeUUIDs = None
    command: Annotated[Text, doc("The name of the command.")]
