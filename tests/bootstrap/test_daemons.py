# SPDX-License-Identifier: BSD-2-Clause
"""Daemons of this node are found by their pid files, and start with their usual options."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.daemons import (
    MASTERD,
    NODED,
    WaitingDaemon,
    runs,
    start,
    usual_options,
)
from ganeti.errors import Failed
from ganeti.paths import Paths
from ganeti.system.pidfile import PidFile


class DaemonTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.run)

    def configured(self, text: str) -> None:
        os.makedirs(f"{self.paths.root}/etc/default")
        Path(f"{self.paths.root}/etc/default/ganeti").write_text(text)

    def test_one_runs_while_it_holds_its_pid_file(self) -> None:
        self.assertFalse(runs(self.paths, NODED))
        running = PidFile(f"{self.paths.run}/{NODED}.pid", NODED)
        running.acquire()
        self.assertTrue(runs(self.paths, NODED))
        self.assertFalse(runs(self.paths, MASTERD))
        running.release()
        self.assertFalse(runs(self.paths, NODED))

    def test_options_are_the_words_of_a_shell(self) -> None:
        self.configured('# NODED_ARGS=-x\nNODED_ARGS="-b 192.0.2.1" # address\nMASTERD_ARGS=\n')
        self.assertEqual(list(usual_options(self.paths, NODED)), ["-b", "192.0.2.1"])
        self.assertEqual(list(usual_options(self.paths, MASTERD)), [])

    def test_the_last_assignment_counts_and_none_is_none(self) -> None:
        self.assertEqual(list(usual_options(self.paths, NODED)), [])
        self.configured("NODED_ARGS=-d\nNODED_ARGS='-d --syslog=no'\n")
        self.assertEqual(list(usual_options(self.paths, NODED)), ["-d", "--syslog=no"])

    def test_one_that_ends_at_once_says_why(self) -> None:
        with self.assertRaisesRegex(Failed, "(?s)^ganeti-noded does not start: .*--no-such-option"):
            start(self.paths, NODED, "--no-such-option")

    def waiting(self) -> WaitingDaemon:
        made = WaitingDaemon(self.paths, MASTERD, "--take-vacant-role")
        self.addCleanup(made.end)
        return made

    def test_one_that_waits_starts_when_told_and_says_why_it_cannot(self) -> None:
        waiting = self.waiting()
        self.assertTrue(waiting.usable())
        with self.assertRaisesRegex(Failed, "ganeti-masterd does not start: "):
            waiting.start()
        self.assertFalse(waiting.usable())

    def test_one_that_waits_is_outdated_when_its_options_change(self) -> None:
        waiting = self.waiting()
        self.assertFalse(waiting.outdated())
        self.configured("MASTERD_ARGS=--debug\n")
        self.assertEqual((waiting.outdated(), waiting.usable()), (True, False))

    def test_one_that_waits_ends_without_having_started(self) -> None:
        waiting = self.waiting()
        waiting.end()
        self.assertFalse(waiting.usable())
        self.assertFalse(runs(self.paths, MASTERD))
