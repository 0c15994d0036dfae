# SPDX-License-Identifier: BSD-2-Clause
"""Making instances: new, from an export, or from another cluster."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Lines, Seconds, Text, Value


class CreationMode(enum.StrEnum):
    """Where the contents of a new instance come from."""

    CREATE = "create"
    IMPORT = "import"
    REMOTE_IMPORT = "remote-import"


class CreateInstance(Opcode, tag="OP_INSTANCE_CREATE"):
    """Create an instance: empty, installed by an OS definition, or from an export."""

    summary_field = "instance_name"
    host_names = ("instance_name",)

    instance_name: fields.TheInstance
    force_variant: fields.ForceVariant = False
    wait_for_sync: fields.WaitForSync = True
    name_check: fields.NameCheck = True
    ignore_ipolicy: fields.IgnorePolicy = False
    opportunistic_locking: fields.OpportunisticLocking = False
    beparams: fields.BeParams = {}
    disks: Annotated[tuple[fields.DiskParams, ...], doc("The disks, in order; sizes in MiB.")]
    disk_template: fields.DiskTemplate = None
    group_name: Annotated[Text | None, doc("The node group to place the instance in.")] = None
    file_driver: fields.FileDriver = None
    file_storage_dir: fields.FileStorageDir = None
    hvparams: fields.HvParams = {}
    hypervisor: fields.HypervisorName = None
    iallocator: fields.Iallocator = None
    identify_defaults: Annotated[
        bool, doc("On import, do not record values that equal the cluster's defaults.")
    ] = False
    ip_check: fields.IPCheck = True
    conflicts_check: fields.ConflictsCheck = True
    mode: Annotated[CreationMode, doc("Where the contents come from.")]
    nics: Annotated[tuple[fields.NicParams, ...], doc("The network cards, in order.")]
    no_install: Annotated[bool | None, doc("Leave the disks empty; run no OS script.")] = None
    osparams: fields.OSParams = {}
    osparams_private: fields.PrivateParams = None
    osparams_secret: fields.SecretParams = None
    os_type: fields.OSType = None
    pnode: fields.PrimaryNode = None
    pnode_uuid: fields.PrimaryNodeUUID = None
    snode: Annotated[Text | None, doc("The node for the second copy of mirrored disks.")] = None
    snode_uuid: Annotated[Text | None, doc("UUID of the secondary node.")] = None
    source_handshake: Annotated[
        tuple[Value, ...] | None,
        doc("Proof of the source cluster that it may send; remote import."),
    ] = None
    source_instance_name: Annotated[
        Text | None, doc("The instance's name in its source cluster; remote import.")
    ] = None
    source_shutdown_timeout: Annotated[
        Seconds, doc("How long to wait for the source to stop the instance, in seconds.")
    ] = fields.SHUTDOWN_TIMEOUT
    source_x509_ca: Annotated[
        Lines | None, doc("The signed certificate of the source cluster, in PEM; remote import.")
    ] = None
    src_node: Annotated[Text | None, doc("The node that holds the export.")] = None
    src_node_uuid: Annotated[Text | None, doc("UUID of the node that holds the export.")] = None
    src_path: Annotated[
        Text | None, doc("The export's folder, absolute or below the export folder.")
    ] = None
    compress: fields.Compression = fields.NO_COMPRESSION
    start: Annotated[bool, doc("Start the instance when it is made.")] = True
    forthcoming: Annotated[
        bool,
        unsupported(
            "Only reserve the instance's resources; create it later.",
            "create it with --no-start and --no-install, and install it later",
        ),
    ] = False
    commit: Annotated[
        bool,
        unsupported("Create an instance that was reserved before.", "instances are not reserved"),
    ] = False
    tags: fields.Tags = ()
    instance_communication: fields.Communication = False
    helper_startup_timeout: fields.HelperTimeout = None
    helper_shutdown_timeout: fields.HelperTimeout = None


class AllocateInstances(Opcode, tag="OP_INSTANCE_MULTI_ALLOC"):
    """Find places for several instances at once and submit a job for each that fits."""

    opportunistic_locking: fields.OpportunisticLocking = False
    iallocator: fields.Iallocator = None
    instances: Annotated[tuple[CreateInstance, ...], doc("The instances to create.")] = ()
