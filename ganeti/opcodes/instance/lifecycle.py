# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes to start, stop, rename, reinstall, remove and show instances."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.model.instance import AdminStateSource
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
    startup_paused: Annotated[bool, doc("Start the guest in paused state.")] = False
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT


class ShutdownInstance(Opcode, tag="OP_INSTANCE_SHUTDOWN"):
    """Shut down an instance cleanly, and kill its guest after a time-out."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force: fields.Force = False
    ignore_offline_nodes: fields.IgnoreOfflineNodes = False
    timeout: Annotated[
        Seconds, doc("Time-out for a clean shutdown in seconds; then the guest is killed.")
    ] = fields.SHUTDOWN_TIMEOUT
    no_remember: fields.NoRemember = False
    admin_state_source: Annotated[
        AdminStateSource | None,
        doc("Source of the shutdown: an administrator or the guest's user."),
    ] = None


class RebootType(enum.StrEnum):
    """The parts of an instance that a reboot restarts."""

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
        bool, doc("Ignore failures to activate disks on the secondary node.")
    ] = False
    reboot_type: Annotated[
        RebootType,
        doc("soft: from inside the guest; hard: restart the guest; full: guest and disks."),
    ]


class RemoveInstance(Opcode, tag="OP_INSTANCE_REMOVE"):
    """Stop an instance and remove it with its disks."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    shutdown_timeout: fields.ShutdownTimeout = fields.SHUTDOWN_TIMEOUT
    ignore_failures: Annotated[
        bool,
        doc(
            "Remove the instance even if it cannot be stopped or its disks cannot be removed. "
            "An unreachable node must be marked offline first."
        ),
    ] = False


class RenameInstance(Opcode, tag="OP_INSTANCE_RENAME"):
    """Rename a stopped instance."""

    host_names = ("new_name",)

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    new_name: Annotated[InstanceName, doc("New name.")]
    name_check: fields.NameCheck = True
    ip_check: fields.IPCheck = True


class ReinstallInstance(Opcode, tag="OP_INSTANCE_REINSTALL"):
    """Reinstall the operating system of a stopped instance; its data are lost."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    force_variant: fields.ForceVariant = False
    os_type: fields.OSType = None
    osparams: Annotated[Parameters | None, doc("OS parameters, for this run only.")] = None
    osparams_private: fields.PrivateParams = None
    osparams_secret: fields.SecretParams = None


class OpenConsole(Opcode, tag="OP_INSTANCE_CONSOLE"):
    """Return the connection data of a running instance's console."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None


class DescribeInstances(Opcode, tag="OP_INSTANCE_QUERY_DATA"):
    """Return all data of instances, including their disks."""

    use_locking: fields.UseLocking = False
    instances: Annotated[fields.InstanceNames, doc("Names of instances; empty means all.")] = ()
    static: Annotated[bool, doc("Do not query the nodes; omit live data.")] = False
