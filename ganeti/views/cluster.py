# SPDX-License-Identifier: BSD-2-Clause
"""The fields of the cluster, a table with a single row."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.model.cluster import CONFIG_VERSION
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.views.snapshot import ClusterSnapshot

OS_API_VERSION = 20
"""The newest supported version of the interface of OS definitions."""

EXPORT_VERSION = 0
"""The version of the format of exports."""


@dataclass(frozen=True)
class ClusterRow:
    """The cluster as of a snapshot, and the state of the master daemon.

    ``watcher_pause`` is the time until which the watcher is paused, if any; ``release`` the version
    of the software; ``architecture`` like ``("64bit", "x86_64")``.
    """

    moment: ClusterSnapshot
    drained: bool
    watcher_pause: float | None
    release: str
    architecture: tuple[str, str]


F = Field[ClusterRow]


def _name(row: ClusterRow) -> object:
    return row.moment.cluster.cluster_name


CLUSTER: Table[ClusterRow] = Table(
    (
        F(
            "name",
            "Name",
            FieldType.TEXT,
            "The name of the cluster.",
            _name,
            compare=Compare.HOSTNAME,
        ),
        F(
            "cluster_name",
            "Name",
            FieldType.TEXT,
            "The name of the cluster, an older field.",
            _name,
            compare=Compare.HOSTNAME,
        ),
        F(
            "master_node",
            "Master",
            FieldType.TEXT,
            "The master node.",
            lambda row: row.moment.state.master.name,
            compare=Compare.HOSTNAME,
        ),
        F(
            "tags",
            "Tags",
            FieldType.OTHER,
            "The tags of the cluster.",
            lambda row: row.moment.cluster.tags,
        ),
        F(
            "ctime",
            "CTime",
            FieldType.TIMESTAMP,
            "The time when the cluster was initialized.",
            lambda r: r.moment.cluster.ctime,
        ),
        F(
            "mtime",
            "MTime",
            FieldType.TIMESTAMP,
            "The time of the last change.",
            lambda r: r.moment.cluster.mtime,
        ),
        F(
            "volume_group_name",
            "VgName",
            FieldType.TEXT,
            "The volume group for disks.",
            lambda row: row.moment.cluster.volume_group_name or FieldStatus.UNAVAILABLE,
        ),
        F(
            "architecture",
            "ArchInfo",
            FieldType.OTHER,
            "The word length and machine type of the master.",
            lambda row: list(row.architecture),
        ),
        F(
            "software_version",
            "SoftwareVersion",
            FieldType.TEXT,
            "The version of the software.",
            lambda r: r.release,
        ),
        F(
            "vcs_version",
            "VCSVersion",
            FieldType.TEXT,
            "The version of the software, an older field.",
            lambda row: row.release,
        ),
        F(
            "config_version",
            "ConfigVersion",
            FieldType.NUMBER,
            "The version of the configuration format.",
            lambda _: CONFIG_VERSION,
        ),
        F(
            "protocol_version",
            "ProtocolVersion",
            FieldType.NUMBER,
            "The version of the node protocol.",
            lambda _: CONFIG_VERSION,
        ),
        F(
            "os_api_version",
            "OsApiVersion",
            FieldType.NUMBER,
            "The newest version of the OS interface.",
            lambda _: OS_API_VERSION,
        ),
        F(
            "export_version",
            "ExportVersion",
            FieldType.NUMBER,
            "The version of the export format.",
            lambda _: EXPORT_VERSION,
        ),
        F(
            "drain_flag",
            "QueueDrained",
            FieldType.BOOL,
            "Whether the job queue is drained and takes no jobs.",
            lambda row: row.drained,
            Source.JOBS,
        ),
        F(
            "watcher_pause",
            "WatcherPause",
            FieldType.TIMESTAMP,
            "The time until which the watcher is paused.",
            lambda row: FieldStatus.UNAVAILABLE if row.watcher_pause is None else row.watcher_pause,
            Source.JOBS,
        ),
    )
)
