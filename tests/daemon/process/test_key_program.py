# SPDX-License-Identifier: BSD-2-Clause
"""Programs for keys run as processes of their own, of this checkout and this cluster."""

from __future__ import annotations

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.key_program import TIMEOUT, KeyProgram
from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.testing.processes import MemoryProcesses, Script


class KeyProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def run_program(self, script: Script) -> Deferred[bytes]:
        self.processes = MemoryProcesses(self.clock, {sys.executable: script})
        program = KeyProgram(self.processes, Paths("/root"), "ganeti.keys", "no key was made")
        return Deferred.fromCoroutine(program.run("client", "node1"))

    def test_its_output_is_returned(self) -> None:
        self.assertEqual(self.successResultOf(self.run_program(Script(out=b"PEM"))), b"PEM")
        [ran] = self.processes.ran
        self.assertEqual(ran.argv[1:], ("-m", "ganeti.keys", "client", "node1"))
        self.assertEqual(ran.env["GANETI_ROOTDIR"], "/root")

    def test_a_failure_says_what_was_wanted_and_why_it_failed(self) -> None:
        failing = self.run_program(Script(code=1, err=b"no authority\n"))
        error = self.failureResultOf(failing, Failed).value
        self.assertEqual(str(error), "no key was made (client node1): no authority")
        self.assertEqual(error.code, Code.ENVIRONMENT)

    def test_one_that_hangs_is_given_up(self) -> None:
        hanging = self.run_program(Script(hangs=True))
        self.clock.advance(TIMEOUT)
        self.failureResultOf(hanging, Failed)
