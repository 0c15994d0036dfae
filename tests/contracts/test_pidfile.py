# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import fcntl
import os
import signal
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.system.pidfile import PidFile, signal_holder


class PidFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.file = PidFile(self.path, "ganeti-noded")

    def test_the_second_of_a_kind_is_told_of_the_first(self) -> None:
        self.file.acquire()
        self.addCleanup(self.file.release)
        with self.assertRaisesRegex(Refused, f"is already running as process {os.getpid()} "):
            PidFile(self.path, "ganeti-noded").acquire()

    def test_what_a_killed_daemon_has_left_is_taken_over(self) -> None:
        with open(self.path, "w") as file:
            file.write("1234567\n")
        self.file.acquire()
        with open(self.path) as file:
            self.assertEqual(file.read(), f"{os.getpid()}\n")
        self.file.release()

    def test_a_holder_that_has_just_ended_or_begins_gets_no_signal(self) -> None:
        self.assertFalse(signal_holder(self.path, signal.SIGTERM))
        gone = subprocess.Popen(["true"])
        gone.wait()
        with open(self.path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertFalse(signal_holder(self.path, signal.SIGTERM))
            file.write(f"{gone.pid}\n")
            file.flush()
            self.assertFalse(signal_holder(self.path, signal.SIGTERM))

    def test_a_holder_gets_a_signal(self) -> None:
        received: list[int] = []
        before = signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        self.file.acquire()
        self.addCleanup(self.file.release)
        self.assertTrue(signal_holder(self.path, signal.SIGUSR1))
        self.assertEqual(received, [signal.SIGUSR1])

    def test_nothing_is_left_in_the_end(self) -> None:
        self.file.acquire()
        self.file.release()
        self.file.release()
        self.assertFalse(os.path.exists(self.path))
