# SPDX-License-Identifier: BSD-2-Clause
"""Which role may do what: tables by methods of the master and by opcodes.

Opcodes that are not in a table are for administrators of the whole cluster; methods that are not
in a table are only for programs that may open the master's socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganeti.model.users import Role

_V, _O, _A = Role.VIEWER, Role.OPERATOR, Role.ADMIN

METHODS: Mapping[str, Role] = {
    "SubmitJob": _V,  # its opcodes decide
    "PlanJob": _V,  # as for SubmitJob
    "CreateConsoleTicket": _V,  # the instance decides
    "TakeScreenshot": _V,  # as for CreateConsoleTicket
    "WatchConsole": _V,  # as for CreateConsoleTicket
    "SubmitSharedJob": _V,
    "CancelJob": _O,
    "OpenSession": _V,
    "CloseSession": _V,
    "EndSession": _V,  # its owner decides
    "WaitForJobChange": _V,
    "Query": _V,
    "QueryAccess": _V,
    "QueryBackupRepositories": _O,
    "QueryBackupSchedules": _O,
    "QueryBackups": _O,
    "QueryCaller": _V,
    "QueryClusterInfo": _V,
    "QueryFailover": _V,
    "QueryFields": _V,
    "QueryFilters": _V,
    "QueryGroups": _V,
    "QueryHistory": _V,
    "QueryImages": _V,
    "QueryInstances": _V,
    "QueryJobRates": _V,
    "QueryJobs": _V,
    "QueryMetrics": _V,
    "QueryNetworks": _V,
    "QueryNodes": _V,
    "QueryObjectPages": _V,
    "QueryObjects": _V,
    "QueryTags": _V,
    "QueryUsage": _V,
    "WaitForEvents": _V,
    "QueryNotifications": _A,
    "TestNotification": _A,
    "ReplaceFilter": _A,
    "DeleteFilter": _A,
}
"""The methods that callers of the remote API may use, and the role that they need."""

UNLIMITED_METHODS = frozenset(
    (
        *("ReplaceFilter", "DeleteFilter", "QueryMetrics", "QueryFilters", "QueryHistory"),
        *("QueryFailover", "QueryImages", "QueryNotifications", "TestNotification"),
        *("QueryBackupRepositories", "QueryBackupSchedules", "QueryBackups"),
    )
)
"""The methods about the whole cluster: a role that is limited to some instances is not enough."""

UNLIMITED_KINDS = frozenset(("export", "extstorage", "filter", "image", "lock"))
"""The kinds of objects that a caller with a limited role cannot ask about."""

_VIEWER_OPCODES = (
    *("OP_CLUSTER_CAPACITY", "OP_CLUSTER_REHEARSE_FAILURE", "OP_CLUSTER_SURVIVE"),
    *("OP_INSTANCE_QUERY_DATA", "OP_NODE_QUERY_STORAGE", "OP_TAGS_GET"),
)
_OPERATOR_OPCODES = (
    *("OP_BACKUP_CREATE", "OP_BACKUP_EXPORT", "OP_BACKUP_PREPARE", "OP_BACKUP_REMOVE"),
    *("OP_BACKUP_RESTORE", "OP_BACKUP_VERIFY"),
    *("OP_INSTANCE_ACTIVATE_DISKS", "OP_INSTANCE_CHANGE_GROUP", "OP_INSTANCE_CLONE"),
    "OP_INSTANCE_CONSOLE",
    *("OP_INSTANCE_CREATE", "OP_INSTANCE_DEACTIVATE_DISKS", "OP_INSTANCE_FAILOVER"),
    *("OP_INSTANCE_GROW_DISK", "OP_INSTANCE_MIGRATE", "OP_INSTANCE_MOVE"),
    *("OP_INSTANCE_MULTI_ALLOC", "OP_INSTANCE_REBOOT", "OP_INSTANCE_RECREATE_DISKS"),
    *("OP_INSTANCE_REINSTALL", "OP_INSTANCE_REMOVE", "OP_INSTANCE_RENAME"),
    *("OP_INSTANCE_REPLACE_DISKS", "OP_INSTANCE_SET_PARAMS", "OP_INSTANCE_SHUTDOWN"),
    *("OP_INSTANCE_SNAPSHOT_CREATE", "OP_INSTANCE_SNAPSHOT_REMOVE"),
    *("OP_INSTANCE_SNAPSHOT_REVERT", "OP_INSTANCE_STARTUP"),
)
OPCODES: Mapping[str, Role] = {
    **dict.fromkeys(_VIEWER_OPCODES, _V),
    **dict.fromkeys(_OPERATOR_OPCODES, _O),
}
"""The opcodes that are not for administrators only."""

INSTANCE_TAGS = ("OP_TAGS_SET", "OP_TAGS_DEL")
"""Opcodes that are for operators if they are about an instance, and else for administrators."""

OWN_TOKENS = ("OP_ACCESS_TOKEN_ADD", "OP_ACCESS_TOKEN_REVOKE")
"""Opcodes that every user may use for tokens of its own."""


@dataclass(frozen=True)
class OnInstance:
    """An opcode about one instance, which ``name`` gives; ``uuid`` is where its UUID belongs.

    ``fields`` are the other parameters that a caller may set whose role is limited to the
    instance. What is left out takes the place of others: nodes, groups, networks, files of the
    host, policies.
    """

    name: str = "instance_name"
    uuid: str = "instance_uuid"
    fields: frozenset[str] = frozenset()


def _on(*fields: str) -> OnInstance:
    return OnInstance(fields=frozenset(fields))


ON_INSTANCE: Mapping[str, OnInstance] = {
    "OP_INSTANCE_ACTIVATE_DISKS": _on("ignore_size", "wait_for_sync"),
    "OP_INSTANCE_CONSOLE": _on(),
    "OP_INSTANCE_DEACTIVATE_DISKS": _on(),
    "OP_INSTANCE_FAILOVER": _on("shutdown_timeout"),
    "OP_INSTANCE_MIGRATE": _on("mode", "live", "allow_runtime_changes", "cleanup"),
    "OP_INSTANCE_QUERY_DATA": OnInstance("instances", "instances", frozenset({"static"})),
    "OP_INSTANCE_REBOOT": _on("shutdown_timeout", "ignore_secondaries", "reboot_type"),
    "OP_INSTANCE_REINSTALL": _on("os_type", "force_variant"),
    "OP_INSTANCE_SET_PARAMS": _on("beparams", "runtime_mem"),
    "OP_INSTANCE_SHUTDOWN": _on("timeout", "no_remember"),
    "OP_INSTANCE_SNAPSHOT_CREATE": _on("snapshot_name", "memory"),
    "OP_INSTANCE_SNAPSHOT_REMOVE": _on("snapshot_name"),
    "OP_INSTANCE_SNAPSHOT_REVERT": _on(
        "snapshot_name", "restart", "disks_only", "shutdown_timeout"
    ),
    "OP_INSTANCE_STARTUP": _on("no_remember", "startup_paused"),
    "OP_TAGS_DEL": OnInstance("name", "name", frozenset({"kind", "tags"})),
    "OP_TAGS_GET": OnInstance("name", "name", frozenset({"kind"})),
    "OP_TAGS_SET": OnInstance("name", "name", frozenset({"kind", "tags"})),
}
"""What a caller may submit whose role is limited to some instances."""


def role_for(op_id: str, *, on_instance: bool = False) -> Role:
    """Return the role that an opcode needs; ``on_instance`` is for opcodes about tags."""
    if op_id in INSTANCE_TAGS and on_instance:
        return Role.OPERATOR
    return OPCODES.get(op_id, Role.ADMIN)
