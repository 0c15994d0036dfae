# SPDX-License-Identifier: BSD-2-Clause
"""Backups in repositories by the administrator's tool, on real nodes."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from ganeti.model.backups import RepositoryAccess
from ganeti.repository.s3_store import connect_store
from ganeti.system.cancellation import CancelSwitch
from tests.system.running import SharedCluster, eventually
from tests.system.s3_server import start_store

QUIET = ("--no-name-check", "--no-ip-check")
FOLDER = "/srv/ganeti/backup/vault"


class BackupRepositoryTests(SharedCluster):
    options = ("--nodes", "2")

    def say(self, name: str, *arguments: str) -> str:
        done = self.running.tool(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def node(self, number: int) -> str:
        return self.running.cluster.node(number).name

    def disk(self, number: int, name: str) -> Path:
        """The only disk of a stopped instance, on a node."""
        folder = Path(self.running.cluster.node(number).paths.file_storage)
        [path] = (folder / name).iterdir()
        return path

    def checksum(self, number: int, name: str) -> str:
        return hashlib.sha256(self.disk(number, name).read_bytes()).hexdigest()

    def make_instance(self, name: str, size: int) -> None:
        """Make a stopped instance with a disk of so many MiB, half of which are random data."""
        self.say(
            *("instance", "add", "-t", "file", "-s", f"{size}m", "-o", "mini", "-n", self.node(1)),
            *(*QUIET, "-B", "memory=64", "--no-start", name),
        )
        with self.disk(1, name).open("r+b") as file:
            file.seek(size << 19)
            file.write(random.Random(1).randbytes(size << 19))

    def repository(self, name: str, number: int) -> Path:
        """Make a repository on a node, and return its folder."""
        folder = Path(self.running.cluster.node(number).paths.root + FOLDER)
        folder.mkdir(parents=True)
        words = ("-n", self.node(number), "--path", FOLDER, "--encrypt")
        self.say("backup", "repository", "add", name, *words)
        return folder

    def test_an_instance_is_backed_up_and_comes_back_in_every_way(self) -> None:
        folder = self.repository("vault", 2)
        self.make_instance("web1.trial", 6)
        before = self.checksum(1, "web1.trial")
        backup = self.say("backup", "create", "web1.trial", "vault").splitlines()[-1]
        self.say("backup", "restore", backup, "web2.trial", *QUIET, "-n", self.node(2))
        self.assertEqual(self.checksum(2, "web2.trial"), before)

        disk = self.disk(1, "web1.trial")
        disk.write_bytes(bytes(disk.stat().st_size))
        self.say("backup", "restore-disks", "-f", backup, "web1.trial")
        self.assertEqual(self.checksum(1, "web1.trial"), before)

        key = self.say("backup", "repository", "show-key", "vault")
        (folder / "key").write_text(key)
        self.say("backup", "verify", "--restore", "--newest", "vault")
        self.assertIn("restored without an error", self.say("backup", "info", backup))
        [*_, chunk] = [path for path in (folder / "chunks").rglob("*") if path.is_file()]
        content = chunk.read_bytes()
        chunk.write_bytes(content[:-1])
        done = self.running.tool("backup", "verify", "--restore", "vault")
        self.assertIn("1 of 1 backups in repository vault cannot be restored", done.stderr)
        self.assertIn("cannot be restored: ", self.say("backup", "info", backup))
        chunk.write_bytes(content)
        self.say("backup", "repository", "remove", "-f", "vault")
        words = ("-n", self.node(2), "--path", FOLDER, "--existing", "--key-file")
        self.say("backup", "repository", "add", "found", *words, str(folder / "key"))
        self.assertIn("1 backups are complete", self.say("backup", "verify", "found"))
        name = backup.partition("/")[2]
        self.say("backup", "remove-backup", "-f", "found", name)
        chunks = [path for path in (folder / "chunks").rglob("*") if path.is_file()]
        self.assertEqual(chunks, [])
        self.say("backup", "repository", "remove", "-f", "found")

    def test_a_store_has_backups_and_loses_nothing_with_a_node_daemon(self) -> None:
        settings = start_store(self)
        credentials = Path(self.mktemp())
        key = f"aws_access_key_id={settings.access_key}"
        secret = f"aws_secret_access_key={settings.secret_key}"
        credentials.write_text(f"[default]\n{key}\n{secret}\n")
        words = ("-n", self.node(2), "--path", "s3://vault/c1", "--endpoint", settings.endpoint)
        add = ("backup", "repository", "add", "far", *words)
        self.say(*add, "--credentials-file", str(credentials), "--encrypt")
        self.make_instance("s1.trial", 6)
        before = self.checksum(1, "s1.trial")
        backup = self.say("backup", "create", "s1.trial", "far").splitlines()[-1]
        self.make_instance("s2.trial", 100)
        number = self.say(
            "backup", "create", "--submit", "--print-jobid", "s2.trial", "far"
        ).split()[0]
        access = RepositoryAccess(name="far", path="s3://vault/c1", identity="", s3=settings)
        switch = CancelSwitch()
        self.addCleanup(switch.close)
        store = connect_store(access, switch)
        self.addCleanup(store.close)
        known = len(list(store.list_objects("chunks")))
        eventually(lambda: len(list(store.list_objects("chunks"))) > known)
        self.running.kill("noded", 2)
        self.running.daemon("noded", 2).start()
        self.assertNotEqual(self.running.tool("job", "watch", number).returncode, 0)
        self.assertIn("1 backups are complete", self.say("backup", "verify", "far"))
        self.say("backup", "restore", backup, "s3.trial", *QUIET, "-n", self.node(2))
        self.assertEqual(self.checksum(2, "s3.trial"), before)
        self.assertNotIn(
            settings.secret_key, self.say("backup", "repository", "list", "-o", "json")
        )
        self.say("backup", "remove-backup", "-f", "far", backup.partition("/")[2])
        self.assertEqual(list(store.list_objects("chunks")), [])
        secrets = [
            path
            for path in Path(self.running.cluster.node(1).paths.root).rglob("*")
            if path.is_file() and settings.secret_key.encode() in path.read_bytes()
        ]
        self.assertEqual([path for path in secrets if path.suffix == ".log"], [])

    def test_a_node_daemon_that_is_killed_leaves_no_half_backup(self) -> None:
        folder = self.repository("other", 1)
        self.make_instance("big.trial", 300)
        number = self.say(
            "backup", "create", "--submit", "--print-jobid", "big.trial", "other"
        ).split()[0]
        eventually(lambda: list((folder / "chunks").glob("*/*")))
        self.running.kill("noded", 1)
        self.running.daemon("noded", 1).start()
        self.assertNotEqual(self.running.tool("job", "watch", number).returncode, 0)
        self.assertEqual(list((folder / "backups").iterdir()), [])
        self.say("backup", "create", "big.trial", "other")
        self.assertEqual(list(folder.rglob("*.tmp")), [])
        self.assertIn("1 backups are complete", self.say("backup", "verify", "other"))
