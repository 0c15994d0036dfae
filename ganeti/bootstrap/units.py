# SPDX-License-Identifier: BSD-2-Clause
"""The systemd units of the daemons of this node, for blocking callers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.paths import Paths

BOOTED = "/run/systemd/system"
"""A folder that exists while systemd is the service manager (sd_booted(3))."""

STARTING = 330.0
"""Seconds that a unit may take to start: a little more than that of ganeti-masterd."""


@dataclass(frozen=True)
class ServiceManager:
    """Systemd; ``booted`` is a folder that exists while it runs, ``systemctl`` its program."""

    booted: str = BOOTED
    systemctl: Sequence[str] = ("systemctl",)

    def manages(self, paths: Paths, daemon: str) -> bool:
        """Return whether a daemon of this node has a unit.

        Those of a cluster with a root folder of its own have none.
        """
        if paths.root or not os.path.isdir(self.booted):
            return False
        return self._run("cat", f"{daemon}.service").returncode == 0

    def start(self, daemon: str) -> None:
        """Start the unit of a daemon, which is listening when this returns.

        :raises Failed: it does not start; the message has the reason.
        """
        unit = f"{daemon}.service"
        try:
            done = self._run("start", unit)
        except subprocess.TimeoutExpired:
            raise Failed(f"{unit} did not start within {STARTING:g} seconds") from None
        # Success may also be that a condition of the unit is not met, so that it was skipped.
        if done.returncode == 0 and self._run("--quiet", "is-active", unit).returncode != 0:
            done.returncode, done.stderr = 1, "a condition of the unit is not met"
        if done.returncode != 0:
            why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise Failed(
                f"{unit} does not start: {why}; systemctl status {unit} shows more",
                Code.ENVIRONMENT,
            )

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.systemctl, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STARTING,
        )


SYSTEMD = ServiceManager()
"""The service manager of this host, if it runs."""
