# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that create instances: new ones, from an export, or from another cluster."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Lines, Seconds, Text, Value


class CreationMode(enum.StrEnum):
    """The source of a new instance."""

    CREATE = "create"
    IMPORT = "import"
    REMOTE_IMPORT = "remote-import"


class CreateInstance(Opcode, tag="OP_INSTANCE_CREATE"):
    """Create an instance, by installing an OS or importing an export."""

    summary_field = "instance_name"
    host_names = ("instance_name",)

    instance_name: fields.TheInstance
    force_variant: fields.ForceVariant = False
    wait_for_sync: fields.WaitForSync = True
    name_check: fields.NameCheck = True
    ignore_ipolicy: fields.IgnorePolicy = False
    opportunistic_locking: fields.OpportunisticLocking = False
    beparams: fields.BeParams = {}
    disks: Annotated[tuple[fields.DiskParams, ...], doc("Disks in order; sizes in MiB.")]
    disk_template: fields.DiskTemplate = None
    group_name: Annotated[Text | None, doc("Node group for the instance.")] = None
    file_driver: fields.FileDriver = None
    file_storage_dir: fields.FileStorageDir = None
    hvparams: fields.HvParams = {}
    hypervisor: fields.HypervisorName = None
    iallocator: fields.Iallocator = None
    identify_defaults: Annotated[
        bool, doc("On import, do not record values that equal cluster defaults.")
    ] = False
    ip_check: fields.IPCheck = True
    conflicts_check: fields.ConflictsCheck = True
    mode: Annotated[CreationMode, doc("Source of the instance.")]
    nics: Annotated[tuple[fields.NicParams, ...], doc("Network cards in order.")]
    no_install: Annotated[bool | None, doc("Do not install an OS; the disks stay empty.")] = None
    osparams: fields.OSParams = {}
    osparams_private: fields.PrivateParams = None
    osparams_secret: fields.SecretParams = None
    os_type: fields.OSType = None
    pnode: fields.PrimaryNode = None
    pnode_uuid: fields.PrimaryNodeUUID = None
    snode: Annotated[Text | None, doc("Secondary node, for mirrored disks.")] = None
    snode_uuid: Annotated[Text | None, doc("UUID of the secondary node.")] = None
    source_handshake: Annotated[
        tuple[Value, ...] | None,
        doc("Handshake of the source cluster; remote import."),
    ] = None
    source_instance_name: Annotated[
        Text | None, doc("Name of the instance in the source cluster; remote import.")
    ] = None
    source_shutdown_timeout: Annotated[
        Seconds, doc("Time-out for the shutdown of the instance in the source cluster, in seconds.")
    ] = fields.SHUTDOWN_TIMEOUT
    source_x509_ca: Annotated[
        Lines | None, doc("Signed certificate of the source cluster (PEM); remote import.")
    ] = None
    src_node: Annotated[Text | None, doc("Node with the export.")] = None
    src_node_uuid: Annotated[Text | None, doc("UUID of the node with the export.")] = None
    src_path: Annotated[
        Text | None, doc("Directory of the export, absolute or below the export directory.")
    ] = None
    src_backup: Annotated[
        Text | None, doc("Backup to import instead of an export, as REPOSITORY/ID.")
    ] = None
    compress: fields.Compression = fields.NO_COMPRESSION
    start: Annotated[bool, doc("Start the instance after its creation.")] = True
    forthcoming: Annotated[
        bool,
        doc(
            "Only reserve name, resources, addresses and ports; nothing is created, installed or"
            " started."
        ),
    ] = False
    commit: Annotated[
        bool,
        doc(
            "Create the reserved instance with this name; what is not given is taken from the"
            " reservation."
        ),
    ] = False
    tags: fields.Tags = ()
    instance_communication: fields.Communication = False
    helper_startup_timeout: fields.HelperTimeout = None
    helper_shutdown_timeout: fields.HelperTimeout = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for index, card in enumerate(self.nics):
            for name, value in card.items():
                if name not in fields.NOT_TEXT and not isinstance(value, str | None):
                    raise ValueError(f"nics[{index}].{name}: must be text or null")


class AllocateInstances(Opcode, tag="OP_INSTANCE_MULTI_ALLOC"):
    """Allocate nodes for several instances, and submit a creation job for each that fits."""

    opportunistic_locking: fields.OpportunisticLocking = False
    iallocator: fields.Iallocator = None
    instances: Annotated[tuple[CreateInstance, ...], doc("Instances to create.")] = ()
