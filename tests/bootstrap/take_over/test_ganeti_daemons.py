# SPDX-License-Identifier: BSD-2-Clause
"""The daemons of Ganeti are found by their pid files, if these are not left over."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.take_over.ganeti_daemons import (
    DAEMONS,
    find_daemon,
    list_running,
    require_stopped,
)
from ganeti.errors import Code, Refused


class DaemonCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.run_folder = os.path.abspath(self.mktemp())
        os.mkdir(self.run_folder)

    def pid_file(self, content: object, name: str = "ganeti-noded") -> str:
        path = Path(self.run_folder, f"{name}.pid")
        path.write_text(f"{content}\n")
        return str(path)

    def process(self, name: str) -> int:
        """Start a process of this name, which ends with the test."""
        started = subprocess.Popen([name], executable="/bin/cat", stdin=subprocess.PIPE)
        self.addCleanup(started.communicate)
        return started.pid


class FindTests(DaemonCase):
    def test_a_process_of_ganeti_is_found(self) -> None:
        pid = self.process("/usr/sbin/ganeti-noded")
        self.assertEqual(find_daemon(self.pid_file(pid)), pid)

    def test_another_process_with_the_number_is_none(self) -> None:
        self.assertIs(find_daemon(self.pid_file(self.process("other"))), None)

    def test_a_file_that_is_left_over_is_none(self) -> None:
        for content in ("", "x", "-1", "0", "99999999999", "1 2", "\u0661"):
            self.assertIs(find_daemon(self.pid_file(content)), None, content)

    def test_a_missing_file_is_none(self) -> None:
        self.assertIs(find_daemon(f"{self.run_folder}/none.pid"), None)


class StopTests(DaemonCase):
    def test_each_daemon_has_its_file(self) -> None:
        asked: list[str] = []
        list_running("/run", lambda path: asked.append(path))
        self.assertEqual(asked, [f"/run/{name}.pid" for name in DAEMONS])

    def test_those_that_run_are_named_with_their_processes(self) -> None:
        running = {"/run/ganeti-masterd.pid": 7, "/run/ganeti-noded.pid": 8}
        found = list_running("/run", running.get)
        self.assertEqual(found, ["ganeti-masterd (process 7)", "ganeti-noded (process 8)"])

    def test_while_one_runs_it_is_refused_with_how_to_stop_it(self) -> None:
        pid = self.process("ganeti-wconfd")
        self.pid_file(pid, "ganeti-wconfd")
        error = self.assertRaises(Refused, require_stopped, self.run_folder)
        self.assertIn(f"running on this node: ganeti-wconfd (process {pid}); stop", str(error))
        self.assertEqual(error.code, Code.STATE)

    def test_where_none_runs_nothing_is_refused(self) -> None:
        require_stopped(self.run_folder)
        require_stopped(f"{self.run_folder}/none")
