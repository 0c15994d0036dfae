# SPDX-License-Identifier: BSD-2-Clause
"""The units for systemd fit what the daemons do, and systemd reads them without complaint."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.service import NOT_MASTER

EXAMPLES = Path(__file__).parents[2] / "daemons" / "examples"
DAEMONS = ("masterd", "noded", "rapi")


def service(daemon: str) -> dict[str, str]:
    """The settings of a daemon's unit for the service itself."""
    unit = RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names are as they are written
    unit.read(EXAMPLES / f"ganeti-{daemon}.service.in")
    return dict(unit["Service"])


class UnitTests(SynchronousTestCase):
    def test_daemons_stay_in_the_foreground_and_tell_systemd_how_they_are(self) -> None:
        for daemon in DAEMONS:
            settings = service(daemon)
            self.assertEqual(settings["Type"], "notify")
            self.assertEqual(settings["ExecStart"], f"@sbindir@/ganeti-{daemon} -f")
            self.assertEqual(settings["ExecReload"], "/bin/kill -HUP $MAINPID")
            self.assertGreaterEqual(int(settings["WatchdogSec"]), 30)

    def test_daemons_are_started_again_but_where_they_do_not_belong(self) -> None:
        for daemon in DAEMONS:
            self.assertEqual(service(daemon)["Restart"], "on-failure")
        for daemon in ("masterd", "rapi"):
            self.assertEqual(service(daemon)["RestartPreventExitStatus"], str(NOT_MASTER))

    def test_guests_outlive_their_daemon(self) -> None:
        for daemon in DAEMONS:
            self.assertEqual(service(daemon)["KillMode"], "process")

    def test_systemd_reads_every_unit(self) -> None:
        folder = Path(os.path.abspath(self.mktemp()))
        folder.mkdir()
        for source in EXAMPLES.glob("*.in"):
            if source.name.endswith((".service.in", ".timer.in")):
                text = source.read_text().replace("@sbindir@", str(folder))
                (folder / source.stem).write_text(text)
                program = folder / source.stem.partition(".")[0]
                program.touch(0o755)
        units = [str(each) for each in folder.iterdir() if each.suffix]
        self.assertEqual(len(units), 7)
        command = ["systemd-analyze", "verify", *units]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    if shutil.which("systemd-analyze") is None:
        test_systemd_reads_every_unit.skip = "there is no systemd-analyze"  # type: ignore[attr-defined]
