# SPDX-License-Identifier: BSD-2-Clause
"""The disks of existing instances: assembling, growing, replacing, making anew."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import DiskIndex, MiB, Text, Value


class ActivateDisks(Opcode, tag="OP_INSTANCE_ACTIVATE_DISKS"):
    """Assemble the disks of an instance on its nodes."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    ignore_size: Annotated[bool, doc("Assemble even if the recorded size is wrong.")] = False
    wait_for_sync: fields.WaitForSync = False


class DeactivateDisks(Opcode, tag="OP_INSTANCE_DEACTIVATE_DISKS"):
    """Shut down the disks of a stopped instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: Annotated[bool, doc("Do not ask whether the instance is stopped.")] = False


class GrowDisk(Opcode, tag="OP_INSTANCE_GROW_DISK"):
    """Make a disk of an instance larger."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    wait_for_sync: fields.WaitForSync = True
    disk: Annotated[DiskIndex, doc("Which disk, counted from 0.")]
    amount: Annotated[MiB, doc("How much to add, or with absolute the new size, in MiB.")]
    absolute: Annotated[bool, doc("The amount is the new size.")] = False
    ignore_ipolicy: fields.IgnorePolicy = False


class RecreateDisks(Opcode, tag="OP_INSTANCE_RECREATE_DISKS"):
    """Make the disks of a stopped instance anew, empty, on the same or other nodes."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    disks: Annotated[
        tuple[Value, ...],
        doc("Which disks: indexes, or [index, parameters] each; empty means all."),
    ] = ()
    nodes: Annotated[tuple[Text, ...], doc("The nodes for the new disks, primary first.")] = ()
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
    """Which side of mirrored disks is built anew."""

    AUTO = "replace_auto"
    NEW_SECONDARY = "replace_new_secondary"
    ON_PRIMARY = "replace_on_primary"
    ON_SECONDARY = "replace_on_secondary"


class ReplaceDisks(Opcode, tag="OP_INSTANCE_REPLACE_DISKS"):
    """Rebuild one side of an instance's mirrored disks, in place or on another node."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    early_release: fields.EarlyRelease = False
    ignore_ipolicy: fields.IgnorePolicy = False
    mode: Annotated[ReplacementMode, doc("Which side is built anew.")]
    disks: Annotated[tuple[DiskIndex, ...], doc("Indexes of the disks; empty means all.")] = ()
    remote_node: fields.RemoteNode = None
    remote_node_uuid: fields.RemoteNodeUUID = None
    iallocator: fields.Iallocator = None
