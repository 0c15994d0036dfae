# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for exports of instances."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Integer, Lines, Number, Text, Value

_ZEROING = "trim the file systems inside the guest first (fstrim)"


class ExportMode(enum.StrEnum):
    """The destination of an export: a node of this cluster, or another cluster."""

    LOCAL = "local"
    REMOTE = "remote"


class PrepareExport(Opcode, tag="OP_BACKUP_PREPARE"):
    """Prepare the export of an instance; for another cluster, return a handshake and a key."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    mode: Annotated[ExportMode, doc("Destination of the export.")]


class ExportInstance(Opcode, tag="OP_BACKUP_EXPORT"):
    """Export the disks and the description of an instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    compress: fields.Compression = fields.NO_COMPRESSION
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    target_node: Annotated[
        Text | tuple[Value, ...],
        doc("Node for the export; with mode remote, the destination of each disk."),
    ]
    target_node_uuid: fields.TargetNodeUUID = None
    shutdown: Annotated[bool, doc("Stop the instance during the export.")] = True
    remove_instance: Annotated[bool, doc("Remove the instance after the export.")] = False
    ignore_remove_failures: Annotated[
        bool, doc("Remove the instance even if its disks cannot be removed.")
    ] = False
    mode: Annotated[ExportMode, doc("Destination of the export.")] = ExportMode.LOCAL
    x509_key_name: Annotated[
        tuple[Value, ...] | None, doc("Signed name of the key from the preparation; mode remote.")
    ] = None
    destination_x509_ca: Annotated[
        Lines | None, doc("Signed certificate of the other cluster (PEM); mode remote.")
    ] = None
    zero_free_space: Annotated[
        bool, unsupported("Overwrite free space with zeros first.", _ZEROING)
    ] = False
    zeroing_timeout_fixed: Annotated[
        Integer | None,
        unsupported("Time-out for zeroing in seconds, plus the time per MiB.", _ZEROING),
    ] = None
    zeroing_timeout_per_mib: Annotated[
        Number | None,
        unsupported("Additional time-out for zeroing per MiB, in seconds.", _ZEROING),
    ] = None
    long_sleep: Annotated[bool, doc("Keep the instance stopped until the export is complete.")] = (
        False
    )


class RemoveExport(Opcode, tag="OP_BACKUP_REMOVE"):
    """Remove the exports of an instance; the instance need not exist."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
