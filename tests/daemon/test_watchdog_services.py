# SPDX-License-Identifier: BSD-2-Clause
"""The watchdog of a node whose guests do not fail over."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.host_clock import lease_notes, read_boot_id, read_uptime
from ganeti.daemon.process.services import Daemon
from ganeti.daemon.watchdog_services import start
from ganeti.node.guest_lease import WATCHDOG_NOTE, WatchdogNote, read_note
from ganeti.node.watchdog import INTERVAL
from ganeti.paths import Paths


class WatchdogServiceTests(SynchronousTestCase):
    def test_it_shows_that_it_watches_as_long_as_it_runs(self) -> None:
        clock, said = Clock(), list[str]()
        paths = Paths(os.path.abspath(self.mktemp()))
        daemon = Daemon(clock, said.append)
        daemon.startService()
        self.successResultOf(start(daemon, Namespace(device=""), paths))
        clock.advance(INTERVAL)
        self.assertEqual(said, ["watching the lease of the guests"])
        note: Any = read_note(lease_notes(paths), WATCHDOG_NOTE, WatchdogNote)
        self.assertEqual(note.boot_id, read_boot_id())
        self.assertLessEqual(note.beat, read_uptime())
        self.successResultOf(daemon.stopService())
        self.assertNoResult(daemon.over)
        self.assertEqual(clock.getDelayedCalls(), [])
