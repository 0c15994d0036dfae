# SPDX-License-Identifier: BSD-2-Clause
"""Programs in memory and of the operating system."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import deferLater

from ganeti.errors import Failed
from ganeti.system.interfaces import IProcesses, ProcessResult
from ganeti.system.processes import LocalProcesses
from ganeti.testing.processes import MemoryProcesses, Script
from tests.contracts import processes as contract


class MemoryProcessesTests(contract.ProcessesContract):
    def setUp(self) -> None:
        self._processes = MemoryProcesses(self.clock(), {})

    def processes(self) -> IProcesses:
        return self._processes

    def program(self, script: Script) -> str:
        path = f"/bin/program{len(self._processes.programs)}"
        self._processes.programs[path] = script
        return path

    def log(self) -> str:
        return "/log"

    def logged(self, path: str) -> bytes:
        return self._processes.logs[path]


class LocalProcessesTests(contract.ProcessesContract):
    def processes(self) -> LocalProcesses:
        return LocalProcesses(cast(IReactorFDSet, reactor), self.clock())

    def program(self, script: Script) -> str:
        data = Path(self.mktemp()).absolute()
        data.with_suffix(".out").write_bytes(script.out)
        data.with_suffix(".err").write_bytes(script.err)
        end = f"exit {script.code}"
        if script.hangs:
            # Waits without a child that would be left behind when only this is killed.
            end = f"mkfifo {data}.wait; exec 3<>{data}.wait; read _ <&3"
        return self.shell(f"cat {data}.out; cat {data}.err >&2; {end}")

    def shell(self, text: str) -> str:
        path = Path(cast(str, self.mktemp()))
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path.absolute())

    def log(self) -> str:
        return self.file()

    def logged(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def file(self, content: bytes = b"") -> str:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        return str(path)

    async def gone(self, pid: int) -> None:
        while self.processes().process_info(pid):
            await deferLater(self.clock(), 0.01)

    async def test_the_environment_is_exactly_what_was_given(self) -> None:
        finished = await self.processes().run(["/usr/bin/env"], env={"A": "1"})
        self.assertEqual(finished.out, b"A=1\n")

    async def test_a_bare_name_is_looked_up_in_the_path_of_the_program(self) -> None:
        self.assertEqual((await self.processes().run(["true"])).code, 0)
        with self.assertRaisesRegex(Failed, "cannot start true"):
            await self.processes().run(["true"], env={"PATH": "/nowhere"})

    async def test_a_program_runs_in_the_directory_that_is_given(self) -> None:
        # ``pwd`` of a shell would trust the variable PWD.
        program, folder = self.shell("readlink /proc/self/cwd; /usr/bin/env"), "/usr/share"
        finished = await self.processes().run([program, "x"], env={"A": "1"}, cwd=folder)
        self.assertIn(b"/usr/share\n", finished.out)
        self.assertIn(b"A=1\n", finished.out)

    async def test_a_directory_that_is_not_there_is_a_failure(self) -> None:
        with self.assertRaisesRegex(Failed, "cannot start true: the working directory /nowhere"):
            await self.processes().run(["true"], cwd="/nowhere")

    async def test_a_program_reads_what_it_is_given(self) -> None:
        big = b"x" * 1_000_000
        self.assertEqual((await self.processes().run(["cat"], stdin=big)).out, big)
        self.assertEqual((await self.processes().run(["cat"])).out, b"")

    async def test_further_descriptors_are_files_or_our_own(self) -> None:
        given, taken, announced = self.file(b"content"), self.file(), self.file()
        ours = os.open(announced, os.O_WRONLY)
        self.addCleanup(os.close, ours)
        finished = await self.processes().run(
            [self.shell("cat; echo 7 >&5")], files={0: given, 1: taken, 5: ours}
        )
        self.assertEqual(finished, ProcessResult(0, b"", b""))
        self.assertEqual([self.logged(taken), self.logged(announced)], [b"content", b"7\n"])

    async def test_many_that_follow_each_other_all_end(self) -> None:
        # Each takes over the descriptors' numbers of one that has just ended.
        processes, program = self.processes(), self.shell("echo $1; exit $1")

        async def one_after_the_other() -> list[ProcessResult]:
            return [await processes.run([program, str(code)]) for code in range(15)]

        workers = [Deferred.fromCoroutine(one_after_the_other()) for _ in range(10)]
        expected = [ProcessResult(code, b"%d\n" % code, b"") for code in range(15)]
        self.assertEqual(await gatherResults(workers), [expected] * 10)

    async def test_none_of_our_descriptors_is_inherited(self) -> None:
        ours = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, ours)
        finished = await self.processes().run(["readlink", f"/proc/self/fd/{ours}"])
        self.assertEqual(finished.code, 1)

    async def test_what_is_left_in_the_background_is_not_waited_for(self) -> None:
        finished = await self.processes().run([self.shell("sleep 30 & echo $!")])
        os.kill(int(finished.out), signal.SIGKILL)

    async def test_cancelling_kills_children_too(self) -> None:
        pids = self.file()
        script = self.shell(f"sleep 30 & echo $! > {pids}; wait")
        running = Deferred.fromCoroutine(self.processes().run([script]))
        while not self.logged(pids).endswith(b"\n"):
            await deferLater(self.clock(), 0.01)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await self.gone(int(self.logged(pids)))

    async def test_no_zombie_is_left(self) -> None:
        finished = await self.processes().run([self.shell("echo $$")])
        pid = await self.processes().start(["true"], output=self.log())
        for each in (int(finished.out), pid):
            # A zombie takes signals like anybody else.
            while exists(each):
                await deferLater(self.clock(), 0.01)

    async def test_programs_have_a_session_of_their_own(self) -> None:
        finished = await self.processes().run([self.shell("cut -d' ' -f1,5,6 /proc/$$/stat")])
        pid, group, session = finished.out.split()
        self.assertEqual((pid, pid), (group, session))

    async def test_a_log_that_cannot_be_opened_fails_with_its_path(self) -> None:
        with self.assertRaisesRegex(Failed, "cannot open /nowhere/log"):
            await self.processes().run(["true"], output="/nowhere/log")

    async def test_the_end_of_a_log_is_answered_though_the_file_was_removed(self) -> None:
        log = self.log()
        finished = await self.processes().run([self.shell(f"echo one; rm {log}")], output=log)
        self.assertEqual(finished, ProcessResult(0, b"one\n", b""))

    async def test_descriptors_are_given_back(self) -> None:
        await deferLater(self.clock(), 0)  # the reactor opens some of its own when it starts
        before = set(os.listdir("/proc/self/fd"))
        await self.processes().run(["cat"], stdin=b"x")
        with self.assertRaises(Failed):
            await self.processes().run(["/nowhere/at-all"], stdin=b"x")
        await deferLater(self.clock(), 0)
        self.assertEqual(set(os.listdir("/proc/self/fd")) - before, set())

    async def test_running_out_of_descriptors_is_a_failure_that_leaves_nothing(self) -> None:
        await deferLater(self.clock(), 0)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        used = set(os.listdir("/proc/self/fd"))
        processes, reasons = self.processes(), []
        # Copies for the process are made above 64, so that is how far the limit has to go.
        for limit in range(max(map(int, used & set(map(str, range(64))))) + 1, 72):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
            try:
                await processes.run(["true"])
            except Failed as error:
                reasons.append(str(error))
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        await deferLater(self.clock(), 0)
        self.assertTrue(reasons)
        self.assertEqual([each for each in reasons if "cannot start true" not in each], [])
        self.assertEqual(set(os.listdir("/proc/self/fd")) - used, set())


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
