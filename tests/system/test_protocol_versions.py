# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of two releases in one cluster: this tree, and a copy of it that speaks other versions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rpc.protocol_version import OWN
from tests.system.releases import change_module, copy_tree, start_command
from tests.system.running import TIMEOUT, RunningCluster, eventually


class ProtocolVersionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.running = RunningCluster("--nodes", "2")
        self.addCleanup(lambda: self.assertEqual(self.running.destroy(), []))

    def start(self, kind: str, node: int, oldest: int, newest: int) -> None:
        """Start a daemon of a release that speaks these versions in place of the running one."""
        other = copy_tree()
        self.addCleanup(shutil.rmtree, other)
        own, its = (
            f"\nOWN = ProtocolVersions({versions})\n"
            for versions in (f"{OWN.oldest}, {OWN.newest}", f"{oldest}, {newest}")
        )
        change_module(other, "ganeti/rpc/protocol_version.py", own, its)
        daemon = self.running.daemon(kind, node)
        process = daemon.process()
        assert process is not None
        process.send(signal.SIGTERM)
        eventually(lambda: not process.alive())
        command, environment = start_command(daemon, other)
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def verify(self) -> tuple[int, str]:
        done = self.running.tool("cluster", "verify")
        return done.returncode, done.stdout + done.stderr

    def test_a_node_and_a_master_of_the_release_before_work_with_this_one(self) -> None:
        before = max(1, OWN.newest - 2), OWN.newest - 1
        for kind, node, versions in (
            ("noded", 2, (OWN.newest, OWN.newest + 1)),
            ("noded", 2, before),
            ("masterd", 1, before),
        ):
            self.start(kind, node, *versions)
            # The copy of the journal of a node that was away catches up in the background.
            eventually(lambda: self.verify()[0] == 0)

    def test_a_node_of_a_release_too_far_away_is_named_with_both_versions(self) -> None:
        self.start("noded", 2, OWN.newest + 1, OWN.newest + 2)
        code, said = self.verify()
        self.assertNotEqual(code, 0)
        self.assertIn(f"speaks versions {OWN} of the protocol between nodes", said)
        self.assertIn(f"this node speaks {OWN.newest + 1}-{OWN.newest + 2}", said)
