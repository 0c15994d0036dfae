# SPDX-License-Identifier: BSD-2-Clause
"""Requests about exports of instances."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Integer, Lines, Number, Text, Value

_ZEROING = "let the guest trim its file systems (fstrim) before"


class ExportMode(enum.StrEnum):
    """Where an export goes: to a node of this cluster, or to another cluster."""

    LOCAL = "local"
    REMOTE = "remote"


class PrepareExport(Opcode, tag="OP_BACKUP_PREPARE"):
    """Get ready to export an instance; to another cluster, hand out what that one needs."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    mode: Annotated[ExportMode, doc("Where the export will go.")]


class ExportInstance(Opcode, tag="OP_BACKUP_EXPORT"):
    """Export an instance's disks and description."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    compress: fields.Compression = fields.NO_COMPRESSION
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    target_node: Annotated[
        Text | tuple[Value, ...],
        doc("The node that keeps it; with mode remote, where each disk is received."),
    ]
    target_node_uuid: fields.TargetNodeUUID = None
    shutdown: Annotated[bool, doc("Stop the instance while its disks are copied.")] = True
    remove_instance: Annotated[bool, doc("Remove the instance when it is exported.")] = False
    ignore_remove_failures: Annotated[
        bool, doc("Go on even if parts of the exported instance cannot be removed.")
    ] = False
    mode: Annotated[ExportMode, doc("Where the export goes.")] = ExportMode.LOCAL
    x509_key_name: Annotated[
        tuple[Value, ...] | None, doc("The signed name of the key made by prepare; mode remote.")
    ] = None
    destination_x509_ca: Annotated[
        Lines | None, doc("The signed certificate of the other cluster, in PEM; mode remote.")
    ] = None
    zero_free_space: Annotated[
        bool, unsupported("Overwrite free space with zeros before.", _ZEROING)
    ] = False
    zeroing_timeout_fixed: Annotated[
        Integer | None,
        unsupported("How long zeroing may take at least, in seconds.", _ZEROING),
    ] = None
    zeroing_timeout_per_mib: Annotated[
        Number | None,
        unsupported("How much longer zeroing may take per MiB, in seconds.", _ZEROING),
    ] = None
    long_sleep: Annotated[
        bool, doc("Keep the instance stopped until the whole export is done.")
    ] = False


class RemoveExport(Opcode, tag="OP_BACKUP_REMOVE"):
    """Delete the exports of an instance, which need not exist any more."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
