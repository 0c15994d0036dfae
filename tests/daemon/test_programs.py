# SPDX-License-Identifier: BSD-2-Clause
"""What the programs of daemons and cron jobs do before anything is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti import __version__
from ganeti.daemon import cleaner, etcd, masterd, noded, rapi, watchdogd, watcher
from ganeti.paths import Paths
from ganeti.system.pidfile import PidFile

Main = Callable[[Sequence[str] | None], int]

PROGRAMS: dict[str, Main] = {
    "ganeti-cleaner": cleaner.main,
    "ganeti-etcd": etcd.main,
    "ganeti-masterd": masterd.main,
    "ganeti-noded": noded.main,
    "ganeti-rapi": rapi.main,
    "ganeti-watchdog": watchdogd.main,
    "ganeti-watcher": watcher.main,
}


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = os.path.abspath(self.mktemp())
        self.paths = Paths(self.root)
        os.makedirs(self.paths.data)
        self.patch(os, "environ", {**os.environ, "GANETI_ROOTDIR": self.root})

    def run_program(self, main: Main, *arguments: str) -> tuple[int, str, str]:
        """Return the exit code of a program, and what it prints."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(arguments)
            except SystemExit as e:
                code = int(e.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_each_prints_its_version_by_its_own_name(self) -> None:
        for name, main in PROGRAMS.items():
            code, out, _ = self.run_program(main, "--version")
            self.assertEqual((code, out), (0, f"{name} {__version__}\n"))

    def test_options_that_are_not_known_are_refused(self) -> None:
        for main in PROGRAMS.values():
            code, _, err = self.run_program(main, "--no-such-option")
            self.assertEqual(code, 2)
            self.assertIn("--no-such-option", err)

    def test_workers_are_a_number_and_proxies_are_addresses(self) -> None:
        for wrong in ("--workers=0", "--workers=65", "--workers=x", "--trusted-proxy=host"):
            code, _, err = self.run_program(rapi.main, wrong)
            self.assertEqual(code, 2)
            self.assertIn(wrong.partition("=")[0], err)

    def test_a_prepared_master_whose_parent_ends_does_not_start(self) -> None:
        self.patch(sys, "stdin", StringIO(""))
        self.assertEqual(self.run_program(masterd.main, "--wait"), (0, "", ""))
        self.assertFalse(os.path.exists(self.paths.run))

    def test_a_host_that_cannot_join_has_no_node_daemon(self) -> None:
        token = Path(self.root, "token")
        token.write_text("nonsense\n")
        code, _, err = self.run_program(noded.main, "--join", str(token))
        self.assertEqual(code, 12)
        self.assertRegex(err, "^ganeti-noded: ")
        code, _, err = self.run_program(noded.main, "--join", f"{self.root}/none")
        self.assertEqual(code, 12)
        self.assertIn("No such file", err)

    def test_the_cleaner_removes_old_files_of_the_node_alone_if_that_is_wanted(self) -> None:
        logs, archive = Path(self.paths.log, "os"), Path(self.paths.queue, "archive/0")
        for folder, name in ((logs, "old.log"), (archive, "job-7")):
            folder.mkdir(parents=True)
            Path(folder, name).touch()
            os.utime(Path(folder, name), (0, 0))
        self.assertEqual(self.run_program(cleaner.main, "node")[0], 0)
        self.assertEqual([list(logs.iterdir()), len(list(archive.iterdir()))], [[], 1])
        self.assertEqual(self.run_program(cleaner.main)[0], 0)
        self.assertFalse(archive.exists())

    def test_the_watcher_has_nothing_to_do_on_a_host_without_a_cluster(self) -> None:
        self.assertEqual(self.run_program(watcher.main)[0], 0)

    def test_one_watcher_runs_at_a_time(self) -> None:
        os.makedirs(self.paths.run)
        running = PidFile(f"{self.paths.run}/ganeti-watcher.pid", "ganeti-watcher")
        running.acquire()
        self.addCleanup(running.release)
        self.assertEqual(self.run_program(watcher.main)[0], 0)
        log = Path(self.paths.log, "watcher.log").read_text()
        self.assertIn("ganeti-watcher is already running", log)
