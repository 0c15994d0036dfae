# SPDX-License-Identifier: BSD-2-Clause
"""The watcher on a cluster of real daemons."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ganeti.luxi.methods import QueryInstances, QueryNodes
from tests.system.running import SharedCluster, eventually, run


class WatcherTests(SharedCluster):
    options = ("--nodes", "2")

    def watch(self, node: int = 1, *options: str) -> subprocess.CompletedProcess[str]:
        environment = self.running.cluster.environment(self.running.cluster.node(node))
        command = [sys.executable, "-P", "-m", "ganeti.daemon.watcher", *options]
        return run(command, environment=environment)

    def status(self) -> str:
        [[status]] = self.running.ask(QueryInstances(names=(), fields=("status",)))
        return str(status)

    def do_nodes_report(self) -> bool:
        return all(boot for (boot,) in self.running.ask(QueryNodes(names=(), fields=("bootid",))))

    def test_a_daemon_that_was_killed_runs_again(self) -> None:
        for kind, node, code in (("rapi", 1, 0), ("masterd", 1, 0), ("noded", 2, 11)):
            self.running.kill(kind, node)
            done = self.watch(node)
            self.assertEqual((done.returncode, done.stderr), (code, ""))
            self.assertIsNotNone(self.running.daemon(kind, node).process())

    def test_a_guest_that_has_gone_comes_back(self) -> None:
        for node in self.running.cluster.nodes:
            # Pretended guests are in the memory of the node daemon, too.
            self.running.kill("noded", node.number)
            for guest in Path(node.paths.run).glob("fake-hypervisor/*"):
                guest.unlink()
            self.running.daemon("noded", node.number).start()
        eventually(lambda: self.status() == "ERROR_down")
        # Attempts are counted only while all nodes answer.
        eventually(self.do_nodes_report)
        self.assertEqual(self.watch().returncode, 0)
        eventually(lambda: self.status() == "running")
        [notes] = Path(self.running.cluster.master.paths.data).glob("watcher.*.data")
        self.assertIn('"restart_count":1', notes.read_text())
