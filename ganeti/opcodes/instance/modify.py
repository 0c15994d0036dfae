# SPDX-License-Identifier: BSD-2-Clause
"""The opcode that modifies an instance."""

from __future__ import annotations

from typing import Annotated, get_args

from ganeti.opcodes import fields
from ganeti.opcodes.instance.device_changes import ListChanges, changes
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Parameters, Positive, Text

_CONVERT = "name the secondary node of converted disks by --node"


class ModifyInstance(Opcode, tag="OP_INSTANCE_SET_PARAMS"):
    """Change parameters, disks or network cards of an instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: fields.Force = False
    force_variant: fields.ForceVariant = False
    ignore_ipolicy: fields.IgnorePolicy = False
    nics: Annotated[
        ListChanges, doc("Changes of network cards, each [action, where, parameters].")
    ] = ()
    disks: Annotated[ListChanges, doc("Changes of disks, each [action, where, parameters].")] = ()
    beparams: fields.BeParams = {}
    runtime_mem: Annotated[Positive | None, doc("New memory size of the running guest in MiB.")] = (
        None
    )
    hvparams: fields.HvParams = {}
    disk_template: Annotated[
        fields.DiskTemplate, doc("Convert the disks of the stopped instance to this template.")
    ] = None
    ext_params: Annotated[
        Parameters, doc("Provider and its parameters, for a conversion to external storage.")
    ] = {}
    file_driver: fields.FileDriver = None
    file_storage_dir: fields.FileStorageDir = None
    pnode: Annotated[Text | None, doc("Record this node as primary; no data are moved.")] = None
    pnode_uuid: fields.PrimaryNodeUUID = None
    remote_node: Annotated[
        Text | None, doc("Secondary node of disks that are converted to mirrored ones.")
    ] = None
    remote_node_uuid: Annotated[
        Text | None, doc("UUID of the secondary node of disks that become mirrored ones.")
    ] = None
    iallocator: Annotated[
        Text | None, unsupported("Name of the iallocator that selects this node.", _CONVERT)
    ] = None
    os_name: Annotated[Text | None, doc("Record another OS definition; it is not installed.")] = (
        None
    )
    osparams: fields.OSParams = {}
    osparams_private: fields.PrivateParams = None
    wait_for_sync: fields.WaitForSync = True
    offline: Annotated[
        bool | None, doc("Mark the stopped instance as offline (true), or as down (false).")
    ] = None
    conflicts_check: fields.ConflictsCheck = True
    hotplug: Annotated[bool, doc("Also change the running guest; fail if it is impossible.")] = (
        False
    )
    hotplug_if_possible: Annotated[bool, doc("Also change the running guest if possible.")] = False
    instance_communication: fields.Communication = None

    def __post_init__(self) -> None:
        for name, written, keys in (
            ("nics", self.nics, get_args(fields.NicKey)),
            ("disks", self.disks, ()),
        ):
            try:
                changes(written, keys)
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
