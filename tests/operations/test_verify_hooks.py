# SPDX-License-Identifier: BSD-2-Clause
"""Hooks of the administrator take part in verifying a cluster."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.locking.waiting import LockWaiter
from ganeti.opcodes.cluster import FindingCode, VerifyGroup
from ganeti.operations.perform import Performer
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import a_cluster
from ganeti.testing.processes import Script
from tests.operations.test_opportunistic import AJob
from tests.operations.whole import WholeCluster

IN_MEMORY = (FindingCode.ENODEHV, FindingCode.ENODELVM, FindingCode.ECLUSTERCLIENTCERT)
"""What is wrong with every node in memory."""


class HookTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=["node1"]))
        self.perform = Performer(
            lambda: OPERATIONS,
            self.whole.memory.config,
            LockWaiter(Clock()),
            lambda configuration, progress: self.whole.tools,
        )

    def verified(self, code: int, *ignored: FindingCode) -> bool:
        """Whether a group verifies that has a hook which ends with ``code``."""
        host = self.whole.hosts["node1"]
        folder = f"{host.paths.hooks}/cluster-verify-post.d"
        host.disk.add_folder(folder, 0o755)
        host.disk.put(f"{folder}/10-fans", b"#!/bin/sh\n", 0o755, 0.0)
        script = Script(code=code, out=b"a fan is broken\n")
        host.processes.programs[f"{folder}/10-fans"] = script
        opcode = VerifyGroup(
            group_name="default", error_codes=True, ignore_errors=(*IN_MEMORY, *ignored)
        )
        result: bool = self.successResultOf(self.perform(opcode, AJob())).result
        return result

    def test_a_hook_that_fails_is_a_finding(self) -> None:
        self.assertIs(self.verified(0), True)
        self.assertNotIn("ENODEHOOKS", self.whole.said)
        self.assertIs(self.verified(1), False)
        hook = "cluster-verify-post.d/10-fans"
        told = f"ERROR:ENODEHOOKS:node:node1:its hook {hook} failed: a fan is broken"
        self.assertIn(told, self.whole.said)

    def test_it_can_be_ignored_as_all_findings(self) -> None:
        self.assertIs(self.verified(1, FindingCode.ENODEHOOKS), True)
        self.assertIn("WARNING:ENODEHOOKS", self.whole.said)
