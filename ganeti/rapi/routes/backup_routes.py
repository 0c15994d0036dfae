# SPDX-License-Identifier: BSD-2-Clause
"""Repositories, the backups in them, and schedules."""

from __future__ import annotations

from typing import TypedDict

from ganeti.luxi.methods import QueryBackupRepositories, QueryBackups, QueryBackupSchedules
from ganeti.opcodes.backup_repositories import (
    AddBackupRepository,
    AddBackupSchedule,
    CreateBackup,
    PruneBackups,
    RemoveBackupRepository,
    RemoveBackups,
    RemoveBackupSchedule,
    RestoreBackup,
    VerifyBackups,
)
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, asks, submits


class RepositoryRow(TypedDict):
    """A repository: sizes in bytes, and why it cannot be used now, or an empty text."""

    name: str
    node: str | None
    path: str
    encrypted: bool
    created: int
    size: int | None
    free: int | None
    backups: int | None
    problem: str


class StoredDiskRow(TypedDict):
    """A disk in a backup: its size, and what was read and stored for it, in bytes."""

    name: str
    size: int
    read: int
    written: int
    incremental: bool
    digest: str


class RestoreCheckRow(TypedDict):
    """When a backup was verified by restoring it, and the problem, or an empty text."""

    at: int
    problem: str


class BackupRow(TypedDict):
    """A backup, the moment that it shows, and its disks; or why it cannot be read."""

    repository: str
    id: str
    instance: str
    uuid: str
    cluster: str
    created: int
    duration: int
    disks: list[StoredDiskRow]
    parent: str
    running: bool
    frozen: bool
    schedule: str
    problem: str
    check: RestoreCheckRow | None


class ScheduleRow(TypedDict):
    """A schedule, when it was due last and will be next, and the jobs of the last time."""

    name: str
    repository: str
    instances: list[str]
    tags: list[str]
    interval: int
    at: int
    keep_last: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    verify_days: int
    verified: int
    last: int
    next: int
    jobs: list[int]
    failed: int


async def _list_repositories(call: ApiCall, _: object, __: object) -> object:
    """Return the repositories of backups with their space, without their keys."""
    return await call.master.ask_raw(QueryBackupRepositories())


async def _list_backups(call: ApiCall, _: object, __: object) -> object:
    """Return the backups in a repository, the oldest first."""
    return await call.master.ask_raw(QueryBackups(repository=call.path["repository_name"]))


async def _list_schedules(call: ApiCall, _: object, __: object) -> object:
    """Return the schedules of backups."""
    return await call.master.ask_raw(QueryBackupSchedules())


_ADMIN, _WRITE = AccessLevel.ADMIN, AccessLevel.WRITE
_REPOSITORIES = "/2/backup-repositories"
_ONE = _REPOSITORIES + "/{repository_name}"
_SCHEDULES = "/2/backup-schedules"

ROUTES = (
    Route(
        _REPOSITORIES,
        {
            "GET": asks(
                _list_repositories, access=_WRITE, result=list[RepositoryRow], unlimited=True
            ),
            "POST": submits(AddBackupRepository, access=_ADMIN),
        },
    ),
    Route(_ONE, {"DELETE": submits(RemoveBackupRepository, access=_ADMIN)}),
    Route(
        _ONE + "/backups",
        {"GET": asks(_list_backups, access=_WRITE, result=list[BackupRow], unlimited=True)},
    ),
    Route(_ONE + "/verify", {"PUT": submits(VerifyBackups)}),
    Route(_ONE + "/remove-backups", {"PUT": submits(RemoveBackups, access=_ADMIN)}),
    Route(_ONE + "/prune", {"PUT": submits(PruneBackups, access=_ADMIN)}),
    Route(
        _SCHEDULES,
        {
            "GET": asks(_list_schedules, access=_WRITE, result=list[ScheduleRow], unlimited=True),
            "POST": submits(AddBackupSchedule, access=_ADMIN),
        },
    ),
    Route(
        _SCHEDULES + "/{schedule_name}",
        {"DELETE": submits(RemoveBackupSchedule, access=_ADMIN)},
    ),
    Route("/2/instances/{instance_name}/backup", {"PUT": submits(CreateBackup)}),
    Route("/2/instances/{instance_name}/restore-disks", {"PUT": submits(RestoreBackup)}),
)
