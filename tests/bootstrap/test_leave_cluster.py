# SPDX-License-Identifier: BSD-2-Clause
"""What made a host part of a cluster goes with the cluster; what is its users' stays."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

from ganeti.bootstrap.leave_cluster import leave_cluster
from ganeti.errors import Failed
from tests.bootstrap.host import Host

DAEMON = """
import fcntl, os, signal, sys
signal.signal(signal.SIGTERM, %s)
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print(os.getpid(), file=file, flush=True)
print("runs", flush=True)
signal.pause()
"""


class DismantleTests(Host):
    def daemon(self, when_asked: str) -> subprocess.Popen[bytes]:
        """A process that holds the master daemon's pid file, and is asked to end."""
        path = f"{self.paths.run}/ganeti-masterd.pid"
        words = [sys.executable, "-c", DAEMON % when_asked, path]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"runs\n")
        return process

    def test_only_what_is_the_users_is_left(self) -> None:
        self.init_cluster()
        os.makedirs(self.paths.exports)
        leave_cluster(self.paths)
        self.assertEqual(sorted(os.listdir(self.paths.data)), ["export", "rapi"])

    def test_the_host_can_found_another_cluster(self) -> None:
        self.init_cluster()
        leave_cluster(self.paths)
        self.init_cluster()

    def test_daemons_are_ended_first(self) -> None:
        self.init_cluster()
        process = self.daemon("lambda *_: sys.exit(0)")
        self.assertIn("ganeti-masterd was stopped", leave_cluster(self.paths))
        self.assertEqual(process.wait(), 0)

    def test_a_daemon_that_has_just_ended_is_not_asked_to(self) -> None:
        self.init_cluster()
        process = self.daemon("signal.SIG_DFL")
        process.kill()
        process.wait()
        with open(f"{self.paths.run}/ganeti-masterd.pid") as file:
            # The lock of a process that ends is gone a moment later than the process.
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.assertRaisesRegex(Failed, "does not end"):
                leave_cluster(self.paths, patience=0.05)

    def test_as_long_as_one_does_not_end_nothing_is_removed(self) -> None:
        self.init_cluster()
        process = self.daemon("signal.SIG_IGN")
        message = rf"ganeti-masterd \(process {process.pid}\) does not end"
        with self.assertRaisesRegex(Failed, message):
            leave_cluster(self.paths, patience=0.1)
        self.assertTrue(os.path.exists(self.paths.config_file))
