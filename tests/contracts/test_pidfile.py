# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.system.pidfile import PidFile


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

    def test_nothing_is_left_in_the_end(self) -> None:
        self.file.acquire()
        self.file.release()
        self.file.release()
        self.assertFalse(os.path.exists(self.path))
