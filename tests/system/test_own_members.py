# SPDX-License-Identifier: BSD-2-Clause
"""A cluster that runs the members of etcd itself: growth, loss, removal, backup and restore."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.bootstrap.daemons import ETCD, MASTERD, NODED, RAPI
from ganeti.errors import GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryTags
from ganeti.system.pidfile import holder
from tests.system.running import RunningCluster, eventually, run
from tools.quickstart.place import Node


class OwnMembersTests(SynchronousTestCase):
    def setUp(self) -> None:
        if shutil.which("etcd") is None:
            raise SkipTest("there is no etcd: install etcd-server")
        self.running = RunningCluster("--state-store", "own-etcd")
        self.addCleanup(self.end)
        eventually(lambda: self.endpoints(1) == [1, 2, 3])
        # With these, each candidate can become the master.
        eventually(lambda: all(self.endpoints(n) == [1, 2, 3] for n in (2, 3)))

    def end(self) -> None:
        for number in (1, 2, 3):
            for daemon in (RAPI, MASTERD, NODED, ETCD):
                self.send(number, daemon, signal.SIGTERM)
        self.assertEqual(self.running.destroy(), [])

    def node(self, number: int) -> Node:
        return self.running.cluster.node(number)

    def endpoints(self, number: int) -> list[int]:
        """The numbers of the nodes with members, according to the settings on a node."""
        try:
            text = Path(self.node(number).paths.state_store).read_text()
        except FileNotFoundError:
            return []
        return [
            int(each.split(":")[1].rpartition(".")[2]) for each in json.loads(text)["endpoints"]
        ]

    def send(self, number: int, daemon: str, which: int) -> None:
        path = f"{self.node(number).paths.run}/{daemon}.pid"
        if pid := holder(path):
            os.kill(pid, which)
            eventually(lambda: holder(path) != pid)

    def tool(self, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What ``gnt-cluster`` does on a node."""
        program = "from ganeti.cli.gnt_cluster.commands import main; main()"
        environment = self.running.cluster.environment(self.node(number))
        return run([sys.executable, "-P", "-c", program, *arguments], environment=environment)

    def do(self, number: int, *arguments: str) -> str:
        done = self.tool(number, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def tags(self, number: int) -> set[str] | None:
        try:
            with LuxiClient(self.node(number).paths.master_socket) as client:
                found: Any = client.ask(QueryTags(kind="cluster", name=""))
        except (GanetiError, OSError):
            return None
        return set(found)

    def start(self, number: int, daemon: str) -> None:
        self.running.daemon(daemon.removeprefix("ganeti-"), number).start()

    def test_members_are_shown_and_a_killed_one_comes_back(self) -> None:
        self.assertIn("State store: etcd on master candidates, at https://", self.do(1, "info"))
        self.do(1, "verify")
        self.send(2, ETCD, signal.SIGKILL)
        self.do(1, "add-tags", "meanwhile")
        eventually(lambda: holder(f"{self.node(2).paths.run}/{ETCD}.pid"))
        eventually(lambda: self.tool(1, "verify").returncode == 0)

    def test_a_candidate_takes_over_when_the_host_of_the_master_is_lost(self) -> None:
        self.do(1, "add-tags", "before")
        for daemon in (NODED, RAPI, MASTERD, ETCD):
            self.send(1, daemon, signal.SIGKILL)
        new = eventually(lambda: next((n for n in (2, 3) if self.tags(n) is not None), 0))
        self.assertEqual(self.tags(new), {"before"})
        self.do(new, "add-tags", "after")

    def test_the_member_of_a_former_candidate_is_removed_and_comes_back_with_the_role(self) -> None:
        self.do(1, "modify", "--candidate-pool-size", "2")
        modify = ("node", "modify", "--force", "--master-candidate=no", "node3.trial")
        done = self.running.tool(*modify)
        self.assertEqual(done.returncode, 0, done.stderr)
        eventually(lambda: self.endpoints(1) == [1, 2])
        folder = self.node(3).paths.store_member
        eventually(lambda: not os.path.exists(folder))
        eventually(lambda: holder(f"{self.node(3).paths.run}/{ETCD}.pid") is None)
        done = self.running.tool("node", "modify", "--master-candidate=yes", "node3.trial")
        self.assertEqual(done.returncode, 0, done.stderr)
        eventually(lambda: self.endpoints(3) == [1, 2, 3])

    def test_a_member_that_has_lost_its_disk_is_replaced(self) -> None:
        self.send(3, NODED, signal.SIGTERM)
        self.send(3, ETCD, signal.SIGKILL)
        shutil.rmtree(self.node(3).paths.store_member)
        self.start(3, NODED)
        eventually(lambda: self.endpoints(1) == [1, 2])
        eventually(lambda: self.endpoints(1) == [1, 2, 3])
        eventually(lambda: self.tool(1, "verify").returncode == 0)

    def test_the_state_moves_to_files_and_back_to_members_of_the_cluster(self) -> None:
        self.do(1, "add-tags", "before")
        self.do(1, "modify", "--state-store", "file")
        for number in (1, 2, 3):
            eventually(lambda n=number: not os.path.exists(self.node(n).paths.store_member))  # type: ignore[misc]
        self.do(1, "add-tags", "in-files")
        self.do(1, "modify", "--state-store", "etcd")
        eventually(lambda: self.endpoints(1) == [1, 2, 3])
        self.assertEqual(self.tags(1), {"before", "in-files"})

    def test_a_backup_is_restored_after_the_loss_of_all_members(self) -> None:
        self.do(1, "add-tags", "kept")
        file = str(self.running.home / "backup")
        self.do(1, "backup-state", file)
        self.do(1, "add-tags", "lost")
        for number in (1, 2, 3):
            self.send(number, NODED, signal.SIGTERM)
            for daemon in (MASTERD, ETCD):
                self.send(number, daemon, signal.SIGKILL)
            shutil.rmtree(self.node(number).paths.store_member)
        for number in (1, 2, 3):
            self.start(number, NODED)
        self.do(2, "restore-state", "--new-members", "--yes-do-it", file)
        self.start(2, MASTERD)
        self.assertEqual(self.tags(2), {"kept"})
        eventually(lambda: self.endpoints(2) == [1, 2, 3])
        self.do(2, "add-tags", "after")
        self.assertEqual(self.tags(2), {"kept", "after"})
        os.unlink(file)

    def test_a_backup_is_restored_into_members_that_work(self) -> None:
        self.do(1, "add-tags", "kept")
        file = str(self.running.home / "backup")
        self.do(1, "backup-state", file)
        self.do(1, "add-tags", "lost")
        refused = self.tool(1, "restore-state", "--yes-do-it", file)
        self.assertIn("ganeti-masterd runs on this node", refused.stderr)
        self.send(1, MASTERD, signal.SIGTERM)
        self.do(1, "restore-state", "--yes-do-it", file)
        self.start(1, MASTERD)
        self.assertEqual(self.tags(1), {"kept"})
        os.unlink(file)
