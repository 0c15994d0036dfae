# SPDX-License-Identifier: BSD-2-Clause
"""Running allocator programs."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.allocators import Allocators
from ganeti.errors import Code, Failed, Invalid
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Script

PLACES = ("/usr/local/lib/ganeti/iallocators", "/usr/lib/ganeti/iallocators")


class AllocatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        for place in PLACES:
            self.disk.add_folder(place, 0o755)
        self.disk.add_folder("/run", 0o755)
        self.programs: dict[str, Script] = {}

    def install(self, path: str, mode: int = 0o755, **over: Any) -> None:
        self.disk.put(path, b"#!/bin/sh\n", mode, 0.0)
        self.programs[path] = Script(**over)

    def ask(self, name: str, *options: str) -> Any:
        self.processes = MemoryProcesses(Clock(), self.programs)
        allocators = Allocators(MemoryFiles(self.disk), self.processes, PLACES, "/run/allocators")
        return allocators(name, lambda: succeed("{}"), options)

    def test_the_first_of_a_name_gets_the_request_and_its_answer_is_given(self) -> None:
        self.install(f"{PLACES[1]}/mine", out=b"theirs")
        self.install(f"{PLACES[0]}/mine", out=b"ours")
        self.assertEqual(self.successResultOf(self.ask("mine", "--fast")), "ours")
        self.assertEqual(MemoryFiles(self.disk).names("/run/allocators"), [])

    def test_what_is_not_there_or_no_program_is_unknown(self) -> None:
        self.install(f"{PLACES[0]}/text", mode=0o644)
        for name in ("text", "none"):
            failure = self.failureResultOf(self.ask(name), Failed)
            self.assertEqual(failure.value.code, Code.UNKNOWN)

    def test_a_name_does_not_leave_the_search_path(self) -> None:
        for name in ("../mine", "/bin/sh", ".."):
            self.failureResultOf(self.ask(name), Invalid)

    def test_a_failure_has_the_words_of_the_program(self) -> None:
        self.install(f"{PLACES[0]}/mine", code=1, err=b"no room")
        failure = self.failureResultOf(self.ask("mine"), Failed)
        self.assertEqual(str(failure.value), "no room")
        self.assertEqual(MemoryFiles(self.disk).names("/run/allocators"), [])
