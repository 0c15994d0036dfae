# SPDX-License-Identifier: BSD-2-Clause
"""The log of programs that cron runs."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.cron_log import log_of
from ganeti.paths import Paths


class CronLogTests(SynchronousTestCase):
    def log(self, *, debug: bool) -> str:
        """Return what is in the file after an event of each level."""
        paths = Paths(os.path.abspath(self.mktemp()))
        log = log_of(paths, "watcher", debug=debug)
        self.addCleanup(log.handlers.clear)
        file, terminal = log.handlers
        self.addCleanup(file.close)
        log.removeHandler(terminal)  # cron would mail what goes there
        log.debug("asked")
        log.error("node %s is down", "node1")
        return Path(paths.log, "watcher.log").read_text()

    def test_a_line_names_the_program_its_process_and_the_level(self) -> None:
        self.assertRegex(
            self.log(debug=False),
            rf"^\S+ \S+: ganeti-watcher pid={os.getpid()} ERROR node node1 is down\n$",
        )

    def test_debug_messages_are_written_if_they_are_asked_for(self) -> None:
        self.assertIn("DEBUG asked", self.log(debug=True))
