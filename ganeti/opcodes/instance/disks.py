# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for disks of existing instances."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import DiskIndex, MiB, Text, Value


class ActivateDisks(Opcode, tag="OP_INSTANCE_ACTIVATE_DISKS"):
    """Activate the disks of an instance on its nodes."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    ignore_size: Annotated[bool, doc("Ignore a difference from the recorded size.")] = False
    wait_for_sync: fields.WaitForSync = False


class DeactivateDisks(Opcode, tag="OP_INSTANCE_DEACTIVATE_DISKS"):
    """Deactivate the disks of a stopped instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: Annotated[bool, doc("Do not check that the instance is stopped.")] = False


class GrowDisk(Opcode, tag="OP_INSTANCE_GROW_DISK"):
    """Increase the size of a disk."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    wait_for_sync: fields.WaitForSync = True
    disk: Annotated[DiskIndex, doc("Index of the disk, from 0.")]
    amount: Annotated[MiB, doc("Size to add, or the new size with absolute, in MiB.")]
    absolute: Annotated[bool, doc("Whether amount is the new size.")] = False
    ignore_ipolicy: fields.IgnorePolicy = False


class RecreateDisks(Opcode, tag="OP_INSTANCE_RECREATE_DISKS"):
    """Recreate disks of a stopped instance, empty, on the same or other nodes."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    disks: Annotated[
        tuple[Value, ...],
        doc("Disks to recreate: indexes, or [index, parameters]; empty means all."),
    ] = ()
    nodes: Annotated[tuple[Text, ...], doc("Nodes for the new disks, the primary first.")] = ()
    node_uuids: fields.NodeUUIDs = None
    iallocator: fields.Iallocator = None

    def __post_init__(self) -> None:
        for each in self.disks:
            match each:
                case bool():
                    pass
                case int(index) if index >= 0:
                    continue
                case [int(index), dict()] if index >= 0 and not isinstance(index, bool):
                    continue
            raise ValueError("disks: each must be an index or [index, parameters]")


class ReplacementMode(enum.StrEnum):
    """The side of mirrored disks to replace."""

    AUTO = "replace_auto"
    NEW_SECONDARY = "replace_new_secondary"
    ON_PRIMARY = "replace_on_primary"
    ON_SECONDARY = "replace_on_secondary"


class ReplaceDisks(Opcode, tag="OP_INSTANCE_REPLACE_DISKS"):
    """Replace one side of mirrored disks, on the same or a new secondary node."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    early_release: fields.EarlyRelease = False
    ignore_ipolicy: fields.IgnorePolicy = False
    mode: Annotated[ReplacementMode, doc("Side to replace.")]
    disks: Annotated[tuple[DiskIndex, ...], doc("Indexes of the disks; empty means all.")] = ()
    remote_node: fields.RemoteNode = None
    remote_node_uuid: fields.RemoteNodeUUID = None
    iallocator: fields.Iallocator = None
