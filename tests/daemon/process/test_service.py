# SPDX-License-Identifier: BSD-2-Clause
"""A daemon's process from its start to its end, whatever comes in between."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

TREE = Path(__file__).parents[3]

PROGRAM = """
import sys
from argparse import Namespace

from twisted.internet.defer import Deferred

from ganeti.daemon.process.services import ServicePart
from ganeti.daemon.process.service import DaemonProgram, run
from ganeti.paths import Paths

async def start(daemon, options, paths):
    daemon.add(ServicePart("files", stop=lambda: print("files stopped")))
    daemon.status("begins")
    {then}

options = Namespace(foreground=True, debug=False)
sys.exit(run(DaemonProgram("ganeti-test", "test", start), options, Paths(sys.argv[1])))
"""


class StartTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()  # short, as the kernel wants it
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.settimeout(60)
        self.socket.bind(f"{self.root}/notify")

    def start(self, then: str) -> subprocess.Popen[str]:
        """A daemon whose start does ``then`` after it has begun."""
        environment = {"NOTIFY_SOCKET": f"{self.root}/notify", "PYTHONPATH": str(TREE)}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(then=then), self.root],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(self.socket.recv(4096), b"STATUS=begins")
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def messages(self) -> list[str]:
        """What was sent and not read yet."""
        self.socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode().split("\n")[0])
        except BlockingIOError:
            return found

    def test_one_that_is_told_to_end_while_it_starts_has_not_started(self) -> None:
        process = self.start("await Deferred()")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        code, out, err = self.end(process)
        self.assertEqual((code, out), (1, "files stopped\n"))
        self.assertIn("ganeti-test: stopped before the start was complete", err)
        told = self.messages()
        self.assertNotIn("READY=1", told)
        self.assertNotIn("RELOADING=1", told)

    def test_one_that_cannot_start_stops_what_had_started_and_says_why(self) -> None:
        code, out, err = self.end(self.start("raise OSError('no room')"))
        self.assertEqual((code, out), (1, "files stopped\n"))
        self.assertIn("ganeti-test: no room", err)
        self.assertIn("STATUS=cannot start: no room", self.messages())

    def test_a_fault_of_the_program_while_it_starts_ends_it(self) -> None:
        code, out, err = self.end(self.start("daemon.no_such_thing"))
        self.assertEqual((code, out), (1, "files stopped\n"))
        self.assertIn("Traceback", err)

    def test_one_that_cannot_go_on_ends_with_the_code_of_the_reason(self) -> None:
        then = (
            "from ganeti.errors import NotMaster;"
            ' daemon.reactor.callLater(0, daemon.over.errback, NotMaster("node2 is the master"))'
        )
        code, out, _ = self.end(self.start(then))
        self.assertEqual((code, out), (11, "files stopped\n"))
        told = self.messages()
        self.assertEqual(told[0], "READY=1")
        self.assertIn("STATUS=cannot continue: node2 is the master", told)
        self.assertEqual(told[-1], "STOPPING=1")
