# SPDX-License-Identifier: BSD-2-Clause
"""Most commands submit their opcode, or one for each of the selected instances."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Arguments, Command, Positional
from ganeti.cli.opcode_request import request
from ganeti.cli.session import ExitTool
from ganeti.errors import Invalid
from ganeti.luxi.methods import SubmitJob, SubmitManyJobs
from ganeti.opcodes.group import RemoveGroup
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal

REMOVE = Command(
    name="remove",
    opcode="OP_GROUP_REMOVE",
    words=(Positional("group_name", "group"),),
    ended=lambda session, arguments, result: 7 if result == "removed" else 0,
)
STOP = Command(name="shutdown", opcode="OP_INSTANCE_SHUTDOWN", many="instance_name")
ERASE = Command(
    name="shutdown", opcode="OP_INSTANCE_SHUTDOWN", many="instance_name", confirm="All is lost."
)


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal()

    def submit(self, command: Command, **values: Any) -> int:
        given = Arguments("gnt-tool", command, values)
        return self.terminal.call(lambda session: request(session, given))

    def jobs(self) -> list[Any]:
        submitted = self.terminal.master.memory.jobs.values()
        return [replace(opcode, reason=()) for job in submitted for opcode in job]

    def test_the_opcode_is_submitted_and_its_result_gives_the_exit_code(self) -> None:
        self.terminal.result = "removed"
        self.assertEqual(self.submit(REMOVE, group_name="rack1"), 7)
        self.assertEqual(self.jobs(), [RemoveGroup(group_name="rack1")])

    def test_a_job_that_is_not_waited_for_has_no_result(self) -> None:
        self.terminal.result = "removed"
        self.assertEqual(self.submit(REMOVE, group_name="rack1", submit=True), 0)

    def test_a_malformed_request_is_not_submitted(self) -> None:
        with self.assertRaisesRegex(Invalid, "^group_name: is required"):
            self.submit(REMOVE)
        with self.assertRaisesRegex(Invalid, "^--timeout"):
            self.submit(STOP, names=["web1", "web2"], timeout="soon", force_multiple=True)
        self.assertEqual(self.terminal.asked(), [])

    def test_one_instance_is_a_job_of_its_own(self) -> None:
        self.assertEqual(self.submit(STOP, names=["web1"], timeout=5), 0)
        self.assertEqual(self.jobs(), [ShutdownInstance(instance_name="web1", timeout=5)])
        self.assertIsInstance(self.terminal.asked()[0], SubmitJob)

    def test_several_instances_are_jobs_that_are_submitted_together(self) -> None:
        self.assertEqual(self.submit(STOP, names=["web1", "web2"], force_multiple=True), 0)
        wanted = [ShutdownInstance(instance_name=name) for name in ("web1", "web2")]
        self.assertEqual(self.jobs(), wanted)
        self.assertIsInstance(self.terminal.asked()[0], SubmitManyJobs)

    def test_the_question_of_the_command_is_asked_of_a_single_instance_too(self) -> None:
        self.terminal.answers = ["no"]
        with self.assertRaisesRegex(ExitTool, "not confirmed"):
            self.submit(ERASE, names=["web1"])
        self.assertEqual(self.terminal.asked(), [])
