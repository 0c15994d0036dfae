# SPDX-License-Identifier: BSD-2-Clause
"""The cluster as a single row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ganeti.model.cluster import CONFIG_VERSION
from ganeti.query.fields import Compare, Field, Kind, Source, Status, Table
from ganeti.views.moment import Moment

OS_API_VERSION = 20
"""The newest version of the interface of OS definitions."""

EXPORT_VERSION = 0
"""The version of the files that describe exports."""


@dataclass(frozen=True)
class ClusterRow:
    """The cluster at a moment, and what only the master daemon knows.

    ``watcher_pause`` is the time until which the watcher does nothing, if any; ``release`` the
    version of the software; ``architecture`` like ``("64bit", "x86_64")``.
    """

    moment: Moment
    drained: bool
    watcher_pause: float | None
    release: str
    architecture: tuple[str, str]


F = Field[ClusterRow]


def _name(row: ClusterRow) -> Any:
    return row.moment.cluster.cluster_name


CLUSTER: Table[ClusterRow] = Table(
    (
        F("name", "Name", Kind.TEXT, "The cluster's name.", _name, compare=Compare.HOSTNAME),
        F("cluster_name", "Name", Kind.TEXT, "Its name, too.", _name, compare=Compare.HOSTNAME),
        F(
            "master_node",
            "Master",
            Kind.TEXT,
            "The master node.",
            lambda row: row.moment.state.master.name,
            compare=Compare.HOSTNAME,
        ),
        F("tags", "Tags", Kind.OTHER, "Its tags.", lambda row: row.moment.cluster.tags),
        F("ctime", "CTime", Kind.TIMESTAMP, "When it was made.", lambda r: r.moment.cluster.ctime),
        F("mtime", "MTime", Kind.TIMESTAMP, "Its last change.", lambda r: r.moment.cluster.mtime),
        F(
            "volume_group_name",
            "VgName",
            Kind.TEXT,
            "The volume group for disks.",
            lambda row: row.moment.cluster.volume_group_name or Status.UNAVAILABLE,
        ),
        F(
            "architecture",
            "ArchInfo",
            Kind.OTHER,
            "Word length and machine of the master.",
            lambda row: list(row.architecture),
        ),
        F("software_version", "SoftwareVersion", Kind.TEXT, "Its release.", lambda r: r.release),
        F("vcs_version", "VCSVersion", Kind.TEXT, "Its release, too.", lambda row: row.release),
        F(
            "config_version",
            "ConfigVersion",
            Kind.NUMBER,
            "The version of the configuration's format.",
            lambda _: CONFIG_VERSION,
        ),
        F(
            "protocol_version",
            "ProtocolVersion",
            Kind.NUMBER,
            "The version of the protocols.",
            lambda _: CONFIG_VERSION,
        ),
        F(
            "os_api_version",
            "OsApiVersion",
            Kind.NUMBER,
            "The newest version of the OS interface.",
            lambda _: OS_API_VERSION,
        ),
        F(
            "export_version",
            "ExportVersion",
            Kind.NUMBER,
            "The version of the format of exports.",
            lambda _: EXPORT_VERSION,
        ),
        F(
            "drain_flag",
            "QueueDrained",
            Kind.BOOL,
            "Whether the queue takes no jobs.",
            lambda row: row.drained,
            Source.JOBS,
        ),
        F(
            "watcher_pause",
            "WatcherPause",
            Kind.TIMESTAMP,
            "Until when the watcher does nothing.",
            lambda row: Status.UNAVAILABLE if row.watcher_pause is None else row.watcher_pause,
            Source.JOBS,
        ),
    )
)
