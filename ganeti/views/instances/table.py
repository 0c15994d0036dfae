# SPDX-License-Identifier: BSD-2-Clause
"""Every field of instances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ganeti.model.instance import Wanted
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.views.instances.parameters import parameter_fields
from ganeti.views.instances.parts import part_fields
from ganeti.views.instances.row import InstanceRow

F = Field[InstanceRow]

_ITSELF = (
    F(
        "name",
        "Instance",
        FieldType.TEXT,
        "The instance's name.",
        lambda row: row.instance.name,
        compare=Compare.HOSTNAME,
    ),
    F("uuid", "UUID", FieldType.TEXT, "Its UUID.", lambda row: row.instance.uuid),
    F(
        "serial_no",
        "SerialNo",
        FieldType.NUMBER,
        "Its revision.",
        lambda row: row.instance.serial_no,
    ),
    F("ctime", "CTime", FieldType.TIMESTAMP, "When it was made.", lambda row: row.instance.ctime),
    F(
        "mtime",
        "MTime",
        FieldType.TIMESTAMP,
        "When it last changed.",
        lambda row: row.instance.mtime,
    ),
    F("tags", "Tags", FieldType.OTHER, "Its tags.", lambda row: row.instance.tags),
    F("os", "OS", FieldType.TEXT, "Its OS definition.", lambda row: row.instance.os),
    F(
        "hypervisor",
        "Hypervisor",
        FieldType.TEXT,
        "What runs it.",
        lambda row: row.instance.hypervisor,
    ),
    F(
        "admin_state",
        "InstanceState",
        FieldType.TEXT,
        "The state that is wanted.",
        lambda row: row.instance.admin_state.value,
    ),
    F(
        "admin_state_source",
        "InstanceStateSource",
        FieldType.TEXT,
        "Who wants that state: admin or user.",
        lambda row: row.instance.admin_state_source.value,
    ),
    F(
        "admin_up",
        "Autostart",
        FieldType.BOOL,
        "Whether it is wanted up.",
        lambda row: row.instance.admin_state is Wanted.UP,
    ),
    F(
        "disks_active",
        "DisksActive",
        FieldType.BOOL,
        "Whether its disks are to be assembled.",
        lambda row: row.instance.disks_active,
    ),
    F(
        "forthcoming",
        "Forthcoming",
        FieldType.BOOL,
        "Whether it is only reserved.",
        lambda _: False,
    ),
    F(
        "disk_template",
        "Disk_template",
        FieldType.TEXT,
        "What its disks are.",
        lambda r: r.template,
    ),
    F(
        "disk_usage",
        "DiskUsage",
        FieldType.UNIT,
        "Disk space on each of its nodes.",
        lambda r: r.usage,
    ),
    F(
        "network_port",
        "Network_port",
        FieldType.OTHER,
        "The port of its graphical console.",
        lambda row: _given(row.instance.network_port),
    ),
)

_PARAMETERS = (
    F(
        "beparams",
        "BackendParameters",
        FieldType.OTHER,
        "Backend parameters.",
        lambda r: r.beparams,
    ),
    F(
        "hvparams",
        "HypervisorParameters",
        FieldType.OTHER,
        "For its hypervisor.",
        lambda r: r.hvparams,
    ),
    F("osparams", "OpSysParameters", FieldType.OTHER, "For its OS scripts.", lambda r: r.osparams),
    F(
        "custom_beparams",
        "CustomBackendParameters",
        FieldType.OTHER,
        "Backend parameters of its own.",
        lambda row: row.instance.beparams,
    ),
    F(
        "custom_hvparams",
        "CustomHypervisorParameters",
        FieldType.OTHER,
        "Hypervisor parameters of its own.",
        lambda row: row.instance.hvparams,
    ),
    F(
        "custom_osparams",
        "CustomOpSysParameters",
        FieldType.OTHER,
        "OS parameters of its own.",
        lambda row: row.instance.osparams,
    ),
    F(
        "custom_nicparams",
        "CustomNicParameters",
        FieldType.OTHER,
        "Parameters of each network card of its own.",
        lambda row: [nic.nicparams for nic in row.instance.nics],
    ),
)

_PLACES = (
    F(
        "pnode",
        "Primary_node",
        FieldType.TEXT,
        "The node it runs on.",
        lambda row: row.node.name,
        compare=Compare.HOSTNAME,
    ),
    F("pnode.group", "PrimaryNodeGroup", FieldType.TEXT, "Its node group.", lambda r: r.group.name),
    F(
        "pnode.group.uuid",
        "PrimaryNodeGroupUUID",
        FieldType.TEXT,
        "UUID of its node group.",
        lambda row: row.group.uuid,
    ),
    F(
        "snodes",
        "Secondary_Nodes",
        FieldType.OTHER,
        "The nodes with the second copy of its disks.",
        lambda row: [node.name for node in row.secondaries],
    ),
    F(
        "snodes.group",
        "SecondaryNodesGroups",
        FieldType.OTHER,
        "The node groups of its secondary nodes.",
        lambda row: [group.name for group in row.groups_of_secondaries],
    ),
    F(
        "snodes.group.uuid",
        "SecondaryNodesGroupsUUID",
        FieldType.OTHER,
        "UUIDs of the node groups of its secondary nodes.",
        lambda row: [group.uuid for group in row.groups_of_secondaries],
    ),
)

_LIVE = (
    F("status", "Status", FieldType.TEXT, "How it is.", lambda r: r.condition.value, Source.NODES),
    F(
        "oper_state",
        "Running",
        FieldType.BOOL,
        "Whether it runs now.",
        lambda row: row.guest if isinstance(row.guest, FieldStatus) else row.guest is not None,
        Source.NODES,
    ),
    F(
        "oper_ram",
        "Memory",
        FieldType.UNIT,
        "The memory that it has now.",
        lambda row: row.running("memory"),
        Source.NODES,
    ),
    F(
        "oper_vcpus",
        "VCPUs",
        FieldType.NUMBER,
        "The virtual processors that it has now.",
        lambda row: row.running("vcpus"),
        Source.NODES,
    ),
    F(
        "console",
        "Console",
        FieldType.OTHER,
        "How to reach its console.",
        lambda row: row.moment.consoles.get(row.instance.uuid, _without_console(row)),
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


def _given(value: Any) -> Any:
    return FieldStatus.UNAVAILABLE if value is None else value


def _without_console(row: InstanceRow) -> FieldStatus:
    if row.guest is None:
        return FieldStatus.UNAVAILABLE
    return row.guest if isinstance(row.guest, FieldStatus) else FieldStatus.NODATA


def _fields() -> Iterator[F]:
    known = [*_ITSELF, *_PARAMETERS, *_PLACES, *_LIVE, *part_fields(), *parameter_fields()]
    yield from known
    by_name = {field.name: field for field in known}
    for name, meant in ALIASES.items():
        yield replace(by_name[meant], name=name)


INSTANCES: Table[InstanceRow] = Table(_fields())
