# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that move instances to other nodes and groups."""

from __future__ import annotations

from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import NodeName


class FailoverInstance(Opcode, tag="OP_INSTANCE_FAILOVER"):
    """Stop an instance and start it on another node that has its disks."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    ignore_consistency: fields.IgnoreConsistency = False
    target_node: fields.TargetNode = None
    target_node_uuid: fields.TargetNodeUUID = None
    ignore_ipolicy: fields.IgnorePolicy = False
    cleanup: Annotated[bool, doc("Clean up after an interrupted failover.")] = False
    iallocator: fields.Iallocator = None


class MigrateInstance(Opcode, tag="OP_INSTANCE_MIGRATE"):
    """Migrate a running instance to another node, which has its disks or gets copies of them."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    mode: fields.Migration = None
    live: fields.Live = None
    target_node: fields.TargetNode = None
    target_node_uuid: fields.TargetNodeUUID = None
    allow_runtime_changes: fields.AllowRuntimeChanges = True
    ignore_ipolicy: fields.IgnorePolicy = False
    cleanup: Annotated[bool, doc("Clean up after an interrupted migration.")] = False
    iallocator: fields.Iallocator = None
    allow_failover: Annotated[
        bool, doc("Fail over instead if the instance cannot be migrated.")
    ] = False
    ignore_hvversions: Annotated[
        bool, doc("Allow a target node with an older hypervisor than the running one.")
    ] = False


class MoveInstance(Opcode, tag="OP_INSTANCE_MOVE"):
    """Stop an instance, copy its disks to another node, and start it there."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    ignore_ipolicy: fields.IgnorePolicy = False
    target_node: Annotated[NodeName, doc("Target node.")]
    target_node_uuid: fields.TargetNodeUUID = None
    compress: fields.Compression = fields.NO_COMPRESSION
    ignore_consistency: Annotated[
        bool,
        unsupported(
            "Move the instance even if its guest may still write to the disks.",
            "disks are only copied while the guest is stopped; shut it down first",
        ),
    ] = False


class ChangeInstanceGroup(Opcode, tag="OP_INSTANCE_CHANGE_GROUP"):
    """Submit jobs that move an instance to another node group."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    early_release: fields.EarlyRelease = False
    iallocator: fields.Iallocator = None
    target_groups: fields.TargetGroups = None
