# SPDX-License-Identifier: BSD-2-Clause
"""A cluster whose guests are real: a Linux boots and outlives its node daemon, not its cluster."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.system.linux import MINI, require_linux
from tests.system.migration import NAME, CountingGuest, cluster
from tests.system.pending_migrations import CHANGES, REFUSED, PendingMoves
from tests.system.running import RunningCluster, eventually
from tools.quickstart.processes import Process, proven

_LATENESS = 2.0
"""How many times as long as reported the guest may seem to be silent."""
_TRIES = 5
"""A busy machine makes a guest silent for longer, in some moves but hardly in all."""

BOOTING = 90.0
"""Seconds for a Linux to boot without KVM on a busy machine."""


class RealGuestTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_linux()
        environment = {"GANETI_MINI_GUEST": str(MINI)}
        self.running = RunningCluster("--hypervisor", "kvm", "--nodes", "1", more=environment)
        self.left: list[str] | None = None
        self.addCleanup(lambda: self.left is None and self.running.destroy())

    def guest(self) -> Process | None:
        """QEMU, as its pid file says."""
        run = Path(self.running.cluster.master.paths.run)
        found = [proven(path, lambda *_: True) for path in run.glob("*/**/*.pid")]
        return found[0] if found else None

    def console(self, wanted: str) -> None:
        """Read the console with the tool, until it shows what is wanted."""
        with self.running.terminal("instance", "console", "first.trial") as (terminal, process):
            shown = b""
            until = time.monotonic() + BOOTING
            while wanted.encode() not in shown and time.monotonic() < until:
                if select.select([terminal], [], [], 1)[0]:
                    shown += os.read(terminal, 4096)
                self.assertIsNone(process.poll(), shown)
            self.assertIn(wanted.encode(), shown)

    def listed(self) -> list[str]:
        """The name and the status of the instance, once its node has reported again."""
        done = self.running.tool("instance", "list", "--no-headers", "-o", "name,status")
        return done.stdout.split()

    def test_a_linux_boots_and_goes_on_while_its_node_daemon_is_killed(self) -> None:
        self.console("mini: up as first.trial")
        guest = self.guest()
        self.running.kill("noded")
        self.running.daemon("noded").start()
        self.console("tick")
        self.assertEqual(self.guest(), guest)
        eventually(lambda: self.listed() == ["first.trial", "running"])
        assert guest is not None
        self.left = self.running.destroy()
        self.assertEqual(self.left, [])
        eventually(lambda: not guest.alive())


class MovingGuestTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_linux()
        self.running = cluster()
        self.addCleanup(lambda: self.assertEqual(self.running.destroy(), []))
        self.guest = CountingGuest(self.running)
        self.addCleanup(self.guest.close)

    def test_it_counts_on_and_is_silent_for_about_as_long_as_was_reported(self) -> None:
        tried = []
        for _ in range(_TRIES):
            move = self.guest.move()
            self.assertEqual(move.lost, [])
            tried.append((move.silent, move.reported, move.usual))
            # Between two numbers it is silent for a while anyway, and on a busy machine the reader
            # of its console is late as well.
            if move.silent <= _LATENESS * (move.reported + move.usual):
                return
        self.fail(f"(silent, reported, usual): {tried}")


class PendingChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_linux()
        self.running = cluster()
        self.addCleanup(lambda: self.assertEqual(self.running.destroy(), []))
        self.moves = PendingMoves(self.running)
        self.addCleanup(self.moves.guest.close)

    def test_a_guest_moves_with_what_it_was_started_with_whatever_waits(self) -> None:
        for change, outcome in zip(CHANGES, self.moves.moves(), strict=True):
            self.assertEqual((outcome.kind, outcome.lost), (change.kind, []))
            self.assertTrue(outcome.waiting, change)
        for change in REFUSED:
            self.assertTrue(self.moves.refusal(change), change)
        self.moves.modify("-B", "vcpus=2,memory=256", "-H", "machine_version=q35")
        for kind, runs_with in (("soft", ["128M", "1"]), ("hard", ["256M", "2"])):
            done = self.running.tool("instance", "reboot", "-t", kind, NAME)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            shown = self.running.tool(
                *("instance", "list", "--no-headers", "-o", "oper_ram,oper_vcpus", NAME)
            )
            self.assertEqual(shown.stdout.split(), runs_with, kind)
