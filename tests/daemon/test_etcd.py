# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-etcd`` becomes etcd, with the settings of the member on this node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.own_members import create_own_store, write_own_store
from ganeti.daemon.etcd import make_command
from ganeti.paths import Paths
from ganeti.system.pidfile import holder
from tools.quickstart.place import TREE

ETCD = """#!/bin/sh
echo "$@"
exec /bin/sleep 60
"""


class EtcdTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)
        self.programs = Path(os.path.abspath(self.mktemp()))
        self.programs.mkdir()
        self.pid_file = f"{self.paths.run}/ganeti-etcd.pid"
        self.addCleanup(self.end)

    def end(self) -> None:
        if pid := holder(self.pid_file):
            os.kill(pid, 9)

    def found(self) -> None:
        own = create_own_store(self.paths, "c", "node1", "192.0.2.1")
        write_own_store(self.paths, own, "uuid")

    def install(self) -> None:
        program = self.programs / "etcd"
        program.write_text(ETCD)
        program.chmod(0o755)

    def start(self) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "GANETI_ROOTDIR": self.paths.root,
            "PYTHONPATH": str(TREE),
            "PATH": str(self.programs),
        }
        command = [sys.executable, "-P", "-m", "ganeti.daemon.etcd"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def test_a_node_without_a_member_has_nothing_to_run(self) -> None:
        self.assertIsNone(make_command(self.paths))
        done = self.start()
        self.assertEqual(done.returncode, 5)
        self.assertIn("this node has no member of the state store", done.stderr)

    def test_the_command_line_is_that_of_the_member(self) -> None:
        self.found()
        command = make_command(self.paths)
        assert command is not None
        self.assertIn("--initial-cluster=node1=https://192.0.2.1:2380", command)
        self.assertIn("--initial-cluster-state=new", command)
        self.assertIn(f"--data-dir={self.paths.store_member}/data", command)

    def test_the_lock_on_the_pid_file_stays_with_etcd(self) -> None:
        self.found()
        self.install()
        done = self.start()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        pid = holder(self.pid_file)
        self.assertIn(b"sleep", Path(f"/proc/{pid}/cmdline").read_bytes())
        again = self.start()
        self.assertEqual(again.returncode, 1)
        self.assertIn(f"already running as process {pid}", again.stderr)

    def test_without_etcd_it_says_what_to_install(self) -> None:
        self.found()
        done = self.start()
        self.assertEqual(done.returncode, 1)
        self.assertIn("apt-get install etcd-server", done.stderr)
