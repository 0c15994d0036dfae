# SPDX-License-Identifier: BSD-2-Clause
"""Hook scripts are run in order, and cost nothing where there are none."""

from __future__ import annotations

import posixpath

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.node.hooks import FAILED, PATH, SKIPPED, SUCCEEDED, Hooks
from ganeti.rpc.node import HookResult, RunHooks
from ganeti.schema.reading import read
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Script

FOLDER = "/etc/ganeti/hooks"
CALL = RunHooks(directory="instance-start", phase="pre", environment={"GANETI_OP_TARGET": "web1"})


class HooksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.processes = MemoryProcesses(Clock(), {})
        self.hooks = Hooks(MemoryFiles(self.disk), self.processes, FOLDER)

    def script(self, name: str, script: Script | None = None, mode: int = 0o755) -> None:
        path = f"{FOLDER}/instance-start-pre.d/{name}"
        self.disk.add_folder(posixpath.dirname(path), 0o755)
        self.disk.put(path, b"#!/bin/sh\n", mode, 0.0)
        if script is not None:
            self.processes.programs[path] = script

    def run_hooks(self) -> list[HookResult]:
        return self.successResultOf(Deferred.fromCoroutine(self.hooks.run(CALL)))

    def test_variables_of_several_lines_do_not_get_here(self) -> None:
        for environment in ({"GANETI_A": "x\nGANETI_B=y"}, {"GANETI_A": "\0"}, {"A=B": "x"}):
            call = {"directory": "instance-start", "phase": "pre", "environment": environment}
            self.assertRaisesRegex(Invalid, "environment.*: must be ", read, RunHooks, call)

    def test_without_a_folder_nothing_happens(self) -> None:
        self.assertEqual((self.run_hooks(), self.processes.ran), ([], []))

    def test_scripts_run_in_byte_order_in_a_clean_environment(self) -> None:
        for name in ("b", "Z", "10", "9"):
            self.script(name, Script(out=b"done\n"))
        found = self.run_hooks()
        self.assertEqual(
            found,
            [
                HookResult(script=f"instance-start-pre.d/{name}", status=SUCCEEDED, output="done")
                for name in ("10", "9", "Z", "b")
            ],
        )
        environment = {"PATH": PATH, "GANETI_OP_TARGET": "web1"}
        self.assertEqual([ran.env for ran in self.processes.ran], [environment] * 4)

    def test_a_script_that_fails_does_not_keep_the_next_from_running(self) -> None:
        self.script("one", Script(code=3, out=b"no ", err=b"room\n"))
        self.script("two", Script())
        found = [(each.status, each.output) for each in self.run_hooks()]
        self.assertEqual(found, [(FAILED, "no room"), (SUCCEEDED, "")])

    def test_what_is_no_script_is_skipped(self) -> None:
        self.script("README.txt", Script())
        self.script("off", Script(), mode=0o644)
        self.script("folder/x", Script())
        self.assertEqual([each.status for each in self.run_hooks()], [SKIPPED] * 3)
        self.assertEqual(self.processes.ran, [])

    def test_a_script_that_cannot_be_started_has_failed(self) -> None:
        self.script("one")
        [found] = self.run_hooks()
        self.assertEqual((found.status, "cannot start" in found.output), (FAILED, True))

    def test_no_other_folder_and_no_other_variable_can_be_named(self) -> None:
        good = {"directory": "instance-start", "phase": "pre", "environment": {}}
        self.assertEqual(msgspec.convert(good, RunHooks).directory, "instance-start")
        for bad in (
            {"directory": "../x"},
            {"directory": "instance-explode"},
            {"phase": "during"},
            {"environment": {"LD_PRELOAD": "/tmp/x.so"}},
        ):
            self.assertRaises(msgspec.ValidationError, msgspec.convert, {**good, **bad}, RunHooks)
