# SPDX-License-Identifier: BSD-2-Clause
"""Exports and imports by the administrator's tool, on real nodes."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from tests.system.running import SharedCluster, eventually

NAME = "web1.trial"
QUIET = ("--no-name-check", "--no-ip-check")


class BackupTests(SharedCluster):
    options = ("--nodes", "2")

    def said(self, name: str, *arguments: str) -> str:
        done = self.running.tool(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def node(self, number: int) -> str:
        return self.running.cluster.node(number).name

    def disk(self, number: int) -> Path:
        """The only disk of the instance, on a node."""
        folder = Path(self.running.cluster.node(number).paths.file_storage)
        [path] = (folder / NAME).iterdir()
        return path

    def checksum(self, number: int) -> str:
        return hashlib.sha256(self.disk(number).read_bytes()).hexdigest()

    def test_an_instance_is_exported_removed_and_brought_back_elsewhere(self) -> None:
        self.said(
            *("instance", "add", "-t", "file", "-s", "5m", "-o", "mini", "-n", self.node(1)),
            *(*QUIET, "-B", "memory=64", NAME),
        )
        disk = self.disk(1)
        disk.write_bytes(random.Random(1).randbytes(disk.stat().st_size))
        before = self.checksum(1)
        self.said("backup", "export", "-n", self.node(2), "--remove-instance", NAME)
        self.assertEqual(
            self.said("backup", "list", "--no-headers", "--separator=|").splitlines(),
            [f"{self.node(2)}|{NAME}"],
        )
        self.said("backup", "import", *QUIET, "-n", self.node(1), "-t", "file", NAME)
        self.assertEqual(self.checksum(1), before)
        self.said("instance", "start", NAME)
        self.said("backup", "remove", NAME)
        self.assertEqual(self.said("backup", "list", "--no-headers"), "")
        self.said("instance", "remove", "-f", NAME)

    def test_a_node_daemon_that_is_killed_leaves_no_half_export(self) -> None:
        self.said(
            *("instance", "add", "-t", "file", "-s", "300m", "-o", "mini", "-n", self.node(1)),
            *(*QUIET, "-B", "memory=64", NAME),
        )
        number = self.said(
            "backup", "export", "-n", self.node(2), "--submit", "--print-jobid", NAME
        )
        exports = Path(self.running.cluster.node(2).paths.exports)
        eventually(lambda: list(exports.glob(f"{NAME}.new/*")) or (exports / NAME).exists())
        self.running.kill("noded", 2)
        self.running.daemon("noded", 2).start()
        done = self.running.tool("job", "watch", number.split()[0])
        self.assertEqual(list(exports.glob("*.new")), [], done.stdout)
        status = self.said("instance", "list", "--no-headers", "-o", "status", NAME)
        self.assertEqual(status.strip(), "running", done.stdout)
        self.running.tool("backup", "remove", NAME)
        self.said("instance", "remove", "-f", NAME)
