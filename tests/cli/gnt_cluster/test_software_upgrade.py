# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster upgrade`` follows the jobs of the nodes, also while the master restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.event_polling import RETRIES, RETRY_SECONDS
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.luxi.methods import QueryClusterInfo, WaitForJobChange
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.opcodes.cluster import UpgradeCluster
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal

AWAY = MasterNotRunning("the master daemon is not running")
BACK = [["success", ["success"], ["3.1.0"]], []]


class UpgradeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.releases: list[Any] = ["3.2.0"]
        self.node_job: list[Any] = [BACK]
        self.submitted: list[Any] = [[True, 7]]
        self.terminal = Terminal(
            {WaitForJobChange: self.ended, QueryClusterInfo: self.take(self.releases, self.info)}
        )

    def take(self, given: list[Any], make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Answer each request by the next of ``given``, the last one again and again."""

        def answer(_: Any) -> Any:
            found = given.pop(0) if len(given) > 1 else given[0]
            if isinstance(found, Exception):
                raise found
            return make(found)

        return answer

    def info(self, release: str) -> dict[str, str]:
        return {"software_version": release}

    def ended(self, request: WaitForJobChange) -> Any:
        if request.job_id == 7:
            return self.take(self.node_job, lambda found: found)(request)
        return [["success", ["success"], [{"jobs": self.submitted}]], []]

    def run_tool(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "upgrade", *words)

    def test_all_nodes_have_the_release_in_the_end(self) -> None:
        options = ("--canary", "node3", "--command", "new", "--timeout", "60", "--resume")
        self.assertEqual(self.run_tool("--to", "3.2.0", *options), 0, self.terminal.err)
        wanted = UpgradeCluster(release="3.2.0", canary="node3", command="new", timeout=60)
        self.assertEqual(replace(self.terminal.job(), reason=()), wanted)
        self.assertIn("All nodes that are online have release 3.2.0.", self.terminal.out)

    def test_a_master_that_restarts_is_waited_for(self) -> None:
        self.node_job[:] = [AWAY, AWAY, BACK]
        self.releases[:] = ["3.1.0", AWAY, "3.2.0"]
        self.assertEqual(self.run_tool("--to", "3.2.0"), 0, self.terminal.err)
        self.assertEqual(len(self.terminal.slept), 4)

    def test_a_node_that_fails_ends_the_upgrade(self) -> None:
        error = ["OpExecError", ["node node3 does not have release 3.2.0"]]
        self.node_job[:] = [[["error", ["error"], [error]], []]]
        self.assertEqual(self.run_tool("--to", "3.2.0"), 1)
        self.assertIn("job 7: node node3 does not have release", self.terminal.err)

    def test_a_master_that_keeps_its_release_is_no_success(self) -> None:
        self.releases[:] = ["3.1.0"]
        self.assertEqual(self.run_tool("--to", "3.2.0"), 1)
        self.assertIn("the master daemon still has release 3.1.0", self.terminal.err)
        self.assertEqual(sum(self.terminal.slept), RETRIES * RETRY_SECONDS)

    def test_nothing_is_waited_for_if_there_is_nothing_to_do(self) -> None:
        self.submitted = []
        self.releases[:] = ["3.1.0"]
        self.assertEqual(self.run_tool("--to", "3.2.0"), 0)

    def test_a_release_must_be_given(self) -> None:
        self.assertEqual(self.run_tool(), 1)
        self.assertIn("--to RELEASE; that of this tool is", self.terminal.err)

    def test_a_job_that_is_rejected_is_reported(self) -> None:
        self.submitted = [[False, "the queue is drained"]]
        self.assertEqual(self.run_tool("--to", "3.2.0"), 1)
        self.assertIn("a job was rejected: the queue is drained", self.terminal.err)
