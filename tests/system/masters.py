# SPDX-License-Identifier: BSD-2-Clause
"""What tests do with the masters of a cluster of three nodes: jobs, tools and signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.daemons import MASTERD, RAPI
from ganeti.errors import Failed, GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryJobs, QueryTags, Request, SubmitJob
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.system.pidfile import holder
from tests.system.running import RunningCluster, eventually, run
from tools.quickstart.place import Node


class MasterTestCase(SynchronousTestCase):
    """Tests whose ``running`` cluster has three nodes, any of which may be the master."""

    running: RunningCluster

    def end_masters(self) -> None:
        """End the masters and remote APIs that tests have started on any node."""
        for number in (1, 2, 3):
            for daemon in (RAPI, MASTERD):
                self.send(number, daemon, signal.SIGTERM)

    def node(self, number: int) -> Node:
        return self.running.cluster.node(number)

    def send(self, number: int, daemon: str, which: int) -> None:
        """Send a signal to a daemon, and wait for its end."""
        path = f"{self.node(number).paths.run}/{daemon}.pid"
        if pid := holder(path):
            os.kill(pid, which)
            eventually(lambda: holder(path) is None)

    def tool(self, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``gnt-cluster`` on a node."""
        program = "from ganeti.cli.gnt_cluster.commands import main; main()"
        environment = self.running.cluster.environment(self.node(number))
        return run([sys.executable, "-P", "-c", program, *arguments], environment=environment)

    def masterd(self, number: int) -> subprocess.CompletedProcess[str]:
        """Start the master daemon on a node as an administrator does."""
        environment = self.running.cluster.environment(self.node(number))
        return run([sys.executable, "-m", "ganeti.daemon.masterd"], environment=environment)

    def ask(self, number: int, request: Request[Any]) -> Any:
        with LuxiClient(self.node(number).paths.master_socket) as client:
            return client.ask(request)

    def tag(self, number: int, tag: str) -> int:
        """Add a tag to the cluster; return the job, which has ended."""
        job: int = self.ask(number, SubmitJob(ops=(AddTags(kind=TagKind.CLUSTER, tags=(tag,)),)))
        eventually(lambda: self.status(number, job) == "success")
        return job

    def status(self, number: int, job: int) -> str:
        [row] = self.ask(number, QueryJobs(ids=(job,), fields=("status",)))
        return str(row[0])

    def tags(self, number: int) -> set[str]:
        return set(self.ask(number, QueryTags(kind="cluster", name="")))

    def serves(self, number: int) -> bool:
        try:
            return self.tags(number) is not None
        except (GanetiError, OSError):
            return False

    def wait_for_master(self, *numbers: int) -> int:
        """Return the number of the node whose master answers, one of these or any."""
        among = numbers or (1, 2, 3)
        return int(eventually(lambda: next((n for n in among if self.serves(n)), 0)))

    def restart_master(self) -> int:
        """Kill the master of node 1 and start it again; return the number of the master's node.

        It is another one if the state is in etcd and the start took so long that a candidate has
        become the master.
        """
        self.send(1, MASTERD, signal.SIGKILL)
        with contextlib.suppress(Failed):
            self.running.daemon("masterd").start()
        return self.wait_for_master()
