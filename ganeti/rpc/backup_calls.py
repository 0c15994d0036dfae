# SPDX-License-Identifier: BSD-2-Clause
"""Calls about repositories of backups, and about guests that are backed up while they run."""

from __future__ import annotations

from ganeti.model.backups import BackupId, BackupSummary, RepositoryAccess, S3Settings, StateFile
from ganeti.model.guest import Guest
from ganeti.rpc.call import FAST, NO_TIMEOUT, NORMAL, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Count, Line, Lines


class LiveExport(Record, omit_defaults=True):
    """A disk of a running guest as it was at one moment, exported by NBD on its node.

    ``bitmap`` says what has changed since the parent; without it, everything is read.
    """

    socket: Line
    name: Line
    bitmap: Line = ""


class BackupSource(Record, tag="backup-disk", omit_defaults=True):
    """The disk ``index`` of a guest, to be sent to a repository; ``export`` if the guest runs."""

    guest: Guest
    index: Count
    backup: BackupId
    export: LiveExport | None = None


class BackupSink(Record, tag="repository"):
    """A repository that stores the disk ``index`` of a backup."""

    repository: RepositoryAccess
    backup: BackupId
    index: Count


class BackupData(Record, tag="backup"):
    """The data of the disk ``index`` of a backup."""

    repository: RepositoryAccess
    backup: BackupId
    index: Count


class CreateRepository(Call[None]):
    """Make an empty folder a repository; repeating it succeeds."""

    wire = "backup_repository_create"
    call_timeout = NORMAL

    repository: RepositoryAccess


class IdentifyRepository(Call[str], omit_defaults=True):
    """Return the identity of the repository at a path; empty if there is none."""

    wire = "backup_repository_identify"
    call_timeout = FAST

    path: Line
    s3: S3Settings | None = None


class RepositoryStatus(Record):
    """The space of a repository in bytes, if it is known, and the number of its backups."""

    backups: Count
    size: Count | None = None
    free: Count | None = None


class DescribeRepository(Call[RepositoryStatus]):
    """Return the status of a repository."""

    wire = "backup_repository_info"
    call_timeout = FAST

    repository: RepositoryAccess


class ListBackups(Call[list[BackupSummary]]):
    """Return the backups in a repository, the oldest first."""

    wire = "backup_list"
    call_timeout = NORMAL

    repository: RepositoryAccess


class BackupDetails(Record, omit_defaults=True):
    """A backup, its instance as exports describe it, and what its node keeps for its guest."""

    summary: BackupSummary
    description: Lines
    state_files: tuple[StateFile, ...] = ()


class DescribeBackup(Call[BackupDetails]):
    """Return a backup."""

    wire = "backup_info"
    call_timeout = FAST

    repository: RepositoryAccess
    backup: BackupId


class BeginBackup(Call[BackupSummary | None]):
    """Begin a backup of the instance with this UUID; return its newest one, if there is one."""

    wire = "backup_begin"
    call_timeout = NORMAL

    repository: RepositoryAccess
    backup: BackupId
    instance: Line


class CommitBackup(Call[BackupSummary]):
    """Complete a backup whose disks are stored; from then on it exists."""

    wire = "backup_commit"
    call_timeout = NORMAL

    repository: RepositoryAccess
    backup: BackupDetails


class AbandonBackup(Call[None]):
    """Give up a backup that was begun; succeed if it is unknown."""

    wire = "backup_abandon"
    call_timeout = FAST

    repository: RepositoryAccess
    backup: BackupId


class VerifyBackupData(Call[list[str]]):
    """Read one of several parts of the chunks of backups; return what is damaged."""

    wire = "backup_verify"
    call_timeout = NO_TIMEOUT
    ends_with_asker = True

    repository: RepositoryAccess
    backups: tuple[BackupId, ...]
    part: Count
    parts: Count


class CheckRestored(Call[str]):
    """Restore a backup without a place for it, and compare it with what was backed up.

    Return the problem, or an empty text; ``at`` is the time that is recorded with it.
    """

    wire = "backup_check_restored"
    call_timeout = NO_TIMEOUT
    ends_with_asker = True

    repository: RepositoryAccess
    backup: BackupId
    at: Count


class RemovedBackups(Record):
    """What a removal has freed: chunks, and bytes."""

    chunks: Count
    bytes: Count


class RemoveBackupData(Call[RemovedBackups]):
    """Remove backups, and the chunks that no other backup needs."""

    wire = "backup_remove"
    call_timeout = NO_TIMEOUT

    repository: RepositoryAccess
    backups: tuple[BackupId, ...]


class LiveBackup(Record, omit_defaults=True):
    """A running guest whose disks are exported as they were at one moment.

    ``full`` says why everything has to be read; it is empty if only changes are.
    """

    exports: tuple[LiveExport, ...]
    full: Line = ""
    frozen: bool = False


class BeginGuestBackup(Call[LiveBackup]):
    """Export the disks of a running guest as they are now.

    ``repository`` is the identity of the repository. ``parent`` is an earlier backup there; if the
    guest knows what has changed since, only that needs to be read.
    """

    wire = "backup_guest_begin"
    call_timeout = NORMAL

    guest: Guest
    repository: Line
    backup: BackupId
    parent: Line = ""


class EndGuestBackup(Call[None]):
    """End the export of a guest's disks; succeed if there is none.

    With ``complete``, changes are counted from this backup on, otherwise from its parent.
    """

    wire = "backup_guest_end"
    call_timeout = NORMAL

    guest: Guest
    repository: Line
    backup: BackupId
    complete: bool
