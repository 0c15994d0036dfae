# SPDX-License-Identifier: BSD-2-Clause
"""The table of all fields of instances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ganeti.model.instance import AdminState
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.views.instances.parameter_fields import parameter_fields
from ganeti.views.instances.parts import device_fields
from ganeti.views.instances.row import InstanceRow

F = Field[InstanceRow]

_CONFIGURED = (
    F(
        "name",
        "Instance",
        FieldType.TEXT,
        "The name of the instance.",
        lambda row: row.instance.name,
        compare=Compare.HOSTNAME,
    ),
    F("uuid", "UUID", FieldType.TEXT, "The UUID of the instance.", lambda row: row.instance.uuid),
    F(
        "serial_no",
        "SerialNo",
        FieldType.NUMBER,
        "The serial number, incremented by each change.",
        lambda row: row.instance.serial_no,
    ),
    F(
        "ctime",
        "CTime",
        FieldType.TIMESTAMP,
        "The time when the instance was created.",
        lambda row: row.instance.ctime,
    ),
    F(
        "mtime",
        "MTime",
        FieldType.TIMESTAMP,
        "The time of the last change.",
        lambda row: row.instance.mtime,
    ),
    F("tags", "Tags", FieldType.OTHER, "The tags of the instance.", lambda row: row.instance.tags),
    F("os", "OS", FieldType.TEXT, "The OS definition.", lambda row: row.instance.os),
    F(
        "hypervisor",
        "Hypervisor",
        FieldType.TEXT,
        "The hypervisor.",
        lambda row: row.instance.hypervisor,
    ),
    F(
        "admin_state",
        "InstanceState",
        FieldType.TEXT,
        "The configured state: up, down or offline.",
        lambda row: row.instance.admin_state.value,
    ),
    F(
        "admin_state_source",
        "InstanceStateSource",
        FieldType.TEXT,
        "Who set the configured state: admin or user.",
        lambda row: row.instance.admin_state_source.value,
    ),
    F(
        "admin_up",
        "Autostart",
        FieldType.BOOL,
        "Whether the configured state is up.",
        lambda row: row.instance.admin_state is AdminState.UP,
    ),
    F(
        "disks_active",
        "DisksActive",
        FieldType.BOOL,
        "Whether the disks should be active.",
        lambda row: row.instance.disks_active,
    ),
    F(
        "forthcoming",
        "Forthcoming",
        FieldType.BOOL,
        "Whether the instance is only reserved.",
        lambda row: row.instance.forthcoming,
    ),
    F(
        "disk_template",
        "Disk_template",
        FieldType.TEXT,
        "The disk template.",
        lambda r: r.template,
    ),
    F(
        "disk_usage",
        "DiskUsage",
        FieldType.UNIT,
        "The disk space that the instance uses on each of its nodes.",
        lambda r: r.usage,
    ),
    F(
        "network_port",
        "Network_port",
        FieldType.OTHER,
        "The port of the graphical console.",
        lambda row: _or_unavailable(row.instance.network_port),
    ),
)

_PARAMETERS = (
    F(
        "beparams",
        "BackendParameters",
        FieldType.OTHER,
        "The effective backend parameters.",
        lambda r: r.beparams,
    ),
    F(
        "hvparams",
        "HypervisorParameters",
        FieldType.OTHER,
        "The effective hypervisor parameters.",
        lambda r: r.hvparams,
    ),
    F(
        "osparams",
        "OpSysParameters",
        FieldType.OTHER,
        "The effective OS parameters.",
        lambda r: r.osparams,
    ),
    F(
        "custom_beparams",
        "CustomBackendParameters",
        FieldType.OTHER,
        "The backend parameters set on the instance.",
        lambda row: row.instance.beparams,
    ),
    F(
        "custom_hvparams",
        "CustomHypervisorParameters",
        FieldType.OTHER,
        "The hypervisor parameters set on the instance.",
        lambda row: row.instance.hvparams,
    ),
    F(
        "custom_osparams",
        "CustomOpSysParameters",
        FieldType.OTHER,
        "The OS parameters set on the instance.",
        lambda row: row.instance.osparams,
    ),
    F(
        "custom_nicparams",
        "CustomNicParameters",
        FieldType.OTHER,
        "The NIC parameters set on each network card.",
        lambda row: [nic.nicparams for nic in row.instance.nics],
    ),
    F(
        "snapshots",
        "Snapshots",
        FieldType.OTHER,
        "The snapshots of the disks, the oldest first.",
        lambda row: row.snapshots,
    ),
)

_NODES = (
    F(
        "pnode",
        "Primary_node",
        FieldType.TEXT,
        "The primary node.",
        lambda row: row.node.name,
        compare=Compare.HOSTNAME,
    ),
    F(
        "pnode.group",
        "PrimaryNodeGroup",
        FieldType.TEXT,
        "The node group of the primary node.",
        lambda r: r.group.name,
    ),
    F(
        "pnode.group.uuid",
        "PrimaryNodeGroupUUID",
        FieldType.TEXT,
        "The UUID of the primary node's group.",
        lambda row: row.group.uuid,
    ),
    F(
        "snodes",
        "Secondary_Nodes",
        FieldType.OTHER,
        "The secondary nodes.",
        lambda row: [node.name for node in row.secondaries],
    ),
    F(
        "snodes.group",
        "SecondaryNodesGroups",
        FieldType.OTHER,
        "The node groups of the secondary nodes.",
        lambda row: [group.name for group in row.groups_of_secondaries],
    ),
    F(
        "snodes.group.uuid",
        "SecondaryNodesGroupsUUID",
        FieldType.OTHER,
        "The UUIDs of the secondary nodes' groups.",
        lambda row: [group.uuid for group in row.groups_of_secondaries],
    ),
)

_LIVE = (
    F(
        "status",
        "Status",
        FieldType.TEXT,
        "The status, from the configured and the actual state.",
        lambda r: r.condition.value,
        Source.NODES,
    ),
    F(
        "oper_state",
        "Running",
        FieldType.BOOL,
        "Whether the instance is running.",
        lambda row: row.guest if isinstance(row.guest, FieldStatus) else row.guest is not None,
        Source.NODES,
    ),
    F(
        "oper_ram",
        "Memory",
        FieldType.UNIT,
        "The current memory.",
        lambda row: row.running("memory"),
        Source.NODES,
    ),
    F(
        "oper_vcpus",
        "VCPUs",
        FieldType.NUMBER,
        "The current number of virtual processors.",
        lambda row: row.running("vcpus"),
        Source.NODES,
    ),
    F(
        "console",
        "Console",
        FieldType.OTHER,
        "How to connect to the console.",
        lambda row: row.moment.consoles.get(row.instance.uuid, _missing_console_status(row)),
        Source.CONSOLES,
    ),
)

ALIASES = {
    "vcpus": "be/vcpus",
    "sda_size": "disk.size/0",
    "sdb_size": "disk.size/1",
    "ip": "nic.ip/0",
    "mac": "nic.mac/0",
    "bridge": "nic.bridge/0",
    "nic_mode": "nic.mode/0",
    "nic_link": "nic.link/0",
    "nic_network": "nic.network/0",
}
"""Older names of fields."""


def _or_unavailable(value: object) -> object:
    return FieldStatus.UNAVAILABLE if value is None else value


def _missing_console_status(row: InstanceRow) -> FieldStatus:
    if row.guest is None:
        return FieldStatus.UNAVAILABLE
    return row.guest if isinstance(row.guest, FieldStatus) else FieldStatus.NODATA


def _fields() -> Iterator[F]:
    known = [*_CONFIGURED, *_PARAMETERS, *_NODES, *_LIVE, *device_fields(), *parameter_fields()]
    yield from known
    by_name = {field.name: field for field in known}
    for name, meant in ALIASES.items():
        yield replace(by_name[meant], name=name)


INSTANCES: Table[InstanceRow] = Table(_fields())
