# SPDX-License-Identifier: BSD-2-Clause
"""The opcode that copies an instance."""

from __future__ import annotations

from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.instance.snapshots import SnapshotName
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Text


class CloneInstance(Opcode, tag="OP_INSTANCE_CLONE"):
    """Create an instance with a copy of the disks and the settings of a stopped one."""

    summary_field = "instance_name"
    host_names = ("new_name",)

    instance_name: Annotated[Text, doc("The instance to copy.")]
    instance_uuid: fields.InstanceUUID = None
    new_name: Annotated[Text, doc("Name of the new instance.")]
    snapshot_name: Annotated[
        SnapshotName | None,
        doc("Copy this snapshot instead of the present data; the instance may run."),
    ] = None
    pnode: fields.PrimaryNode = None
    snode: Annotated[Text | None, doc("Secondary node, for mirrored disks.")] = None
    group_name: Annotated[Text | None, doc("Node group for the new instance.")] = None
    iallocator: fields.Iallocator = None
    ignore_ipolicy: fields.IgnorePolicy = False
    name_check: fields.NameCheck = True
    ip_check: fields.IPCheck = True
    wait_for_sync: fields.WaitForSync = True
    start: Annotated[bool, doc("Start the new instance.")] = False
