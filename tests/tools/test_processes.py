# SPDX-License-Identifier: BSD-2-Clause
"""Processes are ended only if they are those that are meant, and surely then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tools.quickstart.processes import Process, end, proven

STUBBORN = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)"
)


class ProcessTests(SynchronousTestCase):
    def child(self, code: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        assert child.stdout is not None
        child.stdout.readline()
        return child

    def file(self, text: str) -> Path:
        path = Path(self.mktemp())
        path.write_text(text)
        return path

    def own(self) -> Process:
        """This process."""
        found = proven(self.file(f"{os.getpid()}\n"), lambda *_: True)
        assert found is not None
        return found

    def test_a_process_is_found_by_what_it_was_started_with(self) -> None:
        child = self.child("import time; print('ready', flush=True); time.sleep(60)")
        file = self.file(f"{child.pid}\n")
        found = proven(file, lambda arguments, _: any("ready" in each for each in arguments))
        assert found is not None
        self.assertEqual((found.pid, found.alive()), (child.pid, True))
        self.assertIsNone(proven(file, lambda arguments, _: "ganeti" in arguments))

    def test_a_file_that_names_no_process_finds_none(self) -> None:
        for text in ("", "x", "99999999", "-1"):
            self.assertIsNone(proven(self.file(text), lambda *_: True))
        self.assertIsNone(proven(Path(self.mktemp()), lambda *_: True))

    def test_a_process_that_does_not_want_to_end_is_made_to(self) -> None:
        child = self.child(STUBBORN)
        found = proven(self.file(str(child.pid)), lambda *_: True)
        assert found is not None
        self.assertEqual(end([found], 0.1), [found])
        self.assertFalse(found.alive())

    def test_a_later_process_with_the_same_number_is_left_alone(self) -> None:
        own = self.own()
        self.assertTrue(own.alive())
        earlier = Process(own.pid, own.started - 1)
        # This would be the end of this process.
        self.assertEqual(end([earlier], 0.1), [])
