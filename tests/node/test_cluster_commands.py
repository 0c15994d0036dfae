# SPDX-License-Identifier: BSD-2-Clause
"""Commands and files of the cluster's administrator, unless the node's own forbids them."""

from __future__ import annotations

import base64

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid, Refused
from ganeti.node.cluster_commands import OUTPUT_LIMIT, SHELL, ClusterCommands
from ganeti.paths import Paths
from ganeti.rpc.node import CommandResult, CopyFile, RunCommand
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Script


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/etc/ganeti", 0o755)
        self.processes = MemoryProcesses(Clock(), {SHELL[0]: Script(code=3, out=b"one\ntwo\n")})
        files = MemoryFiles(self.disk)
        self.commands = ClusterCommands(files, self.processes, Paths())

    def copied(self, path: str, content: str = "") -> CopyFile:
        return CopyFile(path=path, content=content, mode=0o640)

    def refused(self, path: str, content: str = "") -> str:
        failure = self.failureResultOf(
            self.commands.copy(self.copied(path, content)), Refused, Invalid
        )
        return str(failure.value)

    def test_a_command_is_a_shells_and_answers_how_it_ended(self) -> None:
        result = self.successResultOf(self.commands.run(RunCommand(command="uptime | wc")))
        self.assertEqual(result, CommandResult(code=3, output="one\ntwo\n"))
        self.assertEqual(self.processes.ran[0].argv, (*SHELL, "uptime | wc"))

    def test_of_much_output_the_end_is_answered(self) -> None:
        self.processes.programs[SHELL[0]] = Script(out=b"x" * OUTPUT_LIMIT + b"end")
        result = self.successResultOf(self.commands.run(RunCommand(command="yes")))
        self.assertEqual((len(result.output), result.output[-4:]), (OUTPUT_LIMIT, "xend"))

    def test_a_file_is_written_with_its_mode(self) -> None:
        content = base64.b64encode(b"127.0.0.1 localhost\n").decode()
        self.successResultOf(self.commands.copy(self.copied("/etc/ganeti/motd", content)))
        self.assertEqual(MemoryFiles(self.disk).read("/etc/ganeti/motd"), b"127.0.0.1 localhost\n")
        found = MemoryFiles(self.disk).stat("/etc/ganeti/motd")
        assert found is not None
        self.assertEqual(found.mode & 0o777, 0o640)

    def test_what_cannot_be_written_says_why(self) -> None:
        self.assertIn("folder /nowhere does not exist", self.refused("/nowhere/file"))
        self.assertIn("absolute path without . and ..", self.refused("/etc/../etc/passwd"))
        self.assertIn("absolute path", self.refused("etc/passwd"))
        self.assertIn("must be base64", self.refused("/etc/ganeti/x", "%"))
        self.assertIn("is managed by the node daemon", self.refused("/var/lib/ganeti/server.pem"))

    def test_the_administrator_of_a_node_may_forbid_both(self) -> None:
        self.disk.put("/etc/ganeti/no-cluster-commands", b"", 0o644, 0.0)
        told = "refuses commands and files from the master: /etc/ganeti/no-cluster-commands"
        self.assertIn(told, self.refused("/etc/ganeti/x"))
        running = self.commands.run(RunCommand(command="reboot"))
        self.assertIn(told, str(self.failureResultOf(running, Refused).value))
        self.assertEqual(self.processes.ran, [])
