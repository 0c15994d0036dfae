# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import stat

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.out_of_band import PowerHelpers
from ganeti.rpc.node import RunPowerHelper
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Script

HELPER = "/opt/power/ipmi"


class PowerHelperTests(SynchronousTestCase):
    """A helper of root, in folders of root."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/opt/power", 0o755)
        self.disk.put(HELPER, b"#!/bin/sh\n", 0o755, 0.0)
        self.processes = MemoryProcesses(Clock(), {HELPER: Script(out=b"on\n")})
        self.helpers = PowerHelpers(MemoryFiles(self.disk), self.processes)

    def run_helper(self, program: str = HELPER) -> str:
        call = RunPowerHelper(oob_program=program, command="x", remote_node="node2", timeout=1)
        written: str = self.successResultOf(self.helpers.run(call))
        return written

    def refused(self, program: str = HELPER) -> str:
        call = RunPowerHelper(oob_program=program, command="x", remote_node="node2", timeout=1)
        why = str(self.failureResultOf(self.helpers.run(call), Refused).value)
        self.assertEqual(self.processes.ran, [])
        return why

    def test_what_it_writes_is_the_answer(self) -> None:
        self.assertEqual(self.run_helper(), "on\n")
        self.assertEqual([ran.argv for ran in self.processes.ran], [(HELPER, "x", "node2")])

    def test_its_words_explain_a_failure(self) -> None:
        self.processes.programs[HELPER] = Script(code=1, err=b"no such host\n")
        call = RunPowerHelper(oob_program=HELPER, command="x", remote_node="node2", timeout=1)
        self.assertEqual(
            str(self.failureResultOf(self.helpers.run(call), Failed).value), "no such host"
        )

    def test_only_a_whole_path_names_a_helper(self) -> None:
        for program in (
            "ipmi",
            "../opt/power/ipmi",
            "/opt/power/../power/ipmi",
            "//opt/power/ipmi",
        ):
            self.assertIn("is not the whole path", self.refused(program))

    def test_what_is_no_program_is_not_run(self) -> None:
        self.assertIn("is no program", self.refused("/opt/power"))
        self.assertIn("is no program", self.refused("/opt/power/other"))

    def test_what_others_could_have_written_or_put_there_is_not_run(self) -> None:
        self.disk.owners[HELPER] = (1000, 0)
        self.assertIn(f"chown root {HELPER}", self.refused())
        self.disk.owners.clear()
        self.disk.put(HELPER, b"#!/bin/sh\n", 0o775, 0.0)
        self.assertIn(f"{HELPER} can be changed", self.refused())
        self.disk.put(HELPER, b"#!/bin/sh\n", 0o755, 0.0)
        self.disk.owners["/opt"] = (1000, 1000)
        self.assertIn("/opt can be changed by others than root", self.refused())

    def test_a_folder_in_which_everybody_writes_is_one_only_with_the_sticky_bit(self) -> None:
        self.disk.add_folder("/open", 0o777)
        self.disk.add_folder("/tmp", 0o777 | stat.S_ISVTX)
        for path in ("/open/ipmi", "/tmp/ipmi"):
            self.disk.put(path, b"#!/bin/sh\n", 0o755, 0.0)
            self.processes.programs[path] = Script(out=b"off\n")
        self.assertIn("/open can be changed", self.refused("/open/ipmi"))
        self.assertEqual(self.run_helper("/tmp/ipmi"), "off\n")
