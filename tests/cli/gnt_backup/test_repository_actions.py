# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-backup`` adds repositories, and makes, shows, restores, verifies and removes backups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_backup.commands import GNT_BACKUP
from ganeti.luxi.methods import (
    QueryBackupRepositories,
    QueryBackups,
    QueryBackupSchedules,
    QueryRepositoryKey,
)
from ganeti.opcodes.backup_repositories import (
    AddBackupRepository,
    AddBackupSchedule,
    CreateBackup,
    PruneBackups,
    RemoveBackups,
    RestoreBackup,
    VerifyBackups,
)
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal

ID = "20260131T235959Z-0a1b2c"
KEY = "ab" * 32
BACKUP: dict[str, Any] = {
    "repository": "vault",
    "id": ID,
    "instance": "web1",
    "uuid": "u1",
    "cluster": "c1",
    "created": 0,
    "duration": 3,
    "disks": [
        {
            "name": "disk/0",
            "size": 64 << 20,
            "read": 1 << 20,
            "written": 1 << 19,
            "incremental": True,
        }
    ],
    "parent": "20260130T235959Z-0a1b2c",
    "running": True,
    "frozen": False,
    "schedule": "",
    "problem": "",
    "check": {"at": 86400, "problem": ""},
}
REPOSITORY: dict[str, Any] = {
    "name": "vault",
    "node": "node2",
    "path": "/srv/ganeti/backup/vault",
    "encrypted": True,
    "created": 0,
    "size": None,
    "free": None,
    "backups": None,
    "problem": "its node is offline",
}
SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "repository": "vault",
    "instances": ["web1"],
    "tags": ["gold"],
    "interval": 24,
    "at": 90,
    "keep_last": 0,
    "keep_daily": 7,
    "keep_weekly": 0,
    "keep_monthly": 2,
    "verify_days": 7,
    "last": 0,
    "next": 86400,
    "jobs": [4],
    "failed": 1,
}


class BackupCommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal(
            {
                QueryBackups: [BACKUP],
                QueryBackupRepositories: [REPOSITORY],
                QueryBackupSchedules: [SCHEDULE],
                QueryRepositoryKey: KEY,
            }
        )

    def call(self, *words: str) -> int:
        return self.terminal.run(GNT_BACKUP, *words)

    def made(self) -> Opcode:
        return replace(self.terminal.job(), reason=())

    def test_a_repository_is_added_on_a_node(self) -> None:
        self.call("repository", "add", "vault", "-n", "node2", "--path=/srv/b", "--encrypt")
        expected = AddBackupRepository(
            repository_name="vault", node_name="node2", path="/srv/b", encrypt=True
        )
        self.assertEqual(self.made(), expected)

    def test_the_key_of_an_existing_one_is_read_from_a_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text(f"{KEY}\n")
        words = ("repository", "add", "vault", "-n", "node2", "--path=/srv/b", "--existing")
        self.call(*words, f"--key-file={path}")
        made = self.made()
        assert isinstance(made, AddBackupRepository)
        self.assertEqual((made.existing, made.key), (True, KEY))

    def test_a_key_file_that_cannot_be_read_is_named(self) -> None:
        words = ("repository", "add", "vault", "-n", "node2", "--path=/srv/b", "--existing")
        self.assertEqual(self.call(*words, "--key-file=/nowhere"), 1)
        self.assertIn("/nowhere", self.terminal.err)

    def test_credentials_of_a_store_are_read_from_a_file(self) -> None:
        path = Path(self.mktemp())
        key = "aws_access_key_id = AKIA\naws_secret_access_key = s3cr3t\n"
        words = ("repository", "add", "vault", "-n", "node2", "--path=s3://vault")
        for text in (f"[other]\nx = y\n[default]\n{key}", f"[only]\n{key}"):
            path.write_text(text)
            self.call(*words, "--endpoint=https://s3.example.com", f"--credentials-file={path}")
            made = self.made()
            assert isinstance(made, AddBackupRepository)
            self.assertEqual((made.access_key, made.secret_key), ("AKIA", "s3cr3t"))

    def test_a_file_without_credentials_is_explained_without_its_content(self) -> None:
        path = Path(self.mktemp())
        words = ("repository", "add", "vault", "-n", "node2", "--path=s3://vault")
        for text in ("s3cr3t\n", "[default]\naws_access_key_id = s3cr3t\n", "[a]\n[b]\n", ""):
            path.write_text(text)
            self.assertEqual(self.call(*words, f"--credentials-file={path}"), 1)
        path.write_bytes(b"\xff")
        self.assertEqual(self.call(*words, f"--credentials-file={path}"), 1)
        self.assertIn("must have a section [default]", self.terminal.err)
        self.assertNotIn("s3cr3t", self.terminal.err)
        self.assertEqual(self.call(*words, "--credentials-file=/nowhere"), 1)

    def test_a_key_is_shown_alone(self) -> None:
        self.assertEqual(self.call("repository", "show-key", "vault"), 0)
        self.assertEqual(self.terminal.out, f"{KEY}\n")

    def test_a_list_of_repositories_has_their_problems(self) -> None:
        self.call("repository", "list", "--no-headers", "--separator=|")
        row = "vault|node2|/srv/ganeti/backup/vault|yes|-|-|-|its node is offline\n"
        self.assertEqual(self.terminal.out, row)

    def test_a_backup_is_made(self) -> None:
        self.call("create", "--full", "web1", "vault")
        expected = CreateBackup(instance_name="web1", repository_name="vault", full=True)
        self.assertEqual(self.made(), expected)

    def test_a_list_of_backups_has_what_was_read_and_stored(self) -> None:
        self.call("list-backups", "--no-headers", "--separator=|", "vault")
        found = self.terminal.out.strip().split("|")
        self.assertEqual(found[:2], [f"vault/{ID}", "web1"])
        self.assertEqual(found[3:], ["incremental", "running", "64.0M", "1.0M", "0.5M"])

    def test_what_cannot_be_read_is_listed_as_such(self) -> None:
        lost = {**BACKUP, "problem": "damaged", "disks": [], "created": 0}
        self.terminal.canned[QueryBackups] = [lost, {**lost, "id": ""}]
        self.call("list-backups", "--no-headers", "--separator=|")
        found = [line.split("|")[2:5] for line in self.terminal.out.splitlines()]
        self.assertEqual(found, [["-", "damaged", "-"], ["-", "unreadable", "-"]])

    def test_the_details_of_a_backup_are_shown(self) -> None:
        self.assertEqual(self.call("info", f"vault/{ID}"), 0)
        self.assertIn("parent: 20260130T235959Z-0a1b2c", self.terminal.out)
        self.assertIn("restored without an error", self.terminal.out)
        self.assertEqual(self.call("info", "vault/20260131T235959Z-000000"), 1)
        self.assertIn("has no backup", self.terminal.err)

    def test_an_instance_is_created_from_a_backup(self) -> None:
        self.call("restore", f"vault/{ID}", "web2", "-n", "node3")
        made = self.made()
        assert isinstance(made, CreateInstance)
        found = (made.instance_name, made.mode.value, made.src_backup, made.pnode, made.start)
        self.assertEqual(found, ("web2", "import", f"vault/{ID}", "node3", False))
        self.assertEqual((made.disks, made.nics), ((), ()))

    def test_a_backup_without_its_repository_is_refused(self) -> None:
        self.assertEqual(self.call("restore", ID, "web2"), 1)
        self.assertIn("is not REPOSITORY/ID", self.terminal.err)

    def test_disks_are_restored_after_a_question(self) -> None:
        self.call("restore-disks", "-f", f"vault/{ID}", "web1", "--disks=0,2")
        expected = RestoreBackup(
            instance_name="web1", repository_name="vault", backup_id=ID, disks=(0, 2)
        )
        self.assertEqual(self.made(), expected)
        self.assertEqual(self.call("restore-disks", "-f", f"vault/{ID}", "web1", "--disks=a"), 1)
        self.assertIn("must be numbers of disks", self.terminal.err)

    def test_backups_are_verified_and_removed(self) -> None:
        self.call("verify", "vault", ID)
        self.assertEqual(self.made(), VerifyBackups(repository_name="vault", backups=(ID,)))

    def test_backups_are_removed_by_name_or_rule(self) -> None:
        self.call("remove-backup", "-f", "vault", ID)
        self.assertEqual(self.made(), RemoveBackups(repository_name="vault", backups=(ID,)))

    def test_rules_say_what_is_kept(self) -> None:
        self.call("prune", "-f", "vault", "--keep-daily=7", "-i", "web1", "-i", "web2")
        expected = PruneBackups(repository_name="vault", keep_daily=7, instances=("web1", "web2"))
        self.assertEqual(self.made(), expected)

    def test_a_schedule_has_times_and_rules(self) -> None:
        options = ("--every=6", "--at=01:30", "--tag=gold", "--keep-last=3")
        self.call("schedule", "add", "s", "vault", *options)
        expected = AddBackupSchedule(
            schedule_name="s",
            repository_name="vault",
            interval=6,
            at=90,
            tags=("gold",),
            keep_last=3,
        )
        self.assertEqual(self.made(), expected)

    def test_times_that_are_none_are_refused(self) -> None:
        for text in ("25:00", "1:5", "noon", "12:61", "-1:00"):
            self.assertEqual(self.call("schedule", "add", "s", "vault", f"--at={text}"), 1, text)
            self.assertIn("must be a time as HH:MM", self.terminal.err)

    def test_backups_are_verified_by_restoring_and_that_is_said(self) -> None:
        self.call("verify", "--restore", "--newest", "vault")
        expected = VerifyBackups(repository_name="vault", restore=True, newest=True)
        self.assertEqual(self.made(), expected)
        self.assertIn("backups were restored as they were backed up", self.terminal.out)

    def test_a_list_of_schedules_has_their_failures(self) -> None:
        self.call("schedule", "list", "--no-headers", "--separator=|")
        found = self.terminal.out.strip().split("|")
        self.assertEqual(found[:4], ["nightly", "vault", "web1,tag:gold", "24h"])
        self.assertEqual(found[-3:], ["daily:7,monthly:2", "7d", "1"])
