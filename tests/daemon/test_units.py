# SPDX-License-Identifier: BSD-2-Clause
"""The units for systemd fit what the daemons do, and systemd reads them without complaint."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.service import NODE_SETUP, NOT_IN_CLUSTER, NOT_MASTER

UNITS = Path(__file__).parents[2] / "daemons" / "systemd"
DAEMONS = ("masterd", "noded", "rapi")
EXPOSURE = {"etcd": 4.0, "masterd": 5.0, "rapi": 4.0}
"""The most that ``systemd-analyze security`` may say; the node daemon needs the powers of root."""


def service(daemon: str) -> dict[str, str]:
    """The settings of a daemon's unit for the service itself."""
    unit = RawConfigParser(strict=False)  # a setting may be repeated
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names are as they are written
    unit.read(UNITS / f"ganeti-{daemon}.service.in")
    return dict(unit["Service"])


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``systemd-analyze``."""
    command = ["systemd-analyze", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class UnitTests(SynchronousTestCase):
    def test_daemons_stay_in_the_foreground_and_tell_systemd_how_they_are(self) -> None:
        for daemon in DAEMONS:
            settings = service(daemon)
            start = "@sbindir@/ganeti-{} -f ${}_ARGS"
            self.assertEqual(settings["Type"], "notify")
            self.assertEqual(settings["ExecStart"], start.format(daemon, daemon.upper()))
            # The shell's own command: kill(1) may not be installed.
            self.assertEqual(settings["ExecReload"], '/bin/sh -c "kill -HUP $MAINPID"')
            self.assertGreaterEqual(int(settings["WatchdogSec"]), 30)

    def test_daemons_are_restarted_unless_that_cannot_help(self) -> None:
        never = {
            "noded": (NOT_IN_CLUSTER, NODE_SETUP),
            "masterd": (NOT_IN_CLUSTER, NOT_MASTER, NODE_SETUP),
            "rapi": (NOT_IN_CLUSTER, NOT_MASTER, NODE_SETUP),
        }
        for daemon, codes in never.items():
            self.assertEqual(service(daemon)["Restart"], "on-failure")
            prevented = service(daemon)["RestartPreventExitStatus"]
            self.assertEqual(prevented, " ".join(map(str, codes)))

    def test_guests_and_daemons_outlive_what_has_started_them(self) -> None:
        for starter in ("noded", "watcher"):
            self.assertEqual(service(starter)["KillMode"], "process")

    def test_systemd_reads_every_unit(self) -> None:
        units = self.installed()
        self.assertEqual(len(units), 11)
        done = analyze("verify", "--man=no", *units)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_daemons_that_do_not_need_root_are_confined(self) -> None:
        units = self.installed()
        for daemon, most in EXPOSURE.items():
            [unit] = [each for each in units if each.endswith(f"/ganeti-{daemon}.service")]
            done = analyze("security", "--offline=true", f"--threshold={most * 10:.0f}", unit)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def installed(self) -> list[str]:
        """Install the units in a folder, with programs that exist; return their paths."""
        folder = Path(os.path.abspath(self.mktemp()))
        (folder / "lib" / "ganeti").mkdir(parents=True)
        (folder / "lib" / "ganeti" / "daemon-util").touch(0o755)
        for source in UNITS.glob("*.in"):
            text = source.read_text()
            for name in ("sbindir", "prefix", "sysconfdir", "localstatedir"):
                text = text.replace(f"@{name}@", str(folder))
            (folder / source.stem).write_text(text)
            (folder / source.stem.partition(".")[0]).touch(0o755)
        return [str(each) for each in folder.iterdir() if each.suffix]

    if shutil.which("systemd-analyze") is None:
        for _test in (
            test_systemd_reads_every_unit,
            test_daemons_that_do_not_need_root_are_confined,
        ):
            _test.skip = "there is no systemd-analyze"  # type: ignore[attr-defined]
