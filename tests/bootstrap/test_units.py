# SPDX-License-Identifier: BSD-2-Clause
"""Daemons with a unit are started by the service manager."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.daemons import MASTERD, NODED, start
from ganeti.bootstrap.units import ServiceManager
from ganeti.errors import Failed
from ganeti.paths import Paths

SYSTEMCTL = """#!/bin/sh
echo "$*" >> {calls}
case $1 in
  cat) [ "$2" = ganeti-noded.service ] ;;
  start) {start} ;;
  --quiet) {active} ;;
esac
"""


class UnitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)

    def manager(self, start: str = "true", active: str = "true") -> ServiceManager:
        """A systemd that has a unit for the node daemon; starting it runs ``start``."""
        program = Path(self.folder, "systemctl")
        calls = f"{self.folder}/calls"
        program.write_text(SYSTEMCTL.format(calls=calls, start=start, active=active))
        return ServiceManager(booted=self.folder, systemctl=("sh", str(program)))

    def calls(self) -> list[str]:
        return Path(self.folder, "calls").read_text().splitlines()

    def test_a_daemon_with_a_unit_is_started_by_it(self) -> None:
        start(Paths(), NODED, manager=self.manager())
        self.assertIn("start ganeti-noded.service", self.calls())

    def test_only_its_own_daemons_are_managed(self) -> None:
        manager = self.manager()
        self.assertTrue(manager.manages(Paths(), NODED))
        self.assertFalse(manager.manages(Paths(), MASTERD))
        self.assertFalse(manager.manages(Paths("/trial"), NODED))
        self.assertFalse(ServiceManager(booted="/nonexistent").manages(Paths(), NODED))

    def test_one_that_does_not_start_says_where_to_look(self) -> None:
        manager = self.manager(start="echo Job for it failed. >&2; false")
        with self.assertRaisesRegex(Failed, "Job for it failed.; systemctl status ganeti-noded"):
            manager.start(NODED)

    def test_one_that_is_skipped_has_not_started(self) -> None:
        with self.assertRaisesRegex(Failed, "a condition of the unit is not met"):
            self.manager(active="false").start(NODED)

    def test_special_options_are_for_a_daemon_that_is_started_directly(self) -> None:
        paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(paths.run)
        with self.assertRaisesRegex(Failed, "^ganeti-noded does not start: "):
            start(paths, NODED, "--no-such-option", manager=self.manager())
