# SPDX-License-Identifier: BSD-2-Clause
"""Restricted commands are run only if nobody but root can have put them there."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.node.restricted_commands import REFUSAL_DELAY, TIMEOUT, RestrictedCommands
from ganeti.rpc.node import RunRestrictedCommandCall
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Script

FOLDER = "/etc/ganeti/restricted-commands"
PROGRAM = f"{FOLDER}/look"


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = MemoryDisk()
        self.processes = MemoryProcesses(self.clock, {PROGRAM: Script(out=b"all is well\n")})
        files = MemoryFiles(self.disk)
        self.commands = RestrictedCommands(files, self.processes, self.clock, FOLDER)
        self.put()

    def put(self, mode: int = 0o755, folder: int = 0o755) -> None:
        if self.disk.folder_mode(FOLDER) is not None:
            self.disk.take_folder(FOLDER)
        self.disk.add_folder(FOLDER, folder)
        self.disk.put(PROGRAM, b"#!/bin/sh\n", mode, 0.0)

    def ask(self, name: str = "look") -> Deferred[str]:
        return Deferred.fromCoroutine(self.commands.run(RunRestrictedCommandCall(cmd=name)))

    def refused(self, name: str = "look") -> str:
        """What is said of a name that is refused, which takes its time."""
        asked = self.ask(name)
        self.clock.advance(REFUSAL_DELAY - 0.1)
        self.assertNoResult(asked)
        self.clock.advance(0.1)
        error = self.failureResultOf(asked, Refused).value
        self.assertEqual(self.processes.ran, [])
        return str(error)

    def test_it_runs_without_arguments_and_environment(self) -> None:
        self.assertEqual(self.successResultOf(self.ask()), "all is well\n")
        [ran] = self.processes.ran
        self.assertEqual((ran.argv, ran.env), ((PROGRAM,), {}))

    def test_one_that_fails_says_how(self) -> None:
        self.processes.programs[PROGRAM] = Script(code=3, out=b"half ", err=b"well\n")
        error = self.failureResultOf(self.ask(), Failed).value
        self.assertEqual(str(error), "look exited with code 3: half well")

    def test_whatever_is_wrong_the_answer_is_the_same_and_late(self) -> None:
        told = "look is not a restricted command of this node; its log has the reason"
        for mode, folder in ((0o775, 0o755), (0o757, 0o755), (0o644, 0o755), (0o755, 0o775)):
            self.put(mode, folder)
            self.assertEqual(self.refused(), told)
        self.put()
        for path in (FOLDER, PROGRAM):
            for owner in ((1000, 0), (0, 1000)):
                self.disk.owners = {path: owner}
                self.assertEqual(self.refused(), told)
        self.disk.owners = {}
        self.disk.pop_file(PROGRAM)
        self.assertEqual(self.refused(), told)

    def test_names_lead_nowhere_else(self) -> None:
        self.disk.put("/etc/ganeti/evil", b"", 0o755, 0.0)
        for name in ("../evil", "look\n", "a/b", ".", "", "look;"):
            if name:
                self.assertIn("is not a restricted command", self.refused(name))

    def test_without_a_folder_there_are_none(self) -> None:
        self.disk.pop_file(PROGRAM)
        self.disk.take_folder(FOLDER)
        self.refused()

    def test_one_runs_at_a_time_and_the_next_waits_for_a_while(self) -> None:
        self.processes.programs[PROGRAM] = Script(takes=TIMEOUT + 1)
        first, second = self.ask(), self.ask()
        self.clock.advance(TIMEOUT)
        error = self.failureResultOf(second, Refused).value
        assert isinstance(error, Refused)
        self.assertEqual(error.code, Code.TEMPORARY)
        self.clock.advance(1)
        self.successResultOf(first)
        third = self.ask()
        self.clock.advance(TIMEOUT + 1)
        self.successResultOf(third)
        self.assertEqual(len(self.processes.ran), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
