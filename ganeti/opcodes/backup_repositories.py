# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for backups in repositories, which clients of Ganeti do not know."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.model.backups import BackupId, RepositoryKey, RepositoryName
from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Count, DiskIndex, Line, NodeName, Text

Repository: TypeAlias = Annotated[RepositoryName, doc("The name of the repository.")]
Backups: TypeAlias = Annotated[tuple[BackupId, ...], doc("The IDs of the backups.")]
KeepLast: TypeAlias = Annotated[Count, doc("Keep so many of the newest backups.")]
KeepDaily: TypeAlias = Annotated[
    Count, doc("Keep the newest backup of each of so many days that have one, in UTC.")
]
KeepWeekly: TypeAlias = Annotated[
    Count, doc("Keep the newest backup of each of so many weeks that have one.")
]
KeepMonthly: TypeAlias = Annotated[
    Count, doc("Keep the newest backup of each of so many months that have one.")
]


class AddBackupRepository(Opcode, tag="OP_BACKUP_REPOSITORY_ADD"):
    """Make a directory of a node, or a place in an S3-compatible store, a repository of backups."""

    summary_field = "repository_name"

    repository_name: Repository
    node_name: Annotated[NodeName, doc("The node that has the directory, or reaches the store.")]
    path: Annotated[
        Text,
        doc(
            "The directory, which must be empty and allowed on the node, or s3://BUCKET/PREFIX,"
            " where nothing may be."
        ),
    ]
    encrypt: Annotated[
        bool, doc("Encrypt what is stored, with a new key that is kept in the cluster.")
    ] = False
    existing: Annotated[
        bool, doc("Add a directory that is a repository already, with its backups.")
    ] = False
    key: Annotated[
        RepositoryKey,
        doc("The key of an existing repository, in hexadecimal digits.", secret=True),
    ] = ""
    endpoint: Annotated[
        Line | None, doc("The URL of an S3-compatible store, such as https://s3.example.com.")
    ] = None
    region: Annotated[
        Line | None, doc("The region of the bucket, of which requests say that they are for it.")
    ] = None
    access_key: Annotated[Line | None, doc("The ID of the access key for the store.")] = None
    secret_key: Annotated[Line | None, doc("Its secret key.", secret=True)] = None


class RemoveBackupRepository(Opcode, tag="OP_BACKUP_REPOSITORY_REMOVE"):
    """Remove a repository from the cluster; its directory and backups stay."""

    summary_field = "repository_name"

    repository_name: Repository


class CreateBackup(Opcode, tag="OP_BACKUP_CREATE"):
    """Back up the disks and the description of an instance, which keeps running."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    repository_name: Repository
    full: Annotated[bool, doc("Read everything, even if it is known what has changed.")] = False
    schedule: Annotated[Text | None, doc("The schedule that the backup belongs to.")] = None


class RestoreBackup(Opcode, tag="OP_BACKUP_RESTORE"):
    """Replace the data on disks of a stopped instance by that of a backup."""

    summary_field = "instance_name"

    instance_name: fields.TheInstance
    instance_uuid: fields.InstanceUUID = None
    repository_name: Repository
    backup_id: Annotated[BackupId, doc("The ID of the backup.")]
    disks: Annotated[
        tuple[DiskIndex, ...], doc("The numbers of the disks to restore; empty means all.")
    ] = ()


class VerifyBackups(Opcode, tag="OP_BACKUP_VERIFY"):
    """Read backups and compare their data with its digests."""

    summary_field = "repository_name"

    repository_name: Repository
    backups: Annotated[Backups, doc("The IDs of the backups; empty means all.")] = ()
    restore: Annotated[
        bool,
        doc(
            "Read each backup as a restore does, and compare the contents of its disks with those"
            " that were backed up."
        ),
    ] = False
    newest: Annotated[bool, doc("Only the newest backup of each instance.")] = False
    schedule: Annotated[Text | None, doc("Only backups of this schedule.")] = None


class RemoveBackups(Opcode, tag="OP_BACKUP_DELETE"):
    """Remove backups, and the data that no other backup needs."""

    summary_field = "repository_name"

    repository_name: Repository
    backups: Annotated[tuple[BackupId, ...], doc("The IDs of the backups."), Meta(min_length=1)]


class PruneBackups(Opcode, tag="OP_BACKUP_PRUNE"):
    """Remove the backups of each instance that no rule keeps."""

    summary_field = "repository_name"

    repository_name: Repository
    instances: Annotated[
        tuple[Text, ...], doc("Only backups of these instances; empty means all.")
    ] = ()
    schedule: Annotated[Text | None, doc("Only backups of this schedule.")] = None
    keep_last: KeepLast = 0
    keep_daily: KeepDaily = 0
    keep_weekly: KeepWeekly = 0
    keep_monthly: KeepMonthly = 0


class AddBackupSchedule(Opcode, tag="OP_BACKUP_SCHEDULE_ADD"):
    """Back up instances at regular times, and remove the backups that no rule keeps."""

    summary_field = "schedule_name"

    schedule_name: Annotated[RepositoryName, doc("The name of the schedule.")]
    repository_name: Repository
    instances: Annotated[tuple[Text, ...], doc("Back up these instances.")] = ()
    tags: Annotated[tuple[Text, ...], doc("Back up the instances with one of these tags.")] = ()
    interval: Annotated[
        int,
        doc("Hours between two backups, a divisor of 24 or a multiple of it."),
        Meta(ge=1, le=24 * 366),
    ] = 24
    at: Annotated[int, doc("Minutes after midnight, in UTC."), Meta(ge=0, lt=1440)] = 0
    keep_last: KeepLast = 0
    keep_daily: KeepDaily = 0
    keep_weekly: KeepWeekly = 0
    keep_monthly: KeepMonthly = 0
    verify_days: Annotated[
        Count,
        doc(
            "Every so many days, verify the newest backup of each instance by restoring it; 0 means"
            " never."
        ),
    ] = 0


class RemoveBackupSchedule(Opcode, tag="OP_BACKUP_SCHEDULE_REMOVE"):
    """Remove a schedule; its backups stay."""

    summary_field = "schedule_name"

    schedule_name: Annotated[RepositoryName, doc("The name of the schedule.")]
