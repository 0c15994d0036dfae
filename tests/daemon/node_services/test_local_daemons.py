# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon stops other daemons of its node, also those that do not want to end."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.local_daemons import ENDING, stop_daemons
from ganeti.paths import Paths

DAEMON = """
import fcntl, os, signal, sys
if sys.argv[2:]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print(os.getpid(), file=file, flush=True)
print("ready", flush=True)
signal.pause()
"""


class StopDaemonsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.run)

    def start(self, name: str, *options: str) -> subprocess.Popen[str]:
        """Start a daemon; it has locked its pid file when this returns."""
        process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, f"{self.paths.run}/{name}.pid", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def stop(self, *names: str) -> Deferred[bool]:
        return Deferred.fromCoroutine(stop_daemons(self.clock, self.paths, *names))

    def test_a_daemon_that_does_not_run_is_not_waited_for(self) -> None:
        self.assertFalse(self.successResultOf(self.stop("ganeti-masterd")))

    def test_daemons_are_stopped_one_after_the_other(self) -> None:
        first, second = self.start("first"), self.start("second")
        stopping = self.stop("first", "second")
        self.assertEqual(first.wait(), -15)
        self.assertIsNone(second.poll())
        self.clock.advance(0.05)
        self.assertEqual(second.wait(), -15)
        self.clock.advance(0.05)
        self.assertTrue(self.successResultOf(stopping))

    def test_one_that_begins_is_stopped_as_soon_as_its_number_is_known(self) -> None:
        with open(f"{self.paths.run}/early.pid", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            stopping = self.stop("early")
            self.clock.advance(0.05)
            self.assertNoResult(stopping)
        other = self.start("early")
        self.clock.advance(0.05)
        self.assertEqual(other.wait(), -15)
        self.clock.advance(0.05)
        self.assertTrue(self.successResultOf(stopping))

    def test_one_that_ignores_the_signal_is_killed(self) -> None:
        stubborn = self.start("stubborn", "ignore")
        stopping = self.stop("stubborn")
        # A process that was sent a signal ends a moment later: not to the last step.
        self.clock.pump([0.05] * (int(ENDING / 0.05) - 1))
        self.assertIsNone(stubborn.poll())
        self.clock.pump([0.05] * 3)
        self.assertEqual(stubborn.wait(), -9)
        self.clock.advance(0.05)
        self.assertTrue(self.successResultOf(stopping))
