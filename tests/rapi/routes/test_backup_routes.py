# SPDX-License-Identifier: BSD-2-Clause
"""Resources of backups: lists from the master, and jobs for everything else."""

from __future__ import annotations

from typing import Any

from ganeti.luxi.methods import QueryBackupRepositories, QueryBackups, QueryBackupSchedules
from ganeti.opcodes.backup_repositories import (
    AddBackupRepository,
    CreateBackup,
    PruneBackups,
    RemoveBackups,
    RemoveBackupSchedule,
    RestoreBackup,
    VerifyBackups,
)
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.backup_routes import ROUTES
from tests.rapi.routes.case import RouteCase

ID = "20260131T235959Z-0a1b2c"
VAULT: dict[str, Any] = {"repository_name": "vault"}
ONE = "/2/backup-repositories/{repository_name}"
INSTANCE = "/2/instances/{instance_name}"
SCHEDULE = "/2/backup-schedules/{schedule_name}"
REMOVAL = RemoveBackups(repository_name="vault", backups=(ID,))


class BackupRouteTests(RouteCase):
    ROUTES = ROUTES

    def test_lists_are_the_masters(self) -> None:
        for path, method in (
            ("/2/backup-repositories", QueryBackupRepositories),
            ("/2/backup-schedules", QueryBackupSchedules),
        ):
            self.master.canned[method] = [{"name": "x"}]
            self.assertEqual(self.answer("GET", path), [{"name": "x"}])

    def test_backups_are_those_of_the_repository(self) -> None:
        self.master.canned[QueryBackups] = []
        self.assertEqual(self.answer("GET", f"{ONE}/backups", variables=VAULT), [])
        self.assertEqual(self.master.asked, [QueryBackups(repository="vault")])

    def test_what_changes_something_is_a_job(self) -> None:
        new: dict[str, Any] = {"repository_name": "vault", "node_name": "node1", "path": "/srv/b"}
        web1: dict[str, Any] = {"instance_name": "web1"}
        fields: dict[str, Any] = {"repository_name": "vault"}
        restore = {**fields, "backup_id": ID}
        for method, path, variables, body, expected in (
            ("POST", "/2/backup-repositories", {}, new, AddBackupRepository(**new)),
            ("PUT", f"{ONE}/verify", VAULT, {}, VerifyBackups(**VAULT)),
            ("PUT", f"{ONE}/prune", VAULT, {"keep_last": 2}, PruneBackups(**VAULT, keep_last=2)),
            ("PUT", f"{ONE}/remove-backups", VAULT, {"backups": [ID]}, REMOVAL),
            ("PUT", f"{INSTANCE}/backup", web1, fields, CreateBackup(**web1, **fields)),
            ("PUT", f"{INSTANCE}/restore-disks", web1, restore, RestoreBackup(**web1, **restore)),
            (
                "DELETE",
                SCHEDULE,
                {"schedule_name": "s"},
                None,
                RemoveBackupSchedule(schedule_name="s"),
            ),
        ):
            self.answer(method, path, body, variables=variables)
            self.assertEqual(self.job(), expected)

    def test_removal_and_settings_are_for_administrators(self) -> None:
        admin, write = AccessLevel.ADMIN, AccessLevel.WRITE
        self.check_access(
            {
                ("GET", "/2/backup-repositories"): write,
                ("POST", "/2/backup-repositories"): admin,
                ("DELETE", ONE): admin,
                ("GET", f"{ONE}/backups"): write,
                ("PUT", f"{ONE}/verify"): write,
                ("PUT", f"{ONE}/remove-backups"): admin,
                ("PUT", f"{ONE}/prune"): admin,
                ("GET", "/2/backup-schedules"): write,
                ("POST", "/2/backup-schedules"): admin,
                ("DELETE", SCHEDULE): admin,
                ("PUT", f"{INSTANCE}/backup"): write,
                ("PUT", f"{INSTANCE}/restore-disks"): write,
            }
        )
