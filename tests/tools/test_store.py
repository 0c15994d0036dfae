# SPDX-License-Identifier: BSD-2-Clause
"""Members of etcd are waited for until they accept connections, or have ended."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from tools.quickstart import store
from tools.quickstart.place import Cluster, Description, Node

SAID = Description(name="one", hypervisor="fake", nodes=1, network="127.50.60", store="etcd")


@dataclass(frozen=True)
class ScriptedCluster(Cluster):
    """Runs a program instead of etcd; connections are accepted by its last attempt only."""

    member: list[str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)

    def command(self, node: Node, command: list[str]) -> list[str]:
        return self.member if command[0] == "etcd" else [self.attempts.pop(0)]


class StartTests(SynchronousTestCase):
    def cluster(self, *member: str) -> ScriptedCluster:
        folder = Path(self.mktemp()).absolute()
        (folder / "etcd1").mkdir(parents=True)
        cluster = ScriptedCluster(folder, SAID, list(member), ["false", "false", "true"])
        cluster.make_reachable()
        if cluster.reached_by != str(folder):
            self.addCleanup(os.unlink, cluster.reached_by)
        return cluster

    def test_one_whose_arguments_are_not_there_yet_is_waited_for(self) -> None:
        # The arguments are not etcd's: so they look right after the process was made.
        cluster = self.cluster("sleep", "60")
        self.assertEqual(store.start(cluster), 1)
        os.kill(int((cluster.folder / "etcd1" / "pid").read_text()), signal.SIGKILL)
        self.assertEqual(cluster.attempts, [])

    def test_one_that_ends_is_a_failure_with_its_log(self) -> None:
        cluster = self.cluster("false")
        cluster.attempts[:] = ["false"] * 1000
        self.assertRaisesRegex(Failed, "does not start; its log is .*/log", store.start, cluster)
