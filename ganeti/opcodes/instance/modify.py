# SPDX-License-Identifier: BSD-2-Clause
"""Changing what an instance is made of."""

from __future__ import annotations

from typing import Annotated, get_args

from ganeti.opcodes import fields
from ganeti.opcodes.instance.device_changes import ListChanges, changes
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Parameters, Positive, Text

_CONVERT = "disks are not converted; export the instance, and import it with another template"


class ModifyInstance(Opcode, tag="OP_INSTANCE_SET_PARAMS"):
    """Change parameters, disks, network cards or the disk template of an instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: fields.Force = False
    force_variant: fields.ForceVariant = False
    ignore_ipolicy: fields.IgnorePolicy = False
    nics: Annotated[
        ListChanges, doc("Changes of the network cards, each [action, where, parameters].")
    ] = ()
    disks: Annotated[
        ListChanges, doc("Changes of the disks, each [action, where, parameters].")
    ] = ()
    beparams: fields.BeParams = {}
    runtime_mem: Annotated[
        Positive | None, doc("Memory of the running guest from now on, in MiB.")
    ] = None
    hvparams: fields.HvParams = {}
    disk_template: Annotated[fields.DiskTemplate, doc("Convert the disks to this template.")] = None
    ext_params: Annotated[
        Parameters, unsupported("Parameters of the external storage to convert to.", _CONVERT)
    ] = {}
    file_driver: fields.FileDriver = None
    file_storage_dir: fields.FileStorageDir = None
    pnode: Annotated[Text | None, doc("Record this node as primary; moves nothing.")] = None
    pnode_uuid: fields.PrimaryNodeUUID = None
    remote_node: Annotated[
        Text | None, unsupported("The secondary node for disks that are converted.", _CONVERT)
    ] = None
    remote_node_uuid: Annotated[
        Text | None, unsupported("UUID of the secondary node for converted disks.", _CONVERT)
    ] = None
    iallocator: Annotated[
        Text | None, unsupported("The allocator that chooses that node.", _CONVERT)
    ] = None
    os_name: Annotated[Text | None, doc("Record another OS definition; installs nothing.")] = None
    osparams: fields.OSParams = {}
    osparams_private: fields.PrivateParams = None
    wait_for_sync: fields.WaitForSync = True
    offline: Annotated[
        bool | None, doc("Take the stopped instance out of use (true), or back in (false).")
    ] = None
    conflicts_check: fields.ConflictsCheck = True
    hotplug: Annotated[bool, doc("Change the running guest too; fail where that cannot be.")] = (
        False
    )
    hotplug_if_possible: Annotated[bool, doc("Change the running guest too where possible.")] = (
        False
    )
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
