# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for snapshots of the disks of an instance."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import LABEL

SnapshotName: TypeAlias = Annotated[
    str, Meta(pattern=LABEL, max_length=64), doc("Name of the snapshot.")
]


class CreateSnapshot(Opcode, tag="OP_INSTANCE_SNAPSHOT_CREATE"):
    """Create a snapshot of all disks of an instance; a running one keeps running."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    snapshot_name: SnapshotName
    memory: Annotated[
        bool,
        doc(
            "Save the memory of a running kvm guest as well, which stops meanwhile; a revert lets"
            " it go on from there."
        ),
    ] = False


class RevertInstance(Opcode, tag="OP_INSTANCE_SNAPSHOT_REVERT"):
    """Revert the disks of an instance to a snapshot, which stays; later data are lost."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    snapshot_name: SnapshotName
    restart: Annotated[
        bool, doc("Shut a running instance down first, and start it again afterwards.")
    ] = False
    disks_only: Annotated[
        bool, doc("Leave out the memory in the snapshot: the guest boots, or stays stopped.")
    ] = False
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT


class RemoveSnapshot(Opcode, tag="OP_INSTANCE_SNAPSHOT_REMOVE"):
    """Remove a snapshot of an instance, or what an interruption has left of one."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    snapshot_name: SnapshotName
