# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for nodes and their storage."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.choices import EvacuationMode, StorageType
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Integer, Number, Parameters, Text


class AddNode(Opcode, tag="OP_NODE_ADD"):
    """Add a node that has joined, or readd a known one."""

    summary_field = "node_name"

    node_name: fields.TheNode
    hv_state: fields.HvState = None
    disk_state: fields.DiskState = None
    primary_ip: Annotated[Text | None, doc("Primary IP address; default is that of the name.")] = (
        None
    )
    secondary_ip: Annotated[Text | None, doc("IP address for replication of disks.")] = None
    readd: Annotated[bool, doc("Readd a node that is already a member.")] = False
    group: Annotated[Text | None, doc("Node group; default is the cluster's first.")] = None
    master_capable: Annotated[bool | None, doc("Whether the node may become master.")] = None
    vm_capable: Annotated[bool | None, doc("Whether the node may run instances.")] = None
    ndparams: fields.NdParams = None
    node_setup: Annotated[
        bool,
        unsupported(
            "Set up the node over SSH first.",
            "run the command that gnt-node add prints on the new node",
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
    master_candidate: Annotated[bool | None, doc("Whether the node is a master candidate.")] = None
    offline: Annotated[bool | None, doc("Whether the node is offline.")] = None
    drained: Annotated[
        bool | None, doc("Whether the node is drained: it gets no new instances.")
    ] = None
    auto_promote: Annotated[bool, doc("Promote other nodes to master candidates if necessary.")] = (
        False
    )
    master_capable: Annotated[bool | None, doc("Whether the node may become master.")] = None
    vm_capable: Annotated[bool | None, doc("Whether the node may run instances.")] = None
    secondary_ip: Annotated[Text | None, doc("IP address for replication of disks.")] = None
    ndparams: fields.NdParams = None
    powered: Annotated[bool | None, doc("Recorded power state of the node.")] = None


class EvacuateNode(Opcode, tag="OP_NODE_EVACUATE"):
    """Submit jobs that move instances away from a node."""

    summary_field = "node_name"

    early_release: fields.EarlyRelease = False
    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    remote_node: fields.RemoteNode = None
    remote_node_uuid: fields.RemoteNodeUUID = None
    iallocator: fields.Iallocator = None
    mode: Annotated[EvacuationMode, doc("Instances to evacuate.")]
    ignore_soft_errors: Annotated[bool | None, doc("Let the iallocator ignore soft errors.")] = None


class MigrateNode(Opcode, tag="OP_NODE_MIGRATE"):
    """Submit jobs that migrate all primary instances of a node."""

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
    """Powercycle a node through its hypervisor."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    force: Annotated[bool, doc("Allow this for the master node.")] = False


class ListVolumes(Opcode, tag="OP_NODE_QUERYVOLS"):
    """List the logical volumes of nodes."""

    output_fields: fields.OutputFields
    nodes: fields.ListedNodes = ()


UnitName = Annotated[Text | None, doc("Name of the storage unit.")]


class ListStorage(Opcode, tag="OP_NODE_QUERY_STORAGE"):
    """List the storage units of nodes."""

    output_fields: fields.OutputFields
    storage_type: Annotated[
        StorageType | None, doc("Type of storage; default is the cluster's.")
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
    changes: Annotated[Parameters, doc("New values, such as allocatable.")]


class RepairStorage(Opcode, tag="OP_REPAIR_NODE_STORAGE"):
    """Repair a storage unit of a node."""

    summary_field = "node_name"

    node_name: fields.TheNode
    node_uuid: fields.NodeUUID = None
    storage_type: Annotated[StorageType, doc("The kind of storage.")]
    name: UnitName = None
    ignore_consistency: fields.IgnoreConsistency = False


class PowerCommand(enum.StrEnum):
    """The commands of an out-of-band program."""

    HEALTH = "health"
    POWER_CYCLE = "power-cycle"
    POWER_OFF = "power-off"
    POWER_ON = "power-on"
    POWER_STATUS = "power-status"


class CommandPower(Opcode, tag="OP_OOB_COMMAND"):
    """Query or change the power state of nodes by their out-of-band programs."""

    node_names: fields.ListedNodes = ()
    node_uuids: fields.NodeUUIDs = None
    command: Annotated[PowerCommand, doc("Command to run.")]
    timeout: Annotated[Integer, doc("Time-out for the program in seconds.")] = 60
    ignore_status: Annotated[bool, doc("Also power off nodes that are not marked offline.")] = False
    power_delay: Annotated[Number, doc("Seconds between powering on two nodes.")] = 2.0


class RunRestrictedCommand(Opcode, tag="OP_RESTRICTED_COMMAND"):
    """Run a restricted command on nodes."""

    use_locking: fields.UseLocking = False
    nodes: Annotated[tuple[Text, ...], doc("Names of the nodes.")]
    node_uuids: fields.NodeUUIDs = None
    command: Annotated[Text, doc("Name of the command.")]


class UpgradeNode(Opcode, tag="OP_NODE_UPGRADE"):
    """Upgrade the software of a node by its restricted command; its instances keep running."""

    summary_field = "node_name"

    node_name: fields.TheNode
    release: fields.Release
    command: fields.UpgradeCommand = "upgrade"
    timeout: fields.UpgradeTimeout = 900
