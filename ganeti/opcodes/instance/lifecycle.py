# SPDX-License-Identifier: BSD-2-Clause
"""Starting, stopping, renaming, reinstalling, removing and looking at instances."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.model.instance import WantedBy
from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import InstanceName, Parameters, Seconds


class StartInstance(Opcode, tag="OP_INSTANCE_STARTUP"):
    """Start an instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: fields.Force = False
    ignore_offline_nodes: fields.IgnoreOfflineNodes = False
    hvparams: Annotated[Parameters, doc("Hypervisor parameters for this start only.")] = {}
    beparams: Annotated[Parameters, doc("Backend parameters for this start only.")] = {}
    no_remember: fields.NoRemember = False
    startup_paused: Annotated[bool, doc("Start the guest with its processors paused.")] = False
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT


class ShutdownInstance(Opcode, tag="OP_INSTANCE_SHUTDOWN"):
    """Stop an instance, giving its guest time to shut down cleanly."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: fields.Force = False
    ignore_offline_nodes: fields.IgnoreOfflineNodes = False
    timeout: Annotated[
        Seconds, doc("How long the guest may take before it is stopped hard, in seconds.")
    ] = fields.SHUTDOWN_TIMEOUT
    no_remember: fields.NoRemember = False
    admin_state_source: Annotated[
        WantedBy | None, doc("Who wants the instance down: its administrator or its user.")
    ] = None


class RebootType(enum.StrEnum):
    """How much of an instance a reboot restarts."""

    SOFT = "soft"
    HARD = "hard"
    FULL = "full"


class RebootInstance(Opcode, tag="OP_INSTANCE_REBOOT"):
    """Reboot an instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    ignore_secondaries: Annotated[
        bool, doc("Start even if the disks cannot be assembled on the secondary node.")
    ] = False
    reboot_type: Annotated[
        RebootType,
        doc("soft: inside the guest; hard: the guest anew; full: disks and guest anew."),
    ]


class RemoveInstance(Opcode, tag="OP_INSTANCE_REMOVE"):
    """Stop an instance and delete it with its disks."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    ignore_failures: Annotated[
        bool,
        doc(
            "Forget the instance even if it cannot be stopped or its disks not removed. A node "
            "that does not answer must be marked offline first."
        ),
    ] = False


class RenameInstance(Opcode, tag="OP_INSTANCE_RENAME"):
    """Give a stopped instance another name."""

    host_names = ("new_name",)

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    new_name: Annotated[InstanceName, doc("The new name.")]
    name_check: fields.NameCheck = True
    ip_check: fields.IPCheck = True


class ReinstallInstance(Opcode, tag="OP_INSTANCE_REINSTALL"):
    """Install the operating system of a stopped instance again; its data are lost."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force_variant: fields.ForceVariant = False
    os_type: fields.OSType = None
    osparams: Annotated[Parameters | None, doc("Parameters for the OS scripts, this time.")] = None
    osparams_private: fields.PrivateParams = None
    osparams_secret: fields.SecretParams = None


class OpenConsole(Opcode, tag="OP_INSTANCE_CONSOLE"):
    """Say how to reach the console of a running instance."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None


class DescribeInstances(Opcode, tag="OP_INSTANCE_QUERY_DATA"):
    """Tell everything about instances, down to their disks."""

    use_locking: fields.UseLocking = False
    instances: Annotated[fields.InstanceNames, doc("Only these instances; empty means all.")] = ()
    static: Annotated[bool, doc("Do not ask the nodes; leave out what only they know.")] = False
