# SPDX-License-Identifier: BSD-2-Clause
"""What the processes of this host share about the lease of its guests: a clock, and notes."""

from __future__ import annotations

import time
from functools import cache

from ganeti.paths import Paths
from ganeti.system.state_files import LocalStateFiles


def read_uptime() -> float:
    """Return the seconds since the boot, including those for which the host was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def read_boot_id() -> str:
    """Return what identifies the boot of this host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def lease_notes(paths: Paths) -> LocalStateFiles:
    """Return the notes of the lease and of the watchdog."""
    return LocalStateFiles(f"{paths.run}/guest-lease", mode=0o600)
