# SPDX-License-Identifier: BSD-2-Clause
"""A watchdog device in memory, which counts how often it was kept alive."""

from __future__ import annotations


class MemoryWatchdogDevice:
    """A device; ``error`` is raised when it is armed."""

    timeout = 10

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error
        self.armed = False
        self.kept_alive = 0

    def arm(self) -> None:
        if self.error is not None:
            raise self.error
        self.armed = True

    def keep_alive(self) -> None:
        self.kept_alive += 1

    def disarm(self) -> None:
        self.armed = False
