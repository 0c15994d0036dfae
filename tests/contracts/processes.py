# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IProcesses`` does."""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from ganeti.errors import Failed
from ganeti.system.interfaces import OUTPUT_LIMIT, TAIL, IProcesses, ProcessResult
from ganeti.testing.processes import Script


class ProcessesContract(TestCase):
    """A subclass says which one, and makes programs that do what a script says."""

    timeout = 10

    def processes(self) -> IProcesses:
        raise NotImplementedError

    def program(self, script: Script) -> str:
        """The path of a program that does what ``script`` says."""
        raise NotImplementedError

    def log(self) -> str:
        """The path of a file to write to."""
        raise NotImplementedError

    def logged(self, path: str) -> bytes:
        """What was written to ``log``."""
        raise NotImplementedError

    def clock(self) -> IReactorTime:
        return cast(IReactorTime, reactor)

    def test_it_is_one(self) -> None:
        verifyObject(IProcesses, self.processes())

    async def test_a_program_answers_with_its_code_and_both_streams(self) -> None:
        program = self.program(Script(code=3, out=b"yes\n", err=b"but\n"))
        self.assertEqual(
            await self.processes().run([program]), ProcessResult(3, b"yes\n", b"but\n")
        )

    async def test_a_program_that_is_not_there_fails_with_its_name(self) -> None:
        with self.assertRaisesRegex(Failed, "cannot start /nowhere/at-all: No such file"):
            await self.processes().run(["/nowhere/at-all"])

    async def test_a_program_that_takes_too_long_is_killed(self) -> None:
        program = self.program(Script(hangs=True))
        with self.assertRaisesRegex(Failed, r"did not end within 0\.05 s and was killed"):
            await self.processes().run([program], timeout=0.05)

    async def test_a_program_that_is_quick_enough_is_not(self) -> None:
        program = self.program(Script(out=b"done"))
        finished = await self.processes().run([program], timeout=8)
        self.assertEqual(finished, ProcessResult(0, b"done", b""))

    async def test_cancelling_ends_the_wait(self) -> None:
        program = self.program(Script(hangs=True))
        running = Deferred.fromCoroutine(self.processes().run([program]))
        running.cancel()
        with self.assertRaises(CancelledError):
            await running

    async def test_of_very_long_output_the_end_is_kept(self) -> None:
        out = b"." * (2 * OUTPUT_LIMIT + 5) + b"end"
        finished = await self.processes().run([self.program(Script(out=out))])
        self.assertEqual((len(finished.out), finished.out[-3:]), (OUTPUT_LIMIT, b"end"))

    async def test_output_to_a_file_is_appended_and_its_end_answered(self) -> None:
        processes, log = self.processes(), self.log()
        await processes.run([self.program(Script(out=b"one\n"))], output=log)
        long = b"x" * TAIL + b"two\n"
        finished = await processes.run([self.program(Script(err=long))], output=log)
        self.assertEqual(finished, ProcessResult(0, long[-TAIL:], b""))
        self.assertEqual(self.logged(log), b"one\n" + long)

    async def test_what_was_written_before_is_not_answered(self) -> None:
        processes, log = self.processes(), self.log()
        await processes.run([self.program(Script(out=b"one\n"))], output=log)
        finished = await processes.run([self.program(Script(out=b"two\n"))], output=log)
        self.assertEqual(finished.out, b"two\n")

    async def test_a_started_program_lives_until_it_is_killed(self) -> None:
        processes = self.processes()
        program = self.program(Script(hangs=True))
        pid = await processes.start([program, "--of", "web1"], output=self.log())
        first, again = processes.process_info(pid), processes.process_info(pid)
        assert first and again
        self.assertEqual(first.identity, again.identity)
        while not processes.arguments(pid):  # the kernel has not got so far yet
            await deferLater(self.clock(), 0.01)
        self.assertEqual(processes.arguments(pid)[-2:], ["--of", "web1"])
        processes.kill(pid, 9)
        while processes.process_info(pid):
            await deferLater(self.clock(), 0.01)
        processes.kill(pid, 9)
        self.assertEqual(processes.arguments(pid), [])
        await deferLater(self.clock(), 0.05)

    async def test_starting_what_is_not_there_fails(self) -> None:
        with self.assertRaisesRegex(Failed, "cannot start /nowhere/at-all"):
            await self.processes().start(["/nowhere/at-all"], output=self.log())
